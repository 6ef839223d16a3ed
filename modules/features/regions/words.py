"""Regions where the model looks at a word: Regional Prompter's mode Prompt, hako-mikan (2023).

For its first calls a pass knows no regions; meanwhile cross attention shows how much each place looks at each word of
the first text: a = softmax(q · k / sqrt(d)) at the word's tokens, the mean of heads, layers and calls, as in Tang et
al. (2022), arXiv:2210.04885. From then on a region is where a is at least `threshold` of its highest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.features.regions.attention import AttentionRegions, TokenSpan
from modules.features.regions.plan.areas import Layout
from modules.generation.conditions import ConditionsOf, EncodeTexts
from modules.generation.module_hooks import attention_to_tokens
from modules.generation.pipeline import PassContext
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning, ConditionsAt, Window

# How many calls are looked at; the extension too has its regions from the third on.
_LOOKED_AT: Final = 3


class WordRegions(AttentionRegions):
    """The regions of a layout by words, in a pass over latents of `cells` (height, width).

    Each image of the batch has places of its own.
    """

    def __init__(self, layout: Layout, cells: tuple[int, int], context: PassContext) -> None:
        whole = torch.zeros(len(layout.regions), *cells)
        whole[0] = 1
        super().__init__(layout.regions, whole.to(context.pipeline.device))
        self._layout = layout
        self._encoder = context.pipeline.encoder
        self._options = context.resolved.settings.encoding
        self._encoded: list[str] = []
        self._tokens: tuple[tuple[int, ...], ...] = ()
        self._images = range(0)
        self._calls: dict[int, int] = {}
        # By image: (words, height, width).
        self._seen: dict[int, Tensor] = {}
        # By image: (regions, height, width), 1 together at each place.
        self._found: dict[int, Tensor] = {}

    def encoding(self, encode: EncodeTexts) -> EncodeTexts:
        """Remembers which texts are encoded, for the first one's tokens."""

        def noted(texts: Sequence[str], *, negative: bool = False) -> tuple[Conditioning, ...]:
            self._encoded.append(texts[0])
            return encode(texts, negative=negative)

        return noted

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        regional = super().conditions(conditions_of)

        def with_tokens(prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
            self._encoded.clear()
            made = regional(prompts, negatives)
            self._tokens = tuple(self._tokens_of(one.word.word) for one in self._regions if one.word is not None)
            return made

        return with_tokens

    def _tokens_of(self, word: str) -> tuple[int, ...]:
        found = self._encoder.positions_of(self._encoded[0], word, self._options)
        if not found:
            raise RequestError(
                f"Regional Prompter: {word[:60]!r} is not a word of the first part of the prompt as it begins: write "
                "it there as it stands behind the last comma."
            )
        return found

    def begin_call(self, at: CallPosition) -> None:
        """Counts the calls of each image, and draws its regions when it was looked at for long enough."""
        self._images = at.images
        for image in at.images:
            self._calls[image] = self._calls.get(image, 0) + 1
            if self._calls[image] > min(_LOOKED_AT, max(at.calls - 1, 1)) and image in self._seen:
                self._found[image] = word_shares(self._seen.pop(image), self._layout)
                self._pooled.clear()

    def _shares(self) -> list[float]:
        # The vector of a whole text is that of the first, which guides the whole picture at first.
        return [1.0, *[0.0] * (len(self._regions) - 1)]

    @property
    def spans(self) -> tuple[TokenSpan, ...]:
        """The first text's tokens alone as long as the others have no place."""
        return super().spans if self._images and self._images[0] in self._found else super().spans[:1]

    def look(self, attn: nn.Module, hidden_states: Tensor, context: Tensor, cells: tuple[int, int]) -> None:
        if self._now.negative_rows or all(image in self._found for image in self._images):
            return
        height, width = self._weights.shape[1:]
        windows = self._now.windows or (Window(0, 0, width, height, (height, width)),) * hidden_states.shape[0]
        for number, tokens in enumerate(self._tokens):
            seen = attention_to_tokens(attn, hidden_states, context, tokens).view(-1, *cells)
            for row, window in enumerate(windows):
                image = self._images[row * len(self._images) // len(windows)]
                if image not in self._seen:
                    self._seen[image] = seen.new_zeros(len(self._tokens), height, width)
                shown = functional.interpolate(
                    seen[None, None, row], (window.height, window.width), mode="bilinear", antialias=True
                )
                window.cut(self._seen[image][number]).add_(shown[0, 0])

    def weights_at(self, cells: tuple[int, int], like: Tensor) -> Tensor:
        if not self._images or self._images[0] not in self._found:
            return torch.ones(1, 1, 1, 1, device=like.device, dtype=like.dtype)
        key = cells, (self._now.windows, self._images, like.shape[0]), like.device, like.dtype
        if key not in self._pooled:
            repeated = like.shape[0] // len(self._images)
            rows = torch.stack([self._found[image] for image in self._images]).repeat_interleave(repeated, dim=0)
            if self._now.windows:
                rows = torch.cat([one.cut(rows[row : row + 1]) for row, one in enumerate(self._now.windows)])
            pooled = functional.adaptive_avg_pool2d(rows.to(like.device), cells)
            self._pooled[key] = pooled.flatten(2).movedim(1, 0)[..., None].to(like)
        return self._pooled[key]


def word_shares(seen: Tensor, layout: Layout) -> Tensor:
    """From how much each place looks at each word, (words, height, width), to how much each region counts there.

    (regions, height, width), 1 together. The first region has what no word has.
    """
    thresholds = [region.word.threshold for region in layout.regions if region.word is not None]
    places = []
    for looked, threshold in zip(seen, thresholds, strict=True):
        places.append((looked >= looked.max() * threshold).float())
    words = torch.stack(places)
    if layout.later_wins:
        later = torch.zeros_like(words[0])
        for number in reversed(range(len(words))):
            words[number] *= 1 - later
            later = torch.maximum(later, words[number])
    total = words.sum(0)
    return torch.cat([(total == 0).float()[None], words / total.clamp_min(1)])
