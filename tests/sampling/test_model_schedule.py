"""Noise levels of a model and the way between them and timesteps, as k-diffusion has them."""

from __future__ import annotations

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr as diffusers_rescale
from hypothesis import given
from hypothesis import strategies as st

from modules.sampling.model_schedule import (
    LcmSigmas,
    ModelSigmas,
    rescale_zero_terminal_snr,
    scaled_linear_alphas_cumprod,
    sd1_sigmas,
)


def test_sd1_levels() -> None:
    model = sd1_sigmas()
    assert len(model.sigmas) == 1000
    assert model.sigma_min == pytest.approx(0.029168, abs=1e-6)
    assert model.sigma_max == pytest.approx(14.614642, abs=1e-5)
    assert model.sigmas.dtype == torch.float32


@given(st.floats(0, 999))
def test_timestep_and_level_are_inverse(timestep: float) -> None:
    model = sd1_sigmas()
    t = torch.tensor(timestep)
    assert float(model.sigma_to_t(model.t_to_sigma(t))) == pytest.approx(timestep, abs=2e-2)


def reference_sigma_to_t(model: ModelSigmas, sigma: torch.Tensor) -> torch.Tensor:
    """Written out: between the two trained levels that enclose it, linearly in log sigma."""
    logs, wanted = model.log_sigmas.double(), sigma.double().log()
    below = int((logs <= wanted).sum()) - 1
    below = min(max(below, 0), len(logs) - 2)
    share = ((wanted - logs[below]) / (logs[below + 1] - logs[below])).clamp(0, 1)
    return below + share


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.0291675, 0.03, 0.5, 1.0, 7.3, 14.6, 14.614642, 20.0])
def test_a_level_lies_between_its_neighbours_in_log_sigma(sigma: float) -> None:
    level = torch.tensor(sigma)
    expected = float(reference_sigma_to_t(sd1_sigmas(), level)) if sigma else 0.0
    assert float(sd1_sigmas().sigma_to_t(level)) == pytest.approx(expected, abs=1e-2)


def test_quantized_levels_are_whole_timesteps() -> None:
    quantized = ModelSigmas(scaled_linear_alphas_cumprod(), quantize=True)
    for timestep in (0.2, 0.8, 500.4, 998.7):
        sigma = sd1_sigmas().t_to_sigma(torch.tensor(timestep))
        found = quantized.sigma_to_t(sigma)
        assert found.dtype == torch.int64 and abs(int(found) - timestep) <= 0.51


def test_several_levels_at_once() -> None:
    levels = torch.tensor([[0.5, 3.0], [9.0, 14.0]])
    for model in (sd1_sigmas(), ModelSigmas(scaled_linear_alphas_cumprod(), quantize=True), LcmSigmas(sd1_sigmas())):
        at_once = model.sigma_to_t(levels)
        assert at_once.shape == levels.shape
        singly = [float(model.sigma_to_t(level)) for level in levels.flatten()]
        assert at_once.flatten().tolist() == pytest.approx(singly)


def test_zero_terminal_snr_equals_diffusers_but_for_the_last_step() -> None:
    alphas = scaled_linear_alphas_cumprod()
    betas = 1 - torch.cat([alphas[:1], alphas[1:] / alphas[:-1]])
    theirs = torch.cumprod(1 - diffusers_rescale(betas), 0)
    ours = rescale_zero_terminal_snr(alphas)
    assert torch.allclose(ours[:-1], theirs[:-1], atol=2e-6)
    # diffusers ends in 0, where sigma would be infinite.
    assert float(ours[-1]) == pytest.approx(4.8973451890853435e-08)
    model = ModelSigmas.from_training(alphas, zero_terminal_snr=True)
    assert model.sigma_max == pytest.approx(4518.7, rel=1e-3)
    assert model.sigma_min == pytest.approx(sd1_sigmas().sigma_min, rel=1e-4)


def test_downcasting_rounds_the_schedule_as_half_precision_did() -> None:
    model = ModelSigmas.from_training(scaled_linear_alphas_cumprod(), downcast=True)
    half = scaled_linear_alphas_cumprod().half()
    assert torch.equal(model.alphas_cumprod, half.float())
    assert torch.equal(model.sigmas, (((1 - half) / half) ** 0.5).float())
    assert model.sigma_max != sd1_sigmas().sigma_max
    assert model.sigma_max == pytest.approx(sd1_sigmas().sigma_max, rel=5e-3)
