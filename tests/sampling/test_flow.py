"""Models trained by flow matching: schedules, starts, whole runs and every sampler, against diffusers and exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from modules.catalogue.refusals import sampler_refusal
from modules.families import FlowTraining
from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import resolve_sampler, sampler_labels
from modules.parameters.schedules import SCHEDULES, resolve_schedule
from modules.sampling import (
    FlowSigmas,
    GuidanceOptions,
    ImageNoise,
    InpaintMask,
    SamplingPlan,
    Step,
    build_sigmas,
    constant_conditions,
    plan_run,
    sample,
)
from modules.sampling.conditioning import Conditioning
from modules.sampling.samplers import FLOW_SAMPLER_FUNCTIONS
from tests.amounts import some
from tests.sampling.doubles import latent

SHIFT_3 = FlowSigmas(FlowTraining(3.0))
TEXT = Conditioning(torch.zeros(1, 1, 1))
# Four steps at shift 3, as ComfyUI and Forge take them; computed apart.
GOLDEN = {
    "Automatic": "1 .9 .75 .5 0",
    "Uniform": "1 .9 .75 .5 0",
    "Simple": "1 .9 .75 .5 0",
    "SGM Uniform": "1 .9004 .7511 .503 0",
    "Normal": "1 .8577 .6022 .0089 0",
    "Beta": "1 .9335 .7507 .3922 0",
}
OTHER_SHIFTS = {1.0: "1 .75 .5 .25 0", 3.1582: "1 .9045 .7595 .5128 0", 7.54: "1 .9577 .8829 .7154 0"}
RUNNING = [label for label in sampler_labels() if resolve_sampler(label).sampler.flow_instead is None]


def velocity(x: Tensor, time: Tensor) -> Tensor:
    """What a toy model answers: nothing that a sampler could profit from."""
    return torch.tanh(x * 0.8 + time.reshape(-1, 1, 1, 1)) - 0.3 * x.flip(1)


def unet(x: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
    return velocity(x, timesteps)


def run(plan: SamplingPlan, **inputs: Any) -> Tensor:
    noise = ImageNoise((4, 6, 8), [7, 8], source="CPU")
    return sample(plan, unet, constant_conditions(TEXTS, TEXTS), noise, GuidanceOptions(1.0), **inputs)


TEXTS = Conditioning(torch.zeros(2, 1, 1))


def first_noise() -> Tensor:
    return ImageNoise((4, 6, 8), [7, 8], source="CPU").draw()


def theirs(steps: int, shift: float = 3.0) -> Any:
    """Its annotations are of types that PyTorch no longer has."""
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist())
    return scheduler


@pytest.mark.parametrize("label", GOLDEN)
def test_schedules_are_the_known_ones(label: str) -> None:
    found = build_sigmas(resolve_schedule(label), 4, SHIFT_3, SamplerOptions())
    assert found.tolist() == pytest.approx([float(value) for value in GOLDEN[label].split()], abs=5.1e-5)


@pytest.mark.parametrize("shift", OTHER_SHIFTS)
def test_other_shifts_move_the_levels(shift: float) -> None:
    found = build_sigmas(resolve_schedule("Simple"), 4, FlowSigmas(FlowTraining(shift)), SamplerOptions())
    assert found.tolist() == pytest.approx([float(value) for value in OTHER_SHIFTS[shift].split()], abs=6e-5)


@pytest.mark.parametrize("steps", [1, 4, 9, 28])
@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0])
def test_automatic_levels_are_those_of_diffusers(steps: int, shift: float) -> None:
    found = build_sigmas(resolve_schedule("Automatic"), steps, FlowSigmas(FlowTraining(shift)), SamplerOptions())
    torch.testing.assert_close(found, theirs(steps, shift).sigmas, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("schedule", [schedule for schedule in SCHEDULES if schedule.flow_instead is None])
def test_every_schedule_descends_to_the_picture(schedule: Any) -> None:
    found = build_sigmas(schedule, 10, SHIFT_3, SamplerOptions())
    assert bool((found.diff() < 0).all()) and float(found[-1]) == 0 and 0.9 < float(found[0]) <= 1


def test_beta_leaves_out_levels_that_come_twice() -> None:
    """At the ends the quantiles lie closer than the trained levels."""
    found = build_sigmas(resolve_schedule("Beta"), 400, SHIFT_3, SamplerOptions())
    assert len(found) < 401 and bool((found.diff() < 0).all())


def test_a_run_from_noise_is_that_of_diffusers() -> None:
    scheduler, x = theirs(9), first_noise()
    for time, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        x = scheduler.step(velocity(x, sigma.expand(2)), time, x, return_dict=False)[0]
    found = run(plan_run(resolve_sampler("Euler"), 9, SHIFT_3, SamplerOptions()))
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("inpainting", [False, True])
def test_a_run_from_a_picture_is_that_of_diffusers(inpainting: bool) -> None:
    """Noise is mixed in, not added; what a mask keeps is the picture at each level, with the noise it began with."""
    picture, noise, keep = latent(2, 4, 6, 8, seed=5), first_noise(), torch.zeros(6, 8)
    keep[:, :3] = 1
    scheduler = theirs(10)
    plan = plan_run(resolve_sampler("Euler"), 10, SHIFT_3, SamplerOptions(), strength=0.55)
    times = scheduler.timesteps[-plan.steps :]
    scheduler.set_begin_index(10 - plan.steps)
    x = scheduler.scale_noise(picture, times[:1].expand(2), noise)
    for place, time in enumerate(times):
        x = scheduler.step(velocity(x, (time / 1000).expand(2)), time, x, return_dict=False)[0]
        after = float(times[place + 1]) / 1000 if place + 1 < len(times) else 0.0
        if inpainting:
            x = keep * ((1 - after) * picture + after * noise) + (1 - keep) * x
    mask = InpaintMask(picture, keep) if inpainting else None
    found = run(plan, init_latent=picture, mask=mask)
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-5)
    assert plan.steps == 6


def test_previews_show_estimates_of_the_picture() -> None:
    seen: list[Step] = []
    run(plan_run(resolve_sampler("Euler"), 4, SHIFT_3, SamplerOptions()), on_step=seen.append)
    for step in seen:
        expected = step.x - step.level * velocity(step.x, step.level.expand(2))
        torch.testing.assert_close(step.denoised, expected)


def test_extra_noise_follows_the_share_of_the_picture() -> None:
    options = SamplerOptions(img2img_extra_noise=0.5)
    plan = plan_run(resolve_sampler("Euler"), 10, SHIFT_3, options, strength=0.55)
    start = float(plan.start)
    found = plan.starting_latent(torch.ones(1), torch.full((1,), 2.0))
    assert float(found) == pytest.approx(2 * (1 - start) + start + 0.5 * (1 - start))


class GaussianFlow:
    """The best answers when pictures come from one normal distribution, for which every run's end is known."""

    MEAN, DEVIATION = 0.7, 0.4

    def __call__(self, x: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
        s = timesteps.reshape(-1, 1, 1, 1)
        variance = (1 - s) ** 2 * self.DEVIATION**2 + s**2
        apart = x - (1 - s) * self.MEAN
        picture = self.MEAN + (1 - s) * self.DEVIATION**2 / variance * apart
        # Noise of which the picture is this estimate: where nothing but noise is left, no quotient is needed.
        noise = s / variance * apart
        return noise - picture


@pytest.mark.parametrize("label", some(RUNNING, 6))
def test_every_sampler_ends_where_the_distribution_does(label: str) -> None:
    """At eta 0 on the exact solution, otherwise with its mean and deviation."""
    choice = resolve_sampler(label, "Simple")
    noise = ImageNoise((4, 32, 32), [3], source="CPU")
    random = label in ("LCM", "DDPM")
    plan = plan_run(choice, 60, FlowSigmas(FlowTraining(1.0)), SamplerOptions(), eta=0.0)
    found = sample(plan, GaussianFlow(), constant_conditions(TEXT, TEXT), noise, GuidanceOptions(1.0))
    if random:
        assert float(found.mean()) == pytest.approx(GaussianFlow.MEAN, abs=0.03)
    else:
        exact = GaussianFlow.MEAN + GaussianFlow.DEVIATION * ImageNoise((4, 32, 32), [3], source="CPU").draw()
        torch.testing.assert_close(found, exact, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    "label", some([label for label in RUNNING if resolve_sampler(label).sampler.eta is not None], 3)
)
def test_noise_that_is_put_on_keeps_the_deviation(label: str) -> None:
    plan = plan_run(resolve_sampler(label, "Simple"), 60, FlowSigmas(FlowTraining(1.0)), SamplerOptions(), eta=1.0)
    noise = ImageNoise((4, 32, 32), [3], source="CPU")
    found = sample(plan, GaussianFlow(), constant_conditions(TEXT, TEXT), noise, GuidanceOptions(1.0))
    assert float(found.mean()) == pytest.approx(GaussianFlow.MEAN, abs=0.03)
    assert float(found.std()) == pytest.approx(GaussianFlow.DEVIATION, abs=0.03)
    calm = ImageNoise((4, 32, 32), [3], source="CPU").draw()
    assert not torch.allclose(found, GaussianFlow.MEAN + GaussianFlow.DEVIATION * calm, atol=0.1)


def test_ancestral_steps_are_those_of_the_rule() -> None:
    """One step worked out by hand: down to .9 of .5 steps below, and new noise up to .5."""
    draws = torch.full((1, 1, 1, 1), 2.0)
    levels = torch.tensor([0.8, 0.5, 0.0])
    x, seen = torch.ones(1, 1, 1, 1), []

    class Denoiser:
        alphas_cumprod, last_uncond = torch.empty(0), None

        def __call__(self, x: Tensor, level: Tensor) -> Tensor:
            seen.append(float(x))
            return torch.zeros_like(x)

    options = plan_run(resolve_sampler("Euler a"), 2, SHIFT_3, SamplerOptions()).solver
    FLOW_SAMPLER_FUNCTIONS["Euler a"](Denoiser(), x, levels, lambda a, b: draws, options, lambda step: None)
    down = 0.5 * (1 + (0.5 / 0.8 - 1))
    deviation = (0.5**2 - down**2 * 0.5**2 / (1 - down) ** 2) ** 0.5
    assert seen[1] == pytest.approx(down / 0.8 * 0.5 / (1 - down) + 2 * deviation, rel=1e-5)


def test_what_can_not_sample_a_flow_names_what_can() -> None:
    assert set(RUNNING) == set(FLOW_SAMPLER_FUNCTIONS)
    refused = []
    for label in sampler_labels():
        choice = resolve_sampler(label, "Simple")
        why = sampler_refusal(choice, "flow", "z.safetensors")
        instead = choice.sampler.flow_instead
        assert (why is None) == (instead is None), label
        if instead is not None:
            assert label in (why or "") and instead in (why or "") and instead in RUNNING
            refused.append(label)
    assert refused == [
        "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "TCD",
    ]  # fmt: skip
    for schedule in SCHEDULES:
        why = sampler_refusal(resolve_sampler("Euler", schedule.label), "flow", "z.safetensors")
        assert (why is None) == (schedule.flow_instead is None)
        assert why is None or (schedule.label in why and "Simple" in why)
