"""Attention couple: in one call cross attention looks at a prompt for each region, and each place of the picture takes
what its own regions' prompts answer.

out = sum over regions r of m_r · attention(q, K(text_r), V(text_r)), the masks m_r adding up to 1 at each place. As
Regional Prompter's Attention mode (hako-mikan 2023) and Forge Couple do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.features.regions.plan.areas import Region
from modules.generation.conditions import ConditionsOf
from modules.generation.module_hooks import Add, Attend, CrossAttention, cross_attentions_changed
from modules.generation.pipeline import PassHook
from modules.generation.unet import rows_apart
from modules.sampling import Conditioning, ConditionsAt, Part, StepConditions, UNet, UnetResiduals

# SDXL's vector of a whole text, which no place of the picture has for itself.
_OF_WHOLE_TEXT: Final = "text_embeds"
# (start, end) among the tokens of a row.
TokenSpan = tuple[int, int]


def once_each(conditions: ConditionsAt, change: Callable[[StepConditions], StepConditions]) -> ConditionsAt:
    """`conditions` changed, once for each that there are: the same object as long as theirs is the same."""
    made: list[tuple[StepConditions, StepConditions]] = []

    def at(call: int) -> StepConditions:
        step = conditions(call)
        found = next((result for given, result in made if given is step), None)
        if found is None:
            found = change(step)
            made.append((step, found))
        return found

    return at


def own_negative(region: Region, negative: str) -> str:
    """A region's negative prompt, or that of the pass."""
    return negative if region.negative is None else region.negative


def joined(rows: Sequence[Conditioning], shares: Sequence[float]) -> tuple[Conditioning, tuple[TokenSpan, ...]]:
    """Rows of several texts as one row, whose tokens stand one text behind the other; and where those of each are.

    The vector of the whole text is the mean of theirs by the `shares` of the picture.
    """
    spans, end = [], 0
    for row in rows:
        spans.append((end, end + row.tokens))
        end += row.tokens
    added = dict(rows[0].added)
    if _OF_WHOLE_TEXT in added:
        total = sum(shares)
        vectors = [row.added[_OF_WHOLE_TEXT] * (share / total) for row, share in zip(rows, shares, strict=True)]
        added[_OF_WHOLE_TEXT] = torch.stack(vectors).sum(0)
    return Conditioning(torch.cat([row.context for row in rows], dim=1), added), tuple(spans)


class AttentionRegions(PassHook):
    """`weights` is (regions, height, width) in cells of the latent, 1 together at each."""

    def __init__(self, regions: Sequence[Region], weights: Tensor) -> None:
        self._regions = tuple(regions)
        self._weights = weights
        self._spans: tuple[tuple[TokenSpan, ...], tuple[TokenSpan, ...]] = ((), ())
        self._now = Conditioning(torch.zeros(0, 0, 0))
        self._pooled: dict[object, Tensor] = {}

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        def regional(prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
            own = [own_negative(region, negatives[0]) for region in self._regions]
            each = conditions_of([region.text for region in self._regions], own)
            return once_each(each, lambda step: self._together(step, len(prompts), own=len(set(own)) > 1))

        return regional

    def _together(self, step: StepConditions, images: int, *, own: bool) -> StepConditions:
        """The texts of all regions as one row for each image; negative prompts too where they have their `own`."""
        shares = self._shares()
        texts = [joined([part.conditioning for part in parts], [1.0] * len(parts))[0] for parts in step.positive]
        positive, spans = joined(texts, shares)
        negative, negative_spans = joined(step.negative, shares) if own else (step.negative[0], ())
        # A text's encodings are equally long in all steps: shorter ones are filled up.
        self._spans = spans, negative_spans
        return StepConditions(((Part(positive),),) * images, (negative,) * images)

    def _shares(self) -> list[float]:
        """How much of the picture each region has."""
        shares: list[float] = self._weights.mean(dim=(1, 2)).tolist()
        return shares

    def look(self, attn: nn.Module, hidden_states: Tensor, context: Tensor, cells: tuple[int, int]) -> None:
        """Called before each cross attention over `cells` (height, width), with the first region's text."""

    def around(self, unet: UNet) -> UNet:
        # Their tokens mean different regions.
        return rows_apart(unet)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Nothing is added; but this says what the forward that follows is of."""
        self._now = conditioning
        return None

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        def for_regions(transformer: nn.Module, attention: nn.Module, add: Add) -> CrossAttention:
            place = _Cells()
            add(transformer.register_forward_pre_hook(place.enter))
            return RegionAttention(self, place, attention).look

        with cross_attentions_changed(unet, for_regions):
            yield

    @property
    def spans(self) -> tuple[TokenSpan, ...]:
        """Where each region's tokens are in the rows of the present forward; none where all places see all of them."""
        return self._spans[1] if self._now.negative_rows else self._spans[0]

    def weights_at(self, cells: tuple[int, int], like: Tensor) -> Tensor:
        """The weights at the places of an attention, (regions, 1 or rows, places, 1)."""
        key = cells, self._now.windows, like.device, like.dtype
        if key not in self._pooled:
            whole = self._weights.to(like.device)[None]
            shown = self._now.shown_of(whole)
            self._pooled[key] = (
                functional.adaptive_avg_pool2d(shown, cells).flatten(2).movedim(1, 0)[..., None].to(like)
            )
        return self._pooled[key]


@dataclass(slots=True)
class _Cells:
    """Height and width of what a transformer computes on."""

    cells: tuple[int, int] = (1, 1)

    def enter(self, _transformer: nn.Module, inputs: tuple[Any, ...]) -> None:
        height, width = inputs[0].shape[-2:]
        self.cells = height, width


@dataclass(frozen=True, slots=True)
class RegionAttention:
    """A cross attention that answers for each region."""

    regions: AttentionRegions
    place: _Cells
    attention: nn.Module

    def look(self, hidden_states: Tensor, context: Tensor, attend: Attend) -> Tensor:
        """(rows, places, channels), for contexts (rows, tokens, channels)."""
        spans = self.regions.spans
        # What another feature shows in the place of the texts has no regions.
        if not spans or context.shape[1] < spans[-1][1]:
            return attend(context)
        self.regions.look(self.attention, hidden_states, context[:, spans[0][0] : spans[0][1]], self.place.cells)
        total: Tensor | None = None
        for (start, end), weight in zip(spans, self.regions.weights_at(self.place.cells, hidden_states), strict=True):
            made = attend(context[:, start:end]) * weight
            total = made if total is None else total + made
        assert total is not None
        return total
