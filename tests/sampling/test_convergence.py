"""With ever more steps every deterministic sampler comes to the exact solution, as fast as its order says."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from modules.sampling import SAMPLER_FUNCTIONS, scaled_linear_alphas_cumprod
from modules.sampling.options import SolverOptions
from tests.amounts import some
from tests.sampling.doubles import GaussianDenoiser, GaussianNoisePredictor, ignore, latent, no_noise

HIGH, LOW = 10.0, 0.1

# (sampler, order shown). A multistep method's first steps are of lower order, which tells in the end.
ORDERS = [
    ("Euler", 1),
    ("Euler a", 1),
    ("Heun", 2),
    ("DPM2", 2),
    ("DPM2 a", 2),
    ("DPM++ 2M", 2),
    ("DPM++ 2S a", 2),
    ("DPM++ SDE", 2),
    ("DPM++ 2M SDE", 2),
    ("DPM++ 2M SDE Heun", 2),
    ("DPM++ 3M SDE", 2),
    ("LMS", 3),
    ("DEIS", 3),
    ("HeunPP2", 1),
    ("IPNDM_V", 1),
]


def error(label: str, levels: torch.Tensor, options: SolverOptions) -> float:
    denoiser = GaussianDenoiser()
    x = latent(1, 4, 4, 4, dtype=torch.float64) * HIGH
    found = SAMPLER_FUNCTIONS[label](denoiser, x, levels, lambda a, b: torch.zeros_like(x), options, ignore)
    return float((found - denoiser.exact(x, HIGH, LOW)).abs().max())


def levels(steps: int) -> torch.Tensor:
    return torch.linspace(math.log(HIGH), math.log(LOW), steps + 1, dtype=torch.float64).exp()


@pytest.mark.parametrize(("label", "order"), ORDERS)
def test_converges_at_its_order(label: str, order: int) -> None:
    options = SolverOptions(eta=0.0, solver_type="heun" if label.endswith("Heun") else "midpoint")
    coarse, fine = (error(label, levels(n), options) for n in (80, 160))
    assert fine < 0.02
    assert math.log2(coarse / fine) > order - 0.35


def test_ipndm_has_order_4_on_even_steps() -> None:
    coarse, fine = (
        error("IPNDM", torch.linspace(HIGH, LOW, n + 1, dtype=torch.float64), SolverOptions()) for n in (1600, 3200)
    )
    assert math.log2(coarse / fine) > 3.5


def test_dpm_fast_converges_at_order_3() -> None:
    # 80 and 320 calls both end on a second-order step.
    ends = torch.tensor([HIGH, LOW], dtype=torch.float64)
    coarse, fine = (error("DPM fast", ends, SolverOptions(eta=0.0, calls=calls)) for calls in (80, 320))
    assert fine < 1e-5
    assert math.log2(coarse / fine) / 2 > 2.7


def test_dpm_adaptive_stays_within_its_tolerance() -> None:
    ends = torch.tensor([HIGH, LOW], dtype=torch.float64)
    assert error("DPM adaptive", ends, SolverOptions(eta=0.0)) < 0.05


def test_restart_ends_in_the_right_distribution() -> None:
    denoiser = GaussianDenoiser()
    x = torch.randn(1, 4, 128, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 14.6
    sigmas = torch.linspace(math.log(14.6), math.log(0.02), 40, dtype=torch.float64).exp()
    generator = torch.Generator().manual_seed(1)
    found = SAMPLER_FUNCTIONS["Restart"](
        denoiser,
        x,
        torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]),
        lambda a, b: torch.randn(x.shape, generator=generator, dtype=torch.float64),
        SolverOptions(),
        ignore,
    )
    assert float(found.mean()) == pytest.approx(denoiser.MEAN, abs=0.02)
    assert float(found.std()) == pytest.approx(denoiser.DEVIATION, abs=0.02)


@pytest.mark.parametrize(
    "label", some(["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 3M SDE", "DDPM"], 3)
)
def test_stochastic_samplers_end_in_the_right_distribution(label: str) -> None:
    denoiser = GaussianDenoiser()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 128, 128, generator=generator, dtype=torch.float64) * 14.6
    sigmas = torch.cat([torch.linspace(math.log(14.6), math.log(0.02), 150).exp(), torch.zeros(1)]).double()
    found = SAMPLER_FUNCTIONS[label](
        denoiser,
        x,
        sigmas,
        lambda a, b: torch.randn(x.shape, generator=generator, dtype=torch.float64),
        SolverOptions(),
        ignore,
    )
    assert float(found.mean()) == pytest.approx(denoiser.MEAN, abs=0.02)
    assert float(found.std()) == pytest.approx(denoiser.DEVIATION, abs=0.04)


@pytest.mark.parametrize(("label", "order"), [("DDIM", 1), ("PLMS", 2)])
def test_timestep_samplers_converge(label: str, order: int) -> None:
    def off(stride: int) -> float:
        denoiser = GaussianNoisePredictor(scaled_linear_alphas_cumprod().double())
        x = latent(1, 4, 4, 4, dtype=torch.float64)
        timesteps = torch.arange(1, 1000, stride)
        found = SAMPLER_FUNCTIONS[label](denoiser, x, timesteps, no_noise, SolverOptions(eta=0.0), ignore)
        return float((found - denoiser.exact_in_time(x, float(timesteps[-1]), 1)).abs().max())

    # Both strides end on timestep 997.
    coarse, fine = off(6), off(3)
    assert fine < 0.05
    assert math.log2(coarse / fine) > order - 0.4


@pytest.mark.parametrize(
    ("spacing", "variant"),
    some(itertools.product(["time_uniform", "logSNR", "time_quadratic"], ["bh1", "bh2", "vary_coeff"]), 3),
)
def test_unipc_converges(variant: str, spacing: str) -> None:
    def off(steps: int) -> float:
        denoiser = GaussianNoisePredictor(scaled_linear_alphas_cumprod().double())
        x = latent(1, 4, 4, 4, dtype=torch.float64)
        options = SolverOptions(uni_pc_variant=variant, uni_pc_skip_type=spacing)
        found = SAMPLER_FUNCTIONS["UniPC"](denoiser, x, torch.zeros(steps).long(), no_noise, options, ignore)
        return float((found - denoiser.exact_in_time(x, 999, 0)).abs().max())

    # The published varying coefficients make a first-order corrector; even times leave one large last step in log SNR.
    bound = 0.06 if variant == "vary_coeff" or spacing == "time_uniform" else 1e-3
    assert off(80) < bound
    assert off(160) < off(40) / 1.7
