"""Whole runs with a real (small, random) UNet: ours against k-diffusion's model wrappers and samplers."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import resolve_sampler
from modules.sampling import (
    Conditioning,
    GuidanceOptions,
    ImageNoise,
    ModelSigmas,
    constant_conditions,
    plan_run,
    sample,
    scaled_linear_alphas_cumprod,
    sd1_sigmas,
)
from modules.sampling.model_schedule import rescale_zero_terminal_snr
from tests.amounts import some
from tests.sampling.k_diffusion_oracle import k_diffusion_external, k_diffusion_sampling

SCALE = 7.0
SEEDS = (31, 32)
SHAPE = (4, 8, 8)


@cache
def small_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet: UNet2DConditionModel = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=8,
    ).eval()
    return unet


def texts() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(2, 77, 16, generator=generator) for _ in range(2))  # type: ignore[return-value]  # two of them


class Guided(nn.Module):
    """A k-diffusion denoiser under plain guidance: two separate calls, combined by hand."""

    def __init__(self, denoiser: Any) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        cond, uncond = (self.denoiser(x, sigma, context=text) for text in texts())
        guided: Tensor = uncond + SCALE * (cond - uncond)
        return guided


def oracle_denoiser(kind: str, alphas: Tensor, quantize: bool) -> Guided:
    external = k_diffusion_external()

    class Eps(external.DiscreteEpsDDPMDenoiser):  # type: ignore[misc,name-defined]  # the library has no types
        def get_eps(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            predicted: Tensor = self.inner_model(x, t, context).sample
            return predicted

    class V(external.DiscreteVDDPMDenoiser):  # type: ignore[misc,name-defined]  # the library has no types
        def get_v(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            predicted: Tensor = self.inner_model(x, t, context).sample
            return predicted

    return Guided((Eps if kind == "epsilon" else V)(small_unet(), alphas, quantize))


def ours(label: str, model: ModelSigmas, kind: str, steps: int) -> Tensor:
    plan = plan_run(resolve_sampler(label), steps, model, SamplerOptions())
    positive, negative = (Conditioning(text) for text in texts())
    return sample(
        plan,
        lambda x, t, text: small_unet()(x, t, text.context).sample,
        constant_conditions(positive, negative),
        ImageNoise(SHAPE, SEEDS, source="CPU"),
        GuidanceOptions(cfg_scale=SCALE),
        prediction_type=kind,  # type: ignore[arg-type]  # the parameters are those literals
    )


def theirs(label: str, model: ModelSigmas, denoiser: Guided, steps: int) -> Tensor:
    oracle = k_diffusion_sampling()
    noise = ImageNoise(SHAPE, SEEDS, source="CPU")
    ends = model.sigma_min, model.sigma_max
    x = noise.draw()
    if label == "Euler a":
        sigmas = denoiser.denoiser.get_sigmas(steps)
        sampler, given = oracle.sample_euler_ancestral, {"noise_sampler": lambda a, b: noise.draw()}
    elif label == "DPM++ 2M SDE":
        sigmas = oracle.get_sigmas_exponential(steps, *ends)
        sampler = oracle.sample_dpmpp_2m_sde
        given = {"noise_sampler": oracle.BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=list(SEEDS))}
    else:
        sigmas = oracle.get_sigmas_karras(steps, *ends)
        sampler, given = oracle.sample_dpmpp_2m, {}
    sampled: Tensor = sampler(denoiser, x * sigmas[0], sigmas, disable=True, **given)
    return sampled


@pytest.mark.parametrize(
    ("label", "kind", "quantize"),
    some(
        [
            # The first, the seventh and the last have each sampler, both kinds and both ways of rounding.
            ("Euler a", "epsilon", False),
            ("Euler a", "epsilon", True),
            ("Euler a", "v_prediction", False),
            ("DPM++ 2M", "v_prediction", True),
            ("DPM++ 2M", "epsilon", False),
            ("DPM++ 2M", "epsilon", True),
            ("DPM++ 2M", "v_prediction", False),
            ("Euler a", "v_prediction", True),
            ("DPM++ 2M SDE", "v_prediction", False),
            ("DPM++ 2M SDE", "v_prediction", True),
            ("DPM++ 2M SDE", "epsilon", False),
            ("DPM++ 2M SDE", "epsilon", True),
        ],
        3,
    ),
)
def test_a_run_equals_k_diffusion_from_seed_to_latent(label: str, kind: str, quantize: bool) -> None:
    model = ModelSigmas(scaled_linear_alphas_cumprod(), quantize=quantize)
    denoiser = oracle_denoiser(kind, model.alphas_cumprod, quantize)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchsde remarks on rounding at the ends of its interval
        expected = theirs(label, model, denoiser, 10)
    found = ours(label, model, kind, 10)
    assert float((found - expected).abs().max() / expected.abs().max()) <= 1e-5


def test_levels_and_timesteps_equal_k_diffusions_to_the_last_bit() -> None:
    alphas = scaled_linear_alphas_cumprod()
    for given in (alphas, rescale_zero_terminal_snr(alphas)):
        model, oracle = ModelSigmas(given), k_diffusion_external().DiscreteEpsDDPMDenoiser(None, given, False)
        assert torch.equal(model.sigmas, oracle.sigmas) and torch.equal(model.log_sigmas, oracle.log_sigmas)
        for steps in (1, 2, 13, 20):
            assert torch.equal(model.uniform(steps), oracle.get_sigmas(steps))
        sigmas = torch.cat([torch.linspace(0.001, 20, 500), model.sigmas])
        assert torch.equal(model.sigma_to_t(sigmas), oracle.sigma_to_t(sigmas))
    quantized = ModelSigmas(alphas, quantize=True)
    oracle = k_diffusion_external().DiscreteEpsDDPMDenoiser(None, alphas, True)
    assert torch.equal(quantized.sigma_to_t(sd1_sigmas().sigmas * 1.01), oracle.sigma_to_t(sd1_sigmas().sigmas * 1.01))
