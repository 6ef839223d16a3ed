"""UNet answers become denoised latents or noise, by the parameterisations' definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modules.sampling.conditioning import Conditioning
from modules.sampling.denoiser import LcmPrediction, SigmaPrediction, TimestepPrediction
from modules.sampling.model_schedule import LcmSigmas, ModelSigmas, scaled_linear_alphas_cumprod, sd1_sigmas
from tests.sampling.doubles import latent

TEXT = Conditioning(torch.zeros(2, 1, 1))
IMAGE, NOISE = latent(2, 4, 8, 8, seed=1), latent(2, 4, 8, 8, seed=2)


class Recorder:
    """Answers with a fixed tensor and records its inputs."""

    def __init__(self, answer: Tensor) -> None:
        self.answer = answer
        self.x = torch.empty(0)
        self.timesteps = torch.empty(0)

    def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        self.x, self.timesteps = x, timesteps
        return self.answer


@pytest.mark.parametrize("sigma", [0.05, 1.0, 14.0])
def test_a_perfect_noise_prediction_gives_the_image(sigma: float) -> None:
    level, unet = torch.tensor(sigma), Recorder(NOISE)
    found = SigmaPrediction(unet, sd1_sigmas())(IMAGE + level * NOISE, level, TEXT, None)
    assert torch.allclose(found, IMAGE, atol=1e-5)
    # The model sees unit variance and the fractional timestep, one per row.
    assert torch.allclose(unet.x, (IMAGE + level * NOISE) / (1 + level**2).sqrt(), atol=1e-6)
    assert unet.timesteps.tolist() == [float(sd1_sigmas().sigma_to_t(level))] * 2
    assert unet.timesteps.dtype == torch.float32


@pytest.mark.parametrize("sigma", [0.05, 1.0, 14.0])
def test_a_perfect_v_prediction_gives_the_image(sigma: float) -> None:
    level = torch.tensor(sigma)
    alpha = 1 / (1 + level**2).sqrt()
    v = alpha * NOISE - (1 - alpha**2).sqrt() * IMAGE
    found = SigmaPrediction(Recorder(v), sd1_sigmas(), "v_prediction")(IMAGE + level * NOISE, level, TEXT, None)
    assert torch.allclose(found, IMAGE, atol=1e-4)


def test_rounded_timesteps_on_request() -> None:
    unet = Recorder(NOISE)
    model = ModelSigmas(scaled_linear_alphas_cumprod(), quantize=True)
    SigmaPrediction(unet, model)(IMAGE, torch.tensor(3.21), TEXT, None)
    assert float(unet.timesteps[0]).is_integer()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_timestep_samplers_get_the_noise(kind: str) -> None:
    alpha_bar = sd1_sigmas().alphas_cumprod[601]
    x = alpha_bar.sqrt() * IMAGE + (1 - alpha_bar).sqrt() * NOISE
    answer = NOISE if kind == "epsilon" else alpha_bar.sqrt() * NOISE - (1 - alpha_bar).sqrt() * IMAGE
    unet = Recorder(answer)
    prediction = TimestepPrediction(unet, sd1_sigmas(), kind)  # type: ignore[arg-type]  # the parameters are those literals
    t = torch.tensor(601.0)
    found = prediction(x, t, TEXT, None)
    assert torch.allclose(found, NOISE, atol=1e-5)
    # Unscaled input, and the timestep as it stands.
    assert torch.equal(unet.x, x) and unet.timesteps.tolist() == [601.0, 601.0]
    assert torch.allclose(prediction.denoised(x, found, t), IMAGE, atol=1e-4)


def test_extra_channels_are_joined_unscaled() -> None:
    unet, extra = Recorder(NOISE), latent(2, 5, 8, 8)
    SigmaPrediction(unet, sd1_sigmas())(IMAGE, torch.tensor(3.0), TEXT, extra)
    assert unet.x.shape == (2, 9, 8, 8)
    assert torch.equal(unet.x[:, 4:], extra)


def test_lcm_keeps_the_input_near_the_boundary_and_asks_at_its_own_timesteps() -> None:
    model, unet = LcmSigmas(sd1_sigmas()), Recorder(NOISE)
    sigma = model.sigmas[0]
    found = LcmPrediction(unet, model)(IMAGE + sigma * NOISE, sigma, TEXT, None)
    assert unet.timesteps.tolist() == [19.0, 19.0]
    c_skip, c_out = 0.25 / (190**2 + 0.25), 190 / (190**2 + 0.25) ** 0.5
    assert torch.allclose(found, c_out * IMAGE + c_skip * (IMAGE + sigma * NOISE), atol=1e-5)


def test_a_half_precision_answer_comes_back_in_float32() -> None:
    found = SigmaPrediction(Recorder(NOISE.half()), sd1_sigmas())(IMAGE, torch.tensor(3.0), TEXT, None)
    assert found.dtype == torch.float32
