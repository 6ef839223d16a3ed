"""What a model call is conditioned on, and how the conditions of a batch are laid out as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

# What `Conditioning.added` calls the number of tokens of a text, (rows,) on the CPU, where the rest means nothing.
TEXT_LENGTH: Final = "text_length"
# And the guidance that a model was distilled with, (rows,).
GUIDANCE: Final = "guidance"


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a picture that a row shows: its upper left corner, width and height in cells of the latent, which has
    `whole` (height, width).
    """

    left: int
    top: int
    width: int
    height: int
    whole: tuple[int, int]

    def cut(self, picture: Tensor) -> Tensor:
        """Its part of something on the whole picture, (rows, channels, height, width), of as many pixels for a cell."""
        pixels = picture.shape[-1] // self.whole[1]
        rows = slice(self.top * pixels, (self.top + self.height) * pixels)
        return picture[..., rows, self.left * pixels : (self.left + self.width) * pixels]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Encoded text for some rows of a UNet batch.

    `context` is (rows, tokens, channels). `added` holds whatever else a model family takes, one row each (SDXL's
    pooled text and size embedding, say); this room only stacks it. The last `negative_rows` are of negative prompts.
    `windows` has one for each row, or none where all show the whole picture. `signs`, (rows, tokens), are what
    attention multiplies the tokens' values by, None for 1.
    """

    context: Tensor
    added: Mapping[str, Tensor] = field(default_factory=dict)
    negative_rows: int = 0
    windows: tuple[Window, ...] = ()
    signs: Tensor | None = None

    @property
    def rows(self) -> int:
        return self.context.shape[0]

    @property
    def tokens(self) -> int:
        return self.context.shape[1]

    def with_context(self, context: Tensor) -> Conditioning:
        """The same with another context; what is longer in it than this one has the sign 1."""
        return replace(self, context=context, signs=lengthened_signs(self, context.shape[1]))

    def as_negative(self) -> Conditioning:
        """The same, known to be of negative prompts in all its rows."""
        return replace(self, negative_rows=self.rows)

    def slice(self, start: int, stop: int) -> Conditioning:
        added = {key: rows[start:stop] for key, rows in self.added.items()}
        negative = max(0, min(stop, self.rows) - max(start, self.rows - self.negative_rows))
        return replace(
            self,
            context=self.context[start:stop],
            added=added,
            negative_rows=negative,
            windows=self.windows[start:stop],
            signs=None if self.signs is None else self.signs[start:stop],
        )

    def shown_of(self, picture: Tensor) -> Tensor:
        """What the rows show of something on the whole picture, (1, channels, height, width): (1 or rows, ...)."""
        different = dict.fromkeys(self.windows)
        if len(different) <= 1:
            return next((window.cut(picture) for window in different), picture)
        return torch.cat([window.cut(picture) for window in self.windows])


# What an answer counts: everywhere the same, or at each place of the latent, (1, height, width).
RowWeight = float | Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """One text of a prompt joined with AND: a single row, and its weight.

    A tensor of weights, (1, height, width) in cells of the latent, says how much it weighs at each place.
    """

    conditioning: Conditioning
    weight: RowWeight = 1.0


@dataclass(frozen=True, slots=True)
class StepConditions:
    """All that guides one model call: for each image of the batch its AND parts and its negative prompt (one row)."""

    positive: tuple[tuple[Part, ...], ...]
    negative: tuple[Conditioning, ...]


# Gives the conditions of the c-th model call of a pass, c counting from 0. While the texts stay the same it should
# return the same object: its rows are then laid out only once.
ConditionsAt = Callable[[int], StepConditions]


def of_image(conditions: ConditionsAt, index: int) -> ConditionsAt:
    """The conditions of one image of a batch alone."""

    def at(call: int) -> StepConditions:
        whole = conditions(call)
        return StepConditions((whole.positive[index],), (whole.negative[index],))

    return at


def total_weight(weights: Sequence[RowWeight]) -> RowWeight:
    """The sum of weights to divide by: 1 where it is 0."""
    total = sum(weights, start=0.0)
    return torch.where(total == 0, torch.ones_like(total), total) if isinstance(total, Tensor) else total or 1.0


def constant_conditions(positive: Conditioning, negative: Conditioning) -> ConditionsAt:
    """Conditions without a schedule, from one row per image each."""
    conditions = StepConditions(
        tuple((Part(positive.slice(row, row + 1)),) for row in range(positive.rows)),
        tuple(negative.slice(row, row + 1) for row in range(negative.rows)),
    )
    return lambda call: conditions


def stack_rows(items: Sequence[Conditioning]) -> Conditioning:
    """One batch of rows; shorter contexts are lengthened by repeating their last token's vector, as A1111 does.

    Items of negative prompts come last.
    """
    tokens = max(item.tokens for item in items)
    context = torch.cat([repeat_last_token(item.context, tokens) for item in items])
    added = {key: torch.cat([item.added[key] for item in items]) for key in items[0].added}
    windows = tuple(window for item in items for window in item.windows)
    signs = None
    if any(item.signs is not None for item in items):
        each = [lengthened_signs(item, tokens) for item in items]
        ones = [item.context.new_ones(item.rows, tokens) for item in items]
        signs = torch.cat([one if own is None else own for own, one in zip(each, ones, strict=True)])
    return Conditioning(context, added, sum(item.negative_rows for item in items), windows, signs)


def lengthened_signs(item: Conditioning, tokens: int) -> Tensor | None:
    """The signs of a row for `tokens` of them: 1 where it had none."""
    if item.signs is None:
        return None
    missing = max(tokens - item.signs.shape[1], 0)
    return torch.cat([item.signs, item.signs.new_ones(item.signs.shape[0], missing)], dim=1)[:, :tokens]


def repeat_last_token(context: Tensor, tokens: int) -> Tensor:
    """`context` (rows, tokens, channels) lengthened to `tokens` with copies of its last vector."""
    missing = tokens - context.shape[1]
    return context if missing <= 0 else torch.cat([context, context[:, -1:].expand(-1, missing, -1)], dim=1)


def pad_with_empty(shorter: Conditioning, longer_tokens: int, empty: Tensor) -> Conditioning:
    """Lengthen by whole copies of the empty prompt's encoding, (1, tokens, channels): A1111's pad_cond_uncond."""
    copies = (longer_tokens - shorter.tokens) // empty.shape[1]
    if copies <= 0:
        return shorter
    padding = empty.to(shorter.context).repeat(shorter.rows, copies, 1)
    return shorter.with_context(torch.cat([shorter.context, padding], dim=1))
