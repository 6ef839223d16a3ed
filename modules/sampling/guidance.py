"""Classifier-free guidance: the denoiser that samplers call, made of the model's answers to all conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.sampling.conditioning import (
    Conditioning,
    ConditionsAt,
    RowWeight,
    StepConditions,
    pad_with_empty,
    repeat_last_token,
    stack_rows,
)
from modules.sampling.denoiser import Prediction
from modules.sampling.finite import FiniteAnswers
from modules.sampling.hooks import CallPosition, GuidedCall, SamplingHook, overriding
from modules.sampling.inpainting import InpaintMask
from modules.settings.choices import PreviewContent

# Which estimate a preview shows: the one that is sampled with, or that of the prompt or of the negative prompt alone.


@dataclass(frozen=True, slots=True)
class GuidanceOptions:
    """How conditions are weighed, and when the negative prompt's model call is spared.

    `cfg_scale`: Ho & Salimans (2022), arXiv:2207.12598. `image_cfg_scale`, if not None, makes this the three-way
    guidance of instruct-pix2pix (Brooks et al. 2023, arXiv:2211.09800). `min_sigma` is A1111's NGMS: below it every
    second call (or, with `min_sigma_all`, each) goes without the negative prompt; `skip_early` does so for that
    fraction of the first calls. `empty_context` is the empty prompt's encoding for `pad_with_empty`.
    `on_effect` is called with the name of each option that really changes an answer. `shown` is for previews only.
    `hooks` are those of features, in the order in which they act.
    """

    cfg_scale: float = 7.0
    image_cfg_scale: float | None = None
    min_sigma: float = 0.0
    min_sigma_all: bool = False
    skip_early: float = 0.0
    pad_with_empty: bool = False
    pad_with_last: bool = False
    empty_context: Tensor | None = None
    one_batch: bool = True
    on_effect: Callable[[str], None] | None = None
    shown: PreviewContent = "Combined"
    hooks: tuple[SamplingHook, ...] = ()


@dataclass(frozen=True, slots=True)
class Guided:
    """What answers the calls: a model's predictions, the conditions of each call, and how they are weighed.

    `extra_channels`, (images, channels, height, width), is joined to the UNet's input of every image.
    """

    prediction: Prediction
    conditions: ConditionsAt
    options: GuidanceOptions
    extra_channels: Tensor | None = None


# Called before each model call, with its number and its noise level: it may return what answers from that call on.
SuccessorAt = Callable[[int, Tensor], Guided | None]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The conditions of one call laid out as a batch. `owners[r]` is (image, weight) of positive row r.

    `both` is positive and negative in one batch, None where their lengths differ.
    """

    positive: Conditioning
    negative: Conditioning
    both: Conditioning | None
    owners: tuple[tuple[int, RowWeight], ...]
    image_of_row: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Every image has a single text of weight 1."""
        return len(self.owners) == self.negative.rows and all(
            not isinstance(weight, Tensor) and weight == 1.0 for _, weight in self.owners
        )


class Guidance:
    """The denoiser a sampler calls: `guidance(x, level)` is the combined answer for the batch.

    It counts its calls from 0, and the conditions of a call are those that `conditions` gives for that count.
    `before_call(count)` runs first; what it raises ends the run. `last_denoised` is the latest estimate of the
    finished latent, for previews. With `keep_uncond` `last_uncond` is the latest answer to the negative prompt.
    The first that `successor` gives takes the place of the model and its conditions; the count goes on.

    Raises UnetOverflow from the call whose answer is not finite; on a CUDA card from one of the next calls.
    """

    def __init__(
        self,
        prediction: Prediction,
        conditions: ConditionsAt,
        options: GuidanceOptions,
        *,
        total_calls: int,
        extra_channels: Tensor | None = None,
        mask: InpaintMask | None = None,
        before_call: Callable[[int], None] | None = None,
        keep_uncond: bool = False,
        scale_factor: float = 1.0,
        successor: SuccessorAt | None = None,
        images: range | None = None,
    ) -> None:
        """`extra_channels`, (images, channels, height, width), is joined to the UNet's input of every image.

        `images` are those of the batch that this run makes, for its hooks.
        """
        self.calls = 0
        self._images = range(0) if images is None else images
        self.last_denoised: Tensor | None = None
        self.last_uncond: Tensor | None = None
        self._part: Tensor | None = None
        self._last: tuple[Tensor, Tensor] | None = None
        self._alphas_cumprod = prediction.alphas_cumprod
        self._scale_factor = scale_factor
        self._begin(Guided(prediction, conditions, options, extra_channels))
        self._successor = successor
        self._total_calls = max(total_calls, 1)
        self._mask = mask
        self._before_call = before_call
        self._keep_uncond = keep_uncond
        self._finite = FiniteAnswers()

    def _begin(self, guided: Guided) -> None:
        self._prediction = guided.prediction
        self._conditions = guided.conditions
        self._options = guided.options
        self._scale = guided.options.cfg_scale * self._scale_factor
        self._extra = guided.extra_channels
        self._laid_out: tuple[StepConditions, _Rows] | None = None
        hooks = guided.options.hooks
        self._beginning = overriding(hooks, "begin_call")
        self._showing = overriding(hooks, "shown_level")
        self._sparing = overriding(hooks, "spares_negative")
        self._guiding = overriding(hooks, "guide")

    @property
    def alphas_cumprod(self) -> Tensor:
        # That of the model the run was planned for: a sampler's coefficients don't change in the middle.
        return self._alphas_cumprod

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        if self._before_call is not None:
            self._before_call(self.calls)
        if self._successor is not None:
            self._succeed(self._successor, level)
        for hook in self._beginning:
            hook.begin_call(self._at)
        if self._mask is not None and self._prediction.blends_input:
            x = self._mask.blend(x, level)
        answer = self._guided(x, level, self._rows(self._conditions(self.calls)))
        self._finite.check(answer)
        if self._mask is not None and not self._prediction.blends_input:
            answer = self._mask.blend(answer, level)
        self.last_denoised = self._prediction.denoised(x, answer, level)
        self._last = x, level
        self.calls += 1
        return answer

    def _succeed(self, successor: SuccessorAt, level: Tensor) -> None:
        guided = successor(self.calls, level)
        if guided is None:
            return
        self._successor = None
        self._begin(guided)
        if self._before_call is not None:
            # To get it ready takes its time: whoever interrupted meanwhile does not wait for another call.
            self._before_call(self.calls)

    def shown(self, denoised: Tensor) -> Tensor:
        """What a preview of the latest call shows, where `denoised` is its combined estimate."""
        if self._part is None or self._last is None:
            return denoised
        x, level = self._last
        part = self._part
        if self._mask is not None and not self._prediction.blends_input:
            part = self._mask.blend(part, level)
        return self._prediction.denoised(x, part, level)

    def _guided(self, x: Tensor, level: Tensor, rows: _Rows) -> Tensor:
        if self._options.image_cfg_scale is not None:
            return self._edit_guided(x, level, rows, self._options.image_cfg_scale)
        spared = self._spares_uncond(level)
        # At scale 1 a single text of weight 1 leaves nothing of the negative prompt: its call can be saved.
        if spared or (self._scale == 1.0 and rows.plain and not self._keep_uncond):
            conds, uncond, scale = self._predict(x, level, rows.positive, rows.image_of_row), None, 1.0
        else:
            conds, uncond = self._predict_both(x, level, rows)
            scale = self._scale
        answered = uncond
        if uncond is None:
            uncond = _first_of_each(conds, rows, x.shape[0])
        if self._keep_uncond:
            self.last_uncond = uncond
        if self._options.shown != "Combined":
            self._part = uncond if self._options.shown == "Negative prompt" else _first_of_each(conds, rows, x.shape[0])
        combined = _combine(conds, uncond, rows, scale)
        if not self._guiding:
            return combined
        return self._by_hooks(x, level, rows, (conds, answered, combined), scale)

    @property
    def _at(self) -> CallPosition:
        return CallPosition(self.calls, self._total_calls, self._images)

    def _by_hooks(
        self, x: Tensor, level: Tensor, rows: _Rows, answers: tuple[Tensor, Tensor | None, Tensor], scale: float
    ) -> Tensor:
        """What the hooks make of answers to the texts, to the negative prompts, and of both combined."""
        prediction, images = self._prediction, tuple(range(x.shape[0]))
        conds, uncond, combined = answers
        of_rows = pick_rows(x, rows.image_of_row)

        def predict(changed: Tensor, negative: bool) -> Tensor:
            conditioning, owners = (rows.negative, images) if negative else (rows.positive, rows.image_of_row)
            answer = self._predict(changed, level, conditioning, owners, negative=negative)
            return prediction.denoised(pick_rows(changed, owners), answer, level)

        guided = GuidedCall(
            x,
            level,
            self._at,
            prediction.denoised(of_rows, conds, level),
            None if uncond is None else prediction.denoised(x, uncond, level),
            prediction.denoised(x, combined, level),
            scale,
            rows.owners,
            predict,
            prediction.image_scale(level),
        )
        unchanged = guided.combined
        for hook in self._guiding:
            guided = guided.after(hook.guide(guided))
        if guided.combined is unchanged:
            # There and back again some bits would be lost.
            return combined
        return prediction.answer_for(x, guided.combined, level)

    def _edit_guided(self, x: Tensor, level: Tensor, rows: _Rows, image_scale: float) -> Tensor:
        images = tuple(range(x.shape[0]))
        blank = None if self._extra is None else torch.zeros_like(self._extra)
        cond = self._predict(x, level, rows.positive, rows.image_of_row)
        only_image = self._predict(x, level, rows.negative, images, negative=True)
        neither = self._prediction(x, level, rows.negative, blank)
        return neither + self._scale * (cond - only_image) + image_scale * (only_image - neither)

    def _spares_uncond(self, level: Tensor) -> bool:
        options = self._options
        if any(hook.spares_negative(self._at) for hook in self._sparing):
            return True
        if options.skip_early and self.calls / self._total_calls <= options.skip_early:
            self._report_effect("skip_early")
            return True
        alternate = self.calls % 2 == 1 or options.min_sigma_all
        spared = alternate and options.min_sigma > 0 and float(level) < options.min_sigma
        if spared:
            self._report_effect("min_sigma")
        return spared

    def _report_effect(self, effect: str) -> None:
        if self._options.on_effect is not None:
            self._options.on_effect(effect)

    def _predict(
        self, x: Tensor, level: Tensor, conditioning: Conditioning, images: tuple[int, ...], *, negative: bool = False
    ) -> Tensor:
        extra = None if self._extra is None else pick_rows(self._extra, images)
        if self._showing:
            level = self._shown_level(level, negative=negative)
        return self._prediction(pick_rows(x, images), level, conditioning, extra)

    def _shown_level(self, level: Tensor, *, negative: bool) -> Tensor:
        for hook in self._showing:
            level = hook.shown_level(level, self._at, negative=negative)
        return level

    def _predict_both(self, x: Tensor, level: Tensor, rows: _Rows) -> tuple[Tensor, Tensor]:
        images = tuple(range(x.shape[0]))
        if rows.both is not None:
            answers = self._predict(x, level, rows.both, rows.image_of_row + images)
            return answers[: rows.positive.rows], answers[rows.positive.rows :]
        cond = self._predict(x, level, rows.positive, rows.image_of_row)
        return cond, self._predict(x, level, rows.negative, images, negative=True)

    def _rows(self, conditions: StepConditions) -> _Rows:
        if self._laid_out is None or self._laid_out[0] is not conditions:
            self._laid_out = (conditions, self._lay_out(conditions))
        return self._laid_out[1]

    def _lay_out(self, conditions: StepConditions) -> _Rows:
        parts = [(image, part) for image, own in enumerate(conditions.positive) for part in own]
        positive = stack_rows([part.conditioning for _, part in parts])
        negative = stack_rows(conditions.negative).as_negative()
        options = self._options
        uneven = positive.tokens != negative.tokens
        if options.pad_with_last:
            if uneven:
                self._report_effect("pad_with_last")
            context = repeat_last_token(negative.context, positive.tokens)[:, : positive.tokens]
            negative = negative.with_context(context)
        elif options.pad_with_empty and options.empty_context is not None:
            if uneven:
                self._report_effect("pad_with_empty")
            padded = positive, negative
            positive = pad_with_empty(padded[0], padded[1].tokens, options.empty_context)
            negative = pad_with_empty(padded[1], padded[0].tokens, options.empty_context)
        owners = tuple((image, part.weight) for image, part in parts)
        # A hook may show the two sides different noise levels.
        together = options.one_batch and positive.tokens == negative.tokens and not self._showing
        both = stack_rows([positive, negative]) if together else None
        return _Rows(positive, negative, both, owners, tuple(image for image, _ in owners))


def pick_rows(batch: Tensor, rows: tuple[int, ...]) -> Tensor:
    """The rows in this order, by slices: an index list would be copied to the device, and waited for."""
    if rows == tuple(range(batch.shape[0])):
        return batch
    return torch.cat([batch[row : row + 1] for row in rows])


def _first_of_each(conds: Tensor, rows: _Rows, images: int) -> Tensor:
    """The answer to the first text of each image."""
    if rows.plain:
        return conds
    return pick_rows(conds, tuple(rows.image_of_row.index(image) for image in range(images)))


def _combine(conds: Tensor, uncond: Tensor, rows: _Rows, scale: float) -> Tensor:
    """uncond + scale * sum of weight * (cond - uncond) over each image's texts: Liu et al. (2022), arXiv:2206.01714."""
    if rows.plain:
        return conds if conds is uncond else uncond + (conds - uncond) * scale
    combined = uncond.clone()
    for row, (image, weight) in enumerate(rows.owners):
        combined[image] += (conds[row] - uncond[image]) * (weight * scale)
    return combined
