"""The refiner's switch: at which call it is due, and what goes on behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import resolve_sampler
from modules.sampling import (
    Conditioning,
    GuidanceOptions,
    GuidedUNet,
    ImageNoise,
    Interrupted,
    RefinerSwitch,
    SamplingPlan,
    constant_conditions,
    plan_run,
    sample,
    sd1_sigmas,
)
from tests.sampling.doubles import toy_conditioning, toy_unet

SHAPE = (4, 8, 8)


def plan(label: str, schedule: str | None = None, steps: int = 20) -> SamplingPlan:
    return plan_run(resolve_sampler(label, schedule), steps, sd1_sigmas(), SamplerOptions())


def unreachable() -> GuidedUNet:
    raise AssertionError("loaded")


@pytest.mark.parametrize(
    ("label", "schedule", "steps", "first"),
    [
        ("Euler", "Uniform", 20, (10, 12, 16, 18)),
        ("Euler", "Uniform", 30, (15, 18, 24, 27)),
        ("Euler", "Karras", 20, (9, 10, 12, 14)),
        ("Euler", "Karras", 30, (14, 15, 19, 21)),
        ("Euler", "Exponential", 20, (7, 8, 10, 12)),
        ("Euler", "Exponential", 30, (11, 12, 16, 18)),
        ("DDIM", None, 20, (10, 12, 16, 18)),
    ],
)
def test_the_first_call_is_that_of_a1111(label: str, schedule: str | None, steps: int, first: tuple[int, ...]) -> None:
    """Recorded there, for a switch at 0.5, 0.6, 0.8 and 0.9."""
    made = plan(label, schedule, steps)
    levels = made.levels[made.levels > 0] if made.sampler.family == "sigma" else made.levels.flip(0)
    found = []
    for at in (0.5, 0.6, 0.8, 0.9):
        switch = RefinerSwitch(at, unreachable)
        found.append(next(call for call, level in enumerate(levels) if switch.is_due(made, call, level)))
    assert tuple(found) == first
    assert not any(RefinerSwitch(1.0, unreachable).is_due(made, 0, level) for level in levels)


def test_by_calls_the_level_does_not_count() -> None:
    made, highest = plan("Heun", "Karras"), torch.tensor(14.6)
    due = [RefinerSwitch(0.8, unreachable, by_calls=True).is_due(made, call, highest) for call in range(40)]
    assert due == [call >= 32 for call in range(40)], "two calls a step"


def refined(
    label: str,
    at: float,
    *,
    seeds: tuple[int, ...] = (1,),
    load: Callable[[], GuidedUNet] | None = None,
    before_call: Callable[[int], None] | None = None,
) -> tuple[Tensor, list[str]]:
    """A run that begins with one UNet and goes on with another, and which of them answered each call."""
    calls: list[str] = []

    def named(name: str, sign: float) -> Any:
        def unet(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            calls.append(name)
            return toy_unet(x, timesteps, conditioning) * sign

        return unet

    rows = len(seeds)
    conditions = constant_conditions(toy_conditioning(rows, seed=1), toy_conditioning(rows, seed=2))
    others = constant_conditions(toy_conditioning(rows, seed=3), toy_conditioning(rows, seed=4))
    second = GuidedUNet(named("refiner", 0.5), others, GuidanceOptions(cfg_scale=3), sd1_sigmas())
    switch = RefinerSwitch(at, load or (lambda: second), by_calls=True)
    made = sample(
        plan(label, steps=10),
        named("base", 1.0),
        conditions,
        ImageNoise(SHAPE, seeds, source="CPU"),
        GuidanceOptions(),
        refiner=switch,
        before_call=before_call,
    )
    return made, calls


@pytest.mark.parametrize("label", ["Euler a", "DPM++ 2M SDE", "DDIM", "UniPC", "LCM", "DDIM CFG++"])
def test_it_answers_every_call_from_the_switch_on(label: str) -> None:
    made, calls = refined(label, 0.5)
    switched = calls.index("refiner")
    assert switched > 0 and set(calls[switched:]) == {"refiner"} and set(calls[:switched]) == {"base"}
    never, only_base = refined(label, 1.1, load=unreachable)
    assert set(only_base) == {"base"} and len(only_base) == len(calls)
    assert not torch.equal(made, never)


def test_whoever_interrupts_while_it_loads_gets_the_latest_estimate() -> None:
    loaded: list[bool] = []

    def never_loaded(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        raise AssertionError("called")

    def load() -> GuidedUNet:
        loaded.append(True)
        conditions = constant_conditions(toy_conditioning(1), toy_conditioning(1))
        return GuidedUNet(never_loaded, conditions, GuidanceOptions(), sd1_sigmas())

    def before_call(call: int) -> None:
        if loaded:
            raise Interrupted

    stopped, calls = refined("Euler", 0.5, load=load, before_call=before_call)
    assert len(loaded) == 1 and len(calls) == 5
    assert torch.isfinite(stopped).all()


def test_samplers_with_steps_of_their_own_take_one_image() -> None:
    with pytest.raises(ValueError, match="one image at a time"):
        refined("DPM adaptive", 0.5, seeds=(1, 2))
    assert set(refined("DPM adaptive", 0.5)[1]) == {"base", "refiner"}
