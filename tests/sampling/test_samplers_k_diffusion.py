"""Every sampler that k-diffusion has gives k-diffusion's latent."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from modules.sampling import SAMPLER_FUNCTIONS, sigma_schedule
from modules.sampling.brownian import BrownianNoise
from modules.sampling.options import SolverOptions
from tests.amounts import some
from tests.sampling.doubles import MixingDenoiser, ignore, latent
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling

# Largest difference relative to the largest value, in float32 and float64. Most agree to the last bit.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-6}

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("Euler", "sample_euler", {}),
    ("Euler", "sample_euler", {"s_churn": 10, "s_tmin": 0.2, "s_tmax": 9, "s_noise": 1.01}),
    ("Euler a", "sample_euler_ancestral", {}),
    ("Euler a", "sample_euler_ancestral", {"eta": 0.5}),
    ("Euler a", "sample_euler_ancestral", {"eta": 0.0}),
    ("LMS", "sample_lms", {}),
    ("Heun", "sample_heun", {}),
    ("Heun", "sample_heun", {"s_churn": 10, "s_tmin": 0.5, "s_noise": 1.01}),
    ("DPM2", "sample_dpm_2", {}),
    ("DPM2", "sample_dpm_2", {"s_churn": 40}),
    ("DPM2 a", "sample_dpm_2_ancestral", {}),
    ("DPM2 a", "sample_dpm_2_ancestral", {"eta": 0.0, "s_noise": 0.9}),
    ("DPM++ 2M", "sample_dpmpp_2m", {}),
    ("DPM++ 2S a", "sample_dpmpp_2s_ancestral", {}),
    ("DPM++ 2S a", "sample_dpmpp_2s_ancestral", {"eta": 0.3, "s_noise": 0.9}),
    ("DPM++ SDE", "sample_dpmpp_sde", {}),
    ("DPM++ SDE", "sample_dpmpp_sde", {"eta": 0.4, "s_noise": 0.9}),
    ("DPM++ 2M SDE", "sample_dpmpp_2m_sde", {}),
    ("DPM++ 2M SDE", "sample_dpmpp_2m_sde", {"eta": 0.4, "s_noise": 1.05}),
    ("DPM++ 2M SDE", "sample_dpmpp_2m_sde", {"eta": 0.0}),
    ("DPM++ 2M SDE Heun", "sample_dpmpp_2m_sde", {"solver_type": "heun"}),
    ("DPM++ 3M SDE", "sample_dpmpp_3m_sde", {}),
    ("DPM++ 3M SDE", "sample_dpmpp_3m_sde", {"eta": 0.6, "s_noise": 0.95}),
]


def cpu_normal(seed: int, shape: Any) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def relative_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert torch.isfinite(theirs).all()
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
@pytest.mark.parametrize("schedule", some(["Karras", "Exponential", "KL Optimal"], 1))
@pytest.mark.parametrize(("label", "function", "options"), CASES, ids=lambda case: str(case))
def test_equals_k_diffusion(
    label: str, function: str, options: dict[str, Any], schedule: str, dtype: torch.dtype
) -> None:
    oracle = k_diffusion_sampling()
    for steps in (2, 3, 7, 20):
        sigmas = torch.tensor(sigma_schedule(schedule, steps), dtype=dtype)
        x = latent(2, 4, 8, 8, seed=steps, dtype=dtype) * sigmas[0]
        positive = sigmas[sigmas > 0]
        ends = float(positive.min()), float(positive.max())
        given = dict(options)
        noise: Any = lambda sigma, sigma_next, x=x: torch.randn_like(x)  # noqa: E731
        if "SDE" in label:
            given["noise_sampler"] = oracle.BrownianTreeNoiseSampler(x.float(), *ends, seed=[4, 5])
            noise = BrownianNoise((4, 8, 8), *ends, (4, 5), cpu_normal)
        torch.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchsde remarks on rounding at the ends of its interval
            expected = getattr(oracle, function)(MixingDenoiser(), x.clone(), sigmas, disable=True, **given)
        torch.manual_seed(3)
        run = SAMPLER_FUNCTIONS[label]
        found = run(MixingDenoiser(), x.clone(), sigmas, noise, SolverOptions(**options), ignore)
        assert relative_difference(found, expected) <= TOLERANCE[dtype], steps


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 6, 20])
def test_dpm_fast_equals_k_diffusion(calls: int, eta: float) -> None:
    x = latent(2, 4, 8, 8, seed=calls) * 14.6
    torch.manual_seed(3)
    expected = k_diffusion_sampling().sample_dpm_fast(
        MixingDenoiser(), x.clone(), 0.0291675, 14.6146, calls, eta=eta, disable=True
    )
    torch.manual_seed(3)
    denoiser = MixingDenoiser()
    ends, options = torch.tensor([14.6146, 0.0291675]), SolverOptions(eta=eta, calls=calls)
    found = SAMPLER_FUNCTIONS["DPM fast"](denoiser, x, ends, lambda a, b: torch.randn_like(x), options, ignore)
    assert relative_difference(found, expected) <= 2e-6
    assert len(denoiser.levels) == calls


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_dpm_adaptive_equals_k_diffusion(eta: float) -> None:
    x = latent(1, 4, 8, 8) * 14.6
    theirs, ours = MixingDenoiser(), MixingDenoiser()
    torch.manual_seed(3)
    expected = k_diffusion_sampling().sample_dpm_adaptive(theirs, x.clone(), 0.0291675, 14.6146, eta=eta, disable=True)
    torch.manual_seed(3)
    ends = torch.tensor([14.6146, 0.0291675])
    found = SAMPLER_FUNCTIONS["DPM adaptive"](
        ours, x, ends, lambda a, b: torch.randn_like(x), SolverOptions(eta=eta), ignore
    )
    # The step sizes hang on a measured error, which carries rounding from step to step.
    assert relative_difference(found, expected) <= 2e-5
    assert len(ours.levels) == len(theirs.levels)


def test_2m_sde_of_a_single_step_is_the_denoised_estimate() -> None:
    # k-diffusion fails on it; A1111 users with 1 step got an error.
    sigmas, x = torch.tensor([14.6, 0.0]), latent(1, 4, 8, 8)
    for label in ("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"):
        found = SAMPLER_FUNCTIONS[label](MixingDenoiser(), x, sigmas, lambda a, b: x, SolverOptions(), ignore)
        assert torch.equal(found, MixingDenoiser()(x, sigmas[0]))
