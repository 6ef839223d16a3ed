"""Guidance combines the answers to all conditions, with as few model calls as give the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from modules.sampling.conditioning import (
    Conditioning,
    Part,
    StepConditions,
    constant_conditions,
    of_image,
    pad_with_empty,
    stack_rows,
)
from modules.sampling.denoiser import SigmaPrediction, TimestepPrediction
from modules.sampling.guidance import Guidance, GuidanceOptions
from modules.sampling.inpainting import InpaintMask
from modules.sampling.model_schedule import sd1_sigmas
from tests.sampling.doubles import latent, toy_conditioning, toy_unet

X = latent(2, 4, 6, 6) * 3
SIGMA = torch.tensor(3.0)


@dataclass
class CountingUNet:
    """The toy UNet, keeping the number of rows and tokens of each call."""

    calls: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        assert x.shape[0] == conditioning.rows == timesteps.shape[0]
        self.calls.append((conditioning.rows, conditioning.tokens))
        return toy_unet(x, timesteps, conditioning)


def guidance(
    options: GuidanceOptions,
    conditions: Callable[[int], StepConditions] | None = None,
    unet: CountingUNet | None = None,
    **given: object,
) -> Guidance:
    chosen = conditions or constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    prediction = SigmaPrediction(unet or CountingUNet(), sd1_sigmas())
    return Guidance(prediction, chosen, options, total_calls=20, **given)  # type: ignore[arg-type]  # fields of any type


def answer(text: Conditioning, x: Tensor = X) -> Tensor:
    return SigmaPrediction(toy_unet, sd1_sigmas())(x, SIGMA, text, None)


def test_plain_guidance_in_one_batch() -> None:
    unet = CountingUNet()
    found = guidance(GuidanceOptions(cfg_scale=7.5), unet=unet)(X, SIGMA)
    cond, uncond = answer(toy_conditioning(2, seed=1)), answer(toy_conditioning(2, seed=2))
    assert torch.allclose(found, uncond + 7.5 * (cond - uncond), atol=1e-5)
    assert unet.calls == [(4, 77)]


def test_texts_of_different_length_are_run_apart_and_give_the_same() -> None:
    unet = CountingUNet()
    conditions = constant_conditions(toy_conditioning(2, 154, seed=1), toy_conditioning(2, 77, seed=2))
    found = guidance(GuidanceOptions(), conditions, unet)(X, SIGMA)
    cond, uncond = answer(toy_conditioning(2, 154, seed=1)), answer(toy_conditioning(2, 77, seed=2))
    assert torch.allclose(found, uncond + 7 * (cond - uncond), atol=1e-5)
    assert unet.calls == [(2, 154), (2, 77)]


def test_one_batch_can_be_switched_off() -> None:
    unet = CountingUNet()
    found = guidance(GuidanceOptions(one_batch=False), unet=unet)(X, SIGMA)
    assert unet.calls == [(2, 77), (2, 77)]
    assert torch.allclose(found, guidance(GuidanceOptions())(X, SIGMA), atol=1e-5)


def test_scale_1_needs_no_negative_prompt() -> None:
    unet = CountingUNet()
    found = guidance(GuidanceOptions(cfg_scale=1.0), unet=unet)(X, SIGMA)
    assert unet.calls == [(2, 77)]
    assert torch.equal(found, answer(toy_conditioning(2, seed=1)))


def parts(*weights: float, image: int = 0) -> tuple[Part, ...]:
    return tuple(Part(toy_conditioning(1, seed=10 * image + k + 1), weight) for k, weight in enumerate(weights))


def expected_and(own: tuple[Part, ...], scale: float, row: int) -> Tensor:
    x = X[row : row + 1]
    uncond = answer(toy_conditioning(1, seed=99), x)
    return uncond + sum(part.weight * scale * (answer(part.conditioning, x) - uncond) for part in own)


@pytest.mark.parametrize("scale", [7.0, 1.0])
def test_and_parts_with_weights_differ_from_image_to_image(scale: float) -> None:
    first, second = parts(1.0, -0.5, 2.2), parts(0.6, image=1)
    negative = toy_conditioning(1, seed=99)
    unet = CountingUNet()
    found = guidance(
        GuidanceOptions(cfg_scale=scale), lambda c: StepConditions((first, second), (negative, negative)), unet
    )(X, SIGMA)
    # At scale 1 the weights do not add up to 1, so the negative prompt still counts.
    assert unet.calls == [(6, 77)]
    assert torch.allclose(found[:1], expected_and(first, scale, 0), atol=1e-5)
    assert torch.allclose(found[1:], expected_and(second, scale, 1), atol=1e-5)


def test_conditions_follow_the_count_of_calls() -> None:
    seen: list[int] = []

    def conditions(call: int) -> StepConditions:
        seen.append(call)
        return constant_conditions(toy_conditioning(2, seed=call), toy_conditioning(2, seed=50))(call)

    denoiser = guidance(GuidanceOptions(cfg_scale=1), conditions)
    for call in range(3):
        assert torch.equal(denoiser(X, SIGMA), answer(toy_conditioning(2, seed=call)))
    assert seen == [0, 1, 2] and denoiser.calls == 3


def test_the_hook_runs_before_each_call_and_may_end_the_run() -> None:
    class Stop(Exception):
        pass

    def before(call: int) -> None:
        if call == 2:
            raise Stop

    unet = CountingUNet()
    denoiser = guidance(GuidanceOptions(), unet=unet, before_call=before)
    denoiser(X, SIGMA)
    latest = denoiser(X, SIGMA)
    with pytest.raises(Stop):
        denoiser(X, SIGMA)
    assert len(unet.calls) == 2
    assert denoiser.last_denoised is not None and torch.equal(denoiser.last_denoised, latest)


@pytest.mark.parametrize(("every", "spared"), [(False, [1, 3]), (True, [0, 1, 2, 3])])
def test_negative_guidance_minimum_sigma_spares_odd_calls_or_all(every: bool, spared: list[int]) -> None:
    unet = CountingUNet()
    denoiser = guidance(GuidanceOptions(min_sigma=3.5, min_sigma_all=every), unet=unet)
    full = guidance(GuidanceOptions())(X, SIGMA)
    for call in range(4):
        found = denoiser(X, SIGMA)
        wanted = answer(toy_conditioning(2, seed=1)) if call in spared else full
        assert torch.allclose(found, wanted, atol=1e-5)
    assert [rows for rows, _ in unet.calls] == [2 if call in spared else 4 for call in range(4)]


def test_above_the_minimum_sigma_nothing_is_spared() -> None:
    unet = CountingUNet()
    denoiser = guidance(GuidanceOptions(min_sigma=2.5, min_sigma_all=True), unet=unet)
    denoiser(X, SIGMA)
    assert unet.calls == [(4, 77)]


def test_skipping_early_guidance_counts_in_parts_of_all_calls() -> None:
    unet = CountingUNet()
    denoiser = guidance(GuidanceOptions(skip_early=0.1), unet=unet)
    for _ in range(5):
        denoiser(X, SIGMA)
    # Calls 0, 1 and 2 of 20: c / 20 <= 0.1.
    assert [rows for rows, _ in unet.calls] == [2, 2, 2, 4, 4]


def test_a_spared_call_with_and_parts_takes_the_first_text_as_negative() -> None:
    own = parts(1.0, 0.5)
    conditions = StepConditions((own, own), (toy_conditioning(1, seed=99),) * 2)
    found = guidance(GuidanceOptions(min_sigma=9, min_sigma_all=True), lambda c: conditions)(X, SIGMA)
    first, second = (answer(stack_rows([part.conditioning] * 2)) for part in own)
    assert torch.allclose(found, first + 0.5 * (second - first), atol=1e-5)


def test_padding_with_the_empty_prompt_makes_one_batch() -> None:
    empty, unet = toy_conditioning(1, 77, seed=7).context, CountingUNet()
    conditions = constant_conditions(toy_conditioning(2, 77, seed=1), toy_conditioning(2, 231, seed=2))
    found = guidance(GuidanceOptions(pad_with_empty=True, empty_context=empty), conditions, unet)(X, SIGMA)
    assert unet.calls == [(4, 231)]
    longer = Conditioning(torch.cat([toy_conditioning(2, 77, seed=1).context, empty.repeat(2, 2, 1)], 1))
    cond, uncond = answer(longer), answer(toy_conditioning(2, 231, seed=2))
    assert torch.allclose(found, uncond + 7 * (cond - uncond), atol=1e-5)


@pytest.mark.parametrize("tokens", [77, 231])
def test_the_old_padding_repeats_or_cuts_the_negative_prompt(tokens: int) -> None:
    unet = CountingUNet()
    conditions = constant_conditions(toy_conditioning(2, 154, seed=1), toy_conditioning(2, tokens, seed=2))
    guidance(GuidanceOptions(pad_with_last=True), conditions, unet)(X, SIGMA)
    assert unet.calls == [(4, 154)]


def test_rows_are_laid_out_once_while_the_conditions_stay() -> None:
    denoiser = guidance(GuidanceOptions())
    denoiser(X, SIGMA)
    before = denoiser._laid_out
    denoiser(X, SIGMA)
    assert denoiser._laid_out is before


def test_instruct_pix2pix_guides_by_text_and_image() -> None:
    image = latent(2, 4, 6, 6, seed=8)
    prediction = SigmaPrediction(toy_unet, sd1_sigmas())
    cond_text, negative = toy_conditioning(2, seed=1), toy_conditioning(2, seed=2)
    found = Guidance(
        prediction,
        constant_conditions(cond_text, negative),
        GuidanceOptions(cfg_scale=7.5, image_cfg_scale=1.5),
        total_calls=20,
        extra_channels=image,
    )(X, SIGMA)
    cond = prediction(X, SIGMA, cond_text, image)
    only_image = prediction(X, SIGMA, negative, image)
    neither = prediction(X, SIGMA, negative, torch.zeros_like(image))
    assert torch.allclose(found, neither + 7.5 * (cond - only_image) + 1.5 * (only_image - neither), atol=1e-5)


def test_inpainting_blends_the_answer_of_sigma_samplers() -> None:
    mask = InpaintMask(latent(2, 4, 6, 6, seed=5), (latent(1, 1, 6, 6, seed=6) > 0).float())
    found = guidance(GuidanceOptions(), mask=mask)(X, SIGMA)
    plain = guidance(GuidanceOptions())(X, SIGMA)
    keep = mask.keep.expand_as(found).bool()
    assert torch.equal(found[keep], mask.init[keep]) and torch.equal(found[~keep], plain[~keep])


def test_inpainting_blends_the_input_of_timestep_samplers() -> None:
    mask = InpaintMask(latent(2, 4, 6, 6, seed=5), (latent(1, 1, 6, 6, seed=6) > 0).float())
    conditions = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    prediction, t = TimestepPrediction(toy_unet, sd1_sigmas()), torch.tensor(601.0)
    options = GuidanceOptions()
    found = Guidance(prediction, conditions, options, total_calls=20, mask=mask)(X, t)
    assert torch.equal(found, Guidance(prediction, conditions, options, total_calls=20)(mask.blend(X, t), t))


def test_cfgpp_keeps_the_unconditional_answer_even_at_scale_1() -> None:
    unet = CountingUNet()
    denoiser = guidance(GuidanceOptions(cfg_scale=12.5), unet=unet, keep_uncond=True, scale_factor=1 / 12.5)
    found = denoiser(X, SIGMA)
    assert unet.calls == [(4, 77)]
    assert torch.allclose(found, answer(toy_conditioning(2, seed=1)), atol=1e-5)
    assert denoiser.last_uncond is not None
    assert torch.allclose(denoiser.last_uncond, answer(toy_conditioning(2, seed=2)), atol=1e-6)


def test_shorter_texts_repeat_their_last_token() -> None:
    short, long = toy_conditioning(1, 77, seed=1), toy_conditioning(1, 154, seed=2)
    stacked = stack_rows([short, long]).context
    assert stacked.shape == (2, 154, 8)
    assert torch.equal(stacked[0, 77:], short.context[0, -1:].expand(77, 8))


def test_added_conditioning_is_stacked_and_cut_along() -> None:
    items = [Conditioning(torch.zeros(1, 2, 3), {"vector": torch.full((1, 5), float(k))}) for k in range(3)]
    stacked = stack_rows(items)
    assert stacked.added["vector"][:, 0].tolist() == [0, 1, 2]
    assert stacked.slice(1, 2).added["vector"][:, 0].tolist() == [1]
    assert pad_with_empty(items[0], 4, torch.ones(1, 2, 3)).added is items[0].added


def test_one_image_of_the_conditions() -> None:
    first, second = parts(1.0), parts(2.0, image=1)
    negatives = (toy_conditioning(1, seed=1), toy_conditioning(1, seed=2))
    alone = of_image(lambda c: StepConditions((first, second), negatives), 1)(0)
    assert alone.positive == (second,) and alone.negative[0] is negatives[1]
