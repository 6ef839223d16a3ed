"""Hooks see the answers as estimates of the finished latent, and act in their order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modules.sampling.conditioning import Conditioning, Part, StepConditions, constant_conditions
from modules.sampling.denoiser import SigmaPrediction, TimestepPrediction
from modules.sampling.guidance import Guidance, GuidanceOptions
from modules.sampling.hooks import CallPosition, GuidedCall, SamplingHook
from modules.sampling.model_schedule import sd1_sigmas
from tests.sampling.doubles import latent, toy_conditioning, toy_unet

X = latent(2, 4, 6, 6) * 3
CONDITIONS = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
KINDS = [(SigmaPrediction, 3.0), (TimestepPrediction, 400.0)]


class Noting(SamplingHook):
    """Notes what it sees, and leaves it."""

    def __init__(self) -> None:
        self.seen: list[GuidedCall] = []
        self.begun: list[CallPosition] = []

    def begin_call(self, at: CallPosition) -> None:
        self.begun.append(at)

    def guide(self, guided: GuidedCall) -> Tensor:
        self.seen.append(guided)
        return guided.combined


class AtScale(SamplingHook):
    """Guides at another scale."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def guide(self, guided: GuidedCall) -> Tensor:
        return guided.guided(self._scale)


def answer(kind: type[SigmaPrediction] | type[TimestepPrediction], level: float, *hooks: SamplingHook) -> Tensor:
    options = GuidanceOptions(cfg_scale=7.0, hooks=hooks)
    made = Guidance(kind(toy_unet, sd1_sigmas()), CONDITIONS, options, total_calls=10, images=range(2))
    return made(X, torch.tensor(level))


@pytest.mark.parametrize(("kind", "level"), KINDS)
def test_a_hook_that_leaves_the_estimate_leaves_the_answer(
    kind: type[SigmaPrediction] | type[TimestepPrediction], level: float
) -> None:
    noting = Noting()
    assert torch.equal(answer(kind, level, noting), answer(kind, level))
    assert [(at.call, at.share, at.images) for at in noting.begun] == [(0, 0.0, range(2))]


@pytest.mark.parametrize(("kind", "level"), KINDS)
def test_a_hook_can_guide_at_another_scale(
    kind: type[SigmaPrediction] | type[TimestepPrediction], level: float
) -> None:
    options = GuidanceOptions(cfg_scale=3.0)
    wanted = Guidance(kind(toy_unet, sd1_sigmas()), CONDITIONS, options, total_calls=10)(X, torch.tensor(level))
    torch.testing.assert_close(answer(kind, level, AtScale(3.0)), wanted, rtol=1e-4, atol=1e-5)


def test_hooks_act_in_their_order_and_can_call_the_model_again() -> None:
    noting = Noting()
    answer(SigmaPrediction, 3.0, AtScale(2.0), noting)
    (seen,) = noting.seen
    assert seen.uncond is not None
    torch.testing.assert_close(seen.combined, seen.uncond + (seen.conds - seen.uncond) * 2)
    assert torch.equal(seen.predict(X, False), seen.conds) and torch.equal(seen.predict(X, True), seen.uncond)
    assert torch.equal(seen.cond, seen.conds)


def test_of_prompts_joined_with_and_each_image_has_one_answer() -> None:
    texts = [toy_conditioning(1, seed=seed) for seed in (1, 2, 3)]
    step = StepConditions(
        ((Part(texts[0], 1.0), Part(texts[1], 3.0)), (Part(texts[2], 1.0),)),
        (toy_conditioning(1, seed=4), toy_conditioning(1, seed=5)),
    )
    noting = Noting()
    options = GuidanceOptions(cfg_scale=7.0, hooks=(noting,))
    wanted = Guidance(SigmaPrediction(toy_unet, sd1_sigmas()), lambda call: step, options, total_calls=1)(
        X, torch.tensor(3.0)
    )
    (seen,) = noting.seen
    torch.testing.assert_close(seen.cond[0], (seen.conds[0] + 3 * seen.conds[1]) / 4)
    torch.testing.assert_close(seen.guided(7.0), wanted)


class Dimmed(SamplingHook):
    """Shows negative prompts a lower noise level."""

    def shown_level(self, level: Tensor, at: CallPosition, *, negative: bool) -> Tensor:
        return level * 0.5 if negative else level


def test_a_hook_can_show_each_side_another_noise_level() -> None:
    def alone(text: Conditioning, level: float) -> Tensor:
        return SigmaPrediction(toy_unet, sd1_sigmas())(X, torch.tensor(level), text, None)

    cond, uncond = alone(toy_conditioning(2, seed=1), 3.0), alone(toy_conditioning(2, seed=2), 1.5)
    torch.testing.assert_close(answer(SigmaPrediction, 3.0, Dimmed()), uncond + (cond - uncond) * 7.0)


class Spared(Noting):
    """Notes whether there was an answer to the negative prompt."""


def test_where_the_negative_prompt_was_spared_there_is_no_answer_to_it() -> None:
    spared = Spared()
    options = GuidanceOptions(cfg_scale=1.0, hooks=(spared,))
    Guidance(SigmaPrediction(toy_unet, sd1_sigmas()), CONDITIONS, options, total_calls=1)(X, torch.tensor(3.0))
    assert spared.seen[0].uncond is None
    assert torch.equal(spared.seen[0].guided(5.0), spared.seen[0].combined)


class Sparing(Noting):
    """Spares the negative prompt in the first half of the run."""

    def spares_negative(self, at: CallPosition) -> bool:
        return at.share < 0.5


def test_a_hook_can_spare_the_negative_prompt_for_some_calls() -> None:
    sparing = Sparing()
    options = GuidanceOptions(cfg_scale=7.0, hooks=(sparing,))
    run = Guidance(SigmaPrediction(toy_unet, sd1_sigmas()), CONDITIONS, options, total_calls=2)
    first, second = (run(X, torch.tensor(3.0)) for _ in range(2))
    assert [seen.uncond is None for seen in sparing.seen] == [True, False]
    assert torch.equal(first, sparing.seen[0].conds)
    assert torch.equal(second, answer(SigmaPrediction, 3.0))


def test_a_latent_is_its_image_in_a_known_scale_and_noise() -> None:
    noting = Noting()
    answer(SigmaPrediction, 3.0, noting)
    answer(TimestepPrediction, 400.0, noting)
    alpha_bar = sd1_sigmas().alphas_cumprod[400]
    assert [seen.image_scale for seen in noting.seen] == [1.0, pytest.approx(float(alpha_bar.sqrt()))]
