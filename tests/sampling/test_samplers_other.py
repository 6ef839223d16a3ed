"""LCM, Restart and Forge's samplers against independent computations; Euler, DDPM and LCM against diffusers too."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_deis_multistep import DEISMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_tcd import TCDScheduler
from torch import Tensor

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import resolve_sampler
from modules.sampling import (
    SAMPLER_FUNCTIONS,
    GuidanceOptions,
    ImageNoise,
    constant_conditions,
    plan_run,
    sample,
    sd1_sigmas,
    sigma_schedule,
)
from modules.sampling.conditioning import Conditioning
from modules.sampling.denoiser import LcmPrediction
from modules.sampling.model_schedule import LcmSigmas
from modules.sampling.options import SolverOptions
from modules.sampling.samplers.restart import restart_steps
from tests.amounts import some
from tests.sampling import references
from tests.sampling.doubles import MixingDenoiser, ignore, latent, no_noise, seeded_noise, toy_conditioning
from tests.sampling.references import BETAS, Reference


class NoiseModel:
    """A noise-predicting model in the scaled space that diffusers' schedulers and UNets share."""

    def __call__(self, scaled: Tensor, timestep: float) -> Tensor:
        return torch.tanh(scaled * 0.8 + timestep / 1000) + 0.1 * scaled


class SigmaView:
    """The same model as a sigma denoiser."""

    alphas_cumprod = sd1_sigmas().alphas_cumprod
    last_uncond = None

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        timestep = float(sd1_sigmas().sigma_to_t(level))
        return x - level * NoiseModel()(x / (1 + level**2).sqrt(), timestep)


REFERENCES: dict[str, Reference] = {
    "Restart": references.restart,
    "LCM": references.lcm,
    "HeunPP2": references.heunpp2,
    "IPNDM": references.ipndm,
    "IPNDM_V": references.ipndm_v,
    "DEIS": references.deis,
    "DDPM": references.ddpm,
    "TCD": references.tcd,
}
OPTIONS = {"TCD": SolverOptions(eta=0.3)}


@pytest.mark.parametrize("schedule", ["Karras", "Uniform", "KL Optimal"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 40])
@pytest.mark.parametrize("label", some(REFERENCES, 50))
def test_equals_its_reference(label: str, steps: int, schedule: str) -> None:
    sigmas = torch.tensor(sigma_schedule(schedule, steps), dtype=torch.float64)
    x = latent(2, 4, 8, 8, seed=steps, dtype=torch.float64) * sigmas[0]
    model, options = MixingDenoiser(sd1_sigmas().alphas_cumprod), OPTIONS.get(label, SolverOptions())
    expected = REFERENCES[label](model, x, sigmas, seeded_noise(x, 3))
    found = SAMPLER_FUNCTIONS[label](model, x, sigmas, seeded_noise(x, 3), options, ignore)
    # Restart's own schedule is made in float32 on both sides; the levels that TCD steps down to are here alone.
    tolerance = {"Restart": 1e-6, "TCD": 5e-5}.get(label, 1e-8)
    assert float((found - expected).abs().max() / expected.abs().max()) <= tolerance


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_euler_equals_diffusers_on_its_own_levels(steps: int) -> None:
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.clone()
    x = latent(2, 4, 8, 8) * sigmas[0]
    theirs = x.clone()
    for t in scheduler.timesteps:
        theirs = scheduler.step(NoiseModel()(scheduler.scale_model_input(theirs, t), float(t)), t, theirs).prev_sample
    ours = SAMPLER_FUNCTIONS["Euler"](SigmaView(), x, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-4


def test_ddpm_adds_the_variance_that_diffusers_calls_fixed_small() -> None:
    scheduler = DDPMScheduler(**BETAS, clip_sample=False, variance_type="fixed_small", timestep_spacing="leading")
    scheduler.set_timesteps(10)
    levels = sd1_sigmas().sigmas[scheduler.timesteps]
    ones = torch.ones(1, 4, 2, 2)

    class Nothing(MixingDenoiser):
        def __call__(self, x: Tensor, level: Tensor) -> Tensor:
            return torch.zeros_like(x)

    for i, t in enumerate(scheduler.timesteps[:-1]):
        pair = levels[i : i + 2]
        added = SAMPLER_FUNCTIONS["DDPM"](Nothing(), 0 * ones, pair, lambda a, b: ones, SolverOptions(), ignore)
        scaled = float(added[0, 0, 0, 0]) / math.sqrt(1 + float(pair[1]) ** 2)
        assert scaled**2 == pytest.approx(float(scheduler._get_variance(int(t))), rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lcm_equals_diffusers(steps: int) -> None:
    model = LcmSigmas(sd1_sigmas())
    scheduler = LCMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(steps, original_inference_steps=50)
    timesteps = scheduler.timesteps
    sigmas = torch.cat([sd1_sigmas().sigmas[timesteps], torch.zeros(1)])
    x = latent(1, 4, 8, 8) * sigmas[0]
    prediction = LcmPrediction(lambda rows, t, text: NoiseModel()(rows, float(t[0])), model)
    text = Conditioning(torch.zeros(1, 1, 1))

    class Denoiser:
        alphas_cumprod = torch.empty(0)
        last_uncond = None

        def __call__(self, x: Tensor, level: Tensor) -> Tensor:
            return prediction(x, level, text, None)

    drawn = [latent(1, 4, 8, 8, seed=10 + i) for i in range(steps)]
    pending = iter(drawn)
    ours = SAMPLER_FUNCTIONS["LCM"](Denoiser(), x, sigmas, lambda a, b: next(pending), SolverOptions(), ignore)
    theirs = x / (1 + sigmas[0] ** 2).sqrt()
    alphas = sd1_sigmas().alphas_cumprod
    denoised = theirs
    for i, t in enumerate(timesteps.tolist()):
        # diffusers weighs the scaled latent in its skip connection, A1111 the unscaled one; undo that difference.
        step = scheduler.step(NoiseModel()(theirs, t), timesteps[i], theirs)
        c_skip, _ = scheduler.get_scalings_for_boundary_condition_discrete(timesteps[i])
        sigma = float(sigmas[i])
        denoised = step.denoised + c_skip * theirs * (math.sqrt(1 + sigma**2) - 1)
        if i + 1 < steps:
            after = alphas[int(timesteps[i + 1])]
            theirs = after.sqrt() * denoised + (1 - after).sqrt() * drawn[i]
    assert float((ours - denoised).abs().max()) <= 1e-4


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_each_step_of_tcd_equals_diffusers(steps: int, eta: float) -> None:
    scheduler = TCDScheduler(**BETAS, clip_sample=False)
    scheduler.set_timesteps(steps)
    alphas = scheduler.alphas_cumprod
    # diffusers ends at timestep 0, where a little noise is left; samplers here go on to none.
    timesteps = [*scheduler.timesteps.tolist(), 0]
    for t, following in itertools.pairwise(timesteps):
        x = latent(1, 4, 8, 8, seed=t)
        theirs = scheduler.step(
            NoiseModel()(x, t), torch.tensor(t), x, eta, generator=torch.Generator().manual_seed(t)
        ).prev_sample
        sigmas = sd1_sigmas().sigmas[[t, following]]
        ours = SAMPLER_FUNCTIONS["TCD"](
            SigmaView(), x / alphas[t].sqrt(), sigmas, seeded_noise(x, t), SolverOptions(eta=eta), ignore
        )
        assert float((ours * alphas[following].sqrt() - theirs).abs().max()) <= 2e-5, (t, following)


def timesteps_of(sampler: str, schedule: str, steps: int, **options: Any) -> list[float]:
    """The timesteps that a UNet is called with."""
    plan = plan_run(resolve_sampler(sampler, schedule), steps, sd1_sigmas(), SamplerOptions(**options))
    seen: list[float] = []

    def unet(x: Tensor, t: Tensor, text: Conditioning) -> Tensor:
        seen.append(float(t[0]))
        return x * 0.1

    conditions = constant_conditions(toy_conditioning(1), toy_conditioning(1))
    noise = ImageNoise((4, 8, 8), [1], source="CPU")
    sample(plan, unet, conditions, noise, GuidanceOptions(cfg_scale=1.0))
    return seen


@pytest.mark.parametrize("sampler", ["Euler", "TCD"])
def test_sgm_uniform_is_the_trailing_spacing_of_lightning(sampler: str) -> None:
    assert timesteps_of(sampler, "SGM Uniform", 4) == pytest.approx([999, 749.25, 499.5, 249.75], abs=5e-3)


def test_lcm_reaches_the_timesteps_of_dmd2_unless_it_takes_only_its_own() -> None:
    every = timesteps_of("LCM", "SGM Uniform", 4, lcm_distilled_timesteps=False)
    assert [int(t + 5e-3) for t in every] == [999, 749, 499, 249]
    assert timesteps_of("LCM", "Turbo", 4, lcm_distilled_timesteps=False) == pytest.approx(
        [999, 749, 499, 249], abs=5e-3
    )
    assert {int(t) % 20 for t in timesteps_of("LCM", "SGM Uniform", 4)} == {19}


def test_lcm_model_has_50_levels_at_every_20th_timestep() -> None:
    model = LcmSigmas(sd1_sigmas())
    assert len(model.sigmas) == 50
    timesteps = model.sigma_to_t(model.sigmas)
    assert timesteps.tolist() == list(range(19, 1000, 20))
    assert torch.allclose(model.t_to_sigma(timesteps), model.sigmas, rtol=1e-5)
    ends = [float(model.sigmas[-1]), float(model.sigmas[0]), 0]
    assert model.uniform(2).tolist() == pytest.approx(ends, rel=1e-5)
    assert float(model.uniform(1)[0]) == pytest.approx(ends[0], rel=1e-5)


@pytest.mark.parametrize(("steps", "again", "times"), [(20, 9, 1), (35, 9, 1), (36, 9, 2), (60, 15, 2), (150, 37, 2)])
def test_restart_repeats_the_stretch_from_2_to_a_tenth(steps: int, again: int, times: int) -> None:
    plan = restart_steps(torch.tensor(sigma_schedule("Karras", steps)))
    base = sigma_schedule("Karras", steps - again * times)
    # As many steps as requested: what is repeated was taken off the base schedule.
    assert len(plan) == steps
    low = min(range(len(base)), key=lambda i: abs(base[i] - 0.1))
    high = min(range(len(base)), key=lambda i: abs(base[i] - 2))
    rises = [i for i in range(1, len(plan)) if plan[i][0] > plan[i - 1][1]]
    assert len(rises) == times
    for rise in rises:
        assert float(plan[rise - 1][1]) == pytest.approx(base[low], rel=1e-5)
        assert float(plan[rise][0]) == pytest.approx(base[high], rel=1e-5)
        # The stretch ends where it was left, in n steps.
        assert float(plan[rise + again - 1][1]) == pytest.approx(base[low], rel=1e-5)
    assert plan[-1][1] == 0


def test_ipndm_equals_lms_on_even_steps() -> None:
    """On even steps fixed weights and weights for any steps agree."""
    sigmas, x = torch.linspace(5, 1, 11, dtype=torch.float64), latent(1, 4, 8, 8, dtype=torch.float64)
    ipndm = SAMPLER_FUNCTIONS["IPNDM"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    lms = SAMPLER_FUNCTIONS["LMS"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ipndm - lms).abs().max()) <= 1e-12


def test_deis_is_near_the_scheduler_of_diffusers() -> None:
    """diffusers interpolates in log sigma, so only the limit of many steps is common."""
    scheduler = DEISMultistepScheduler(**BETAS, solver_order=3)
    scheduler.set_timesteps(200)
    sigmas = torch.as_tensor(scheduler.sigmas).clone()
    x = latent(1, 4, 8, 8)
    theirs = x.clone()
    for t in scheduler.timesteps:
        theirs = scheduler.step(NoiseModel()(theirs, float(t)), t, theirs).prev_sample
    start = x * (1 + sigmas[0] ** 2).sqrt()
    ours = SAMPLER_FUNCTIONS["DEIS"](SigmaView(), start, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 0.02
