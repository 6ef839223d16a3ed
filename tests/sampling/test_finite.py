"""A model that answers with NaN is found at the step that did it, and step control always comes to an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor

from modules.hardware.streams import SingleStream
from modules.parameters.samplers import sampler_labels
from modules.sampling import GuidanceOptions, ImageNoise, UnetOverflow, constant_conditions, finite, sample
from modules.sampling.conditioning import Conditioning
from modules.sampling.finite import FiniteAnswers, require_finite
from modules.sampling.options import SolverOptions
from modules.sampling.samplers import SAMPLER_FUNCTIONS, STEP_CONTROLLED_SAMPLERS
from modules.sampling.samplers.dpm_solver import StepSizeError
from modules.sampling.samplers.protocol import Denoiser
from tests.amounts import some
from tests.sampling.doubles import toy_conditioning, toy_unet
from tests.sampling.test_run import SHAPE, plan

BOUND = 3000  # calls
GOOD, BAD = torch.ones(2, 3), torch.tensor([1.0, float("nan"), 2.0])
ENDS = torch.tensor([14.6, 0.03])
CALM = SolverOptions()


class TooManyCalls(Exception):
    """The sampler goes on where it should have ended."""


def counted(answer: Callable[[Tensor, int], Tensor], bound: int = BOUND) -> tuple[Callable[..., Tensor], list[int]]:
    """A model of `answer(x, call)` that ends the test after `bound` calls, and its calls."""
    calls: list[int] = []

    def model(x: Tensor, _level: Tensor, _conditioning: Conditioning | None = None) -> Tensor:
        if len(calls) == bound:
            raise TooManyCalls
        calls.append(len(calls))
        return answer(x, calls[-1])

    return model, calls


@pytest.mark.parametrize("bad", some([float("nan"), float("inf"), -float("inf")], 1))
@pytest.mark.parametrize("label", sampler_labels())
def test_an_answer_that_is_no_number_ends_the_run_at_its_call(label: str, bad: float) -> None:
    last = 3
    unet, calls = counted(lambda x, call: x.new_full(x.shape, bad) if call == last else toy_unet_like(x))
    conditions = constant_conditions(toy_conditioning(1, seed=1), toy_conditioning(1, seed=2))
    with pytest.raises(UnetOverflow, match="NaNs was produced in Unet"):
        sample(plan(label, 10), unet, conditions, ImageNoise(SHAPE, [1], source="CPU"), GuidanceOptions())
    assert calls == list(range(last + 1))


def toy_unet_like(x: Tensor) -> Tensor:
    return toy_unet(x, torch.full((x.shape[0],), 500.0), toy_conditioning(x.shape[0]))


@pytest.mark.parametrize("label", sorted(STEP_CONTROLLED_SAMPLERS))
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_step_control_finds_nan_by_itself_where_the_flag_is_late(label: str, eta: float, bad: float) -> None:
    """On a card the answer's flag may arrive later; the error that the next step is chosen by is read at once."""
    model, calls = counted(lambda x, call: x * bad)
    denoiser = cast(Denoiser, model)
    with pytest.raises(UnetOverflow):
        SAMPLER_FUNCTIONS[label](
            denoiser, torch.randn(1, *SHAPE), ENDS, silent, SolverOptions(eta=eta), lambda step: None
        )
    assert len(calls) == 3


@pytest.mark.parametrize("label", sorted(STEP_CONTROLLED_SAMPLERS))
@pytest.mark.parametrize("size", some([1.0, 1e4, 1e20], 2))
def test_step_control_ends_on_a_model_without_rhyme_or_reason(label: str, size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    model, calls = counted(lambda x, call: torch.randn(x.shape, generator=generator) * size)
    with pytest.raises((StepSizeError, UnetOverflow)):
        SAMPLER_FUNCTIONS[label](cast(Denoiser, model), torch.randn(1, *SHAPE), ENDS, silent, CALM, lambda step: None)
    assert 3 <= len(calls) <= BOUND


def silent(_sigma: Tensor, _following: Tensor) -> Tensor:
    return torch.zeros(1, *SHAPE)


class Moment:
    """An event on a card that has not come so far until the test says so."""

    def __init__(self) -> None:
        self.over = False

    def query(self) -> bool:
        return self.over

    def synchronize(self) -> None:
        raise AssertionError("nobody waits for a flag")


class LateStreams(SingleStream):
    """A card that is behind the processor."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def current_event(self) -> Moment:  # type: ignore[override]  # a fake of torch's event
        self.moments.append(Moment())
        return self.moments[-1]


def test_a_card_is_never_waited_for_and_its_flags_are_read_once_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = LateStreams()
    monkeypatch.setattr(finite, "streams_for", lambda _device: streams)
    answers = FiniteAnswers()
    for answer in (GOOD, BAD, GOOD):
        answers.check(answer)  # the second one's flag is still on its way
    streams.moments[0].over = True
    answers.check(GOOD)
    streams.moments[1].over = True
    with pytest.raises(UnetOverflow):
        answers.check(GOOD)


def test_on_a_cpu_the_answer_itself_is_checked() -> None:
    answers = FiniteAnswers()
    answers.check(GOOD)
    with pytest.raises(UnetOverflow):
        answers.check(BAD)


def test_a_finished_latent_is_finite() -> None:
    require_finite(GOOD)
    with pytest.raises(UnetOverflow):
        require_finite(BAD)
