"""NegPiP: a word of negative weight, `(word:-1.2)`, pushes away within cross attention. By hako-mikan (2023), without a
paper.

The word is encoded alone with the weight |w|, its tokens stand before those of the rest of the text, and attention
takes their values times -1: out = softmax(q · K) · (V with these rows negated).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.each_pass import each_pass
from modules.features.negpip.declare import NEGPIP, NegPipArguments
from modules.features.regions.plan.layouts import REGION_SCRIPTS
from modules.generation.conditions import EncodeTexts
from modules.generation.module_hooks import Add, cross_attentions_changed
from modules.generation.pipeline import PassContext, PassHook
from modules.parameters import RequestError
from modules.prompt import BREAK, parse_attention
from modules.sampling import Conditioning, UnetResiduals

_NEGATIVE: Final = re.compile(r":\s*-\s*[.\d]+\s*\)")
_BRACKET: Final = re.compile(r"([\\()\[\]])")
_ESCAPED: Final = r"\\\1"


def split_negative(text: str) -> tuple[str, list[str]]:
    """A text without its runs of negative weight, and these as texts of the opposite weight."""
    rest: list[str] = []
    words: list[str] = []
    for run, weight in parse_attention(text):
        if (run, weight) == BREAK:
            rest.append("BREAK")
            continue
        if not run:
            continue
        own = f"({_BRACKET.sub(_ESCAPED, run)}:{abs(weight):.6f})"
        (words if weight < 0 else rest).append(own)
    return " ".join(rest), words


class NegPip(PassHook):
    """Encodes words of negative weight apart, and negates their values."""

    def __init__(self, context: PassContext) -> None:
        self._pipeline = context.pipeline
        self._options = context.resolved.settings.encoding
        self._signs: Tensor | None = None

    def encoding(self, encode: EncodeTexts) -> EncodeTexts:
        def encoded(texts: Sequence[str], *, negative: bool = False) -> tuple[Conditioning, ...]:
            parts = [split_negative(text) for text in texts]
            if not any(words for _, words in parts):
                return encode(texts, negative=negative)
            rows = encode([rest for rest, _ in parts], negative=negative)
            return tuple(self._with_words(row, words, encode) for row, (_, words) in zip(rows, parts, strict=True))

        return encoded

    def _with_words(self, row: Conditioning, words: Sequence[str], encode: EncodeTexts) -> Conditioning:
        """`row` with the tokens of each word before it, without their marks of start and end."""
        apart = []
        for word in words:
            length = self._pipeline.encoder.token_count(word, self._options)
            apart.append(encode([word])[0].context[:, 1 : 1 + length])
        context = torch.cat([*apart, row.context], dim=1)
        signs = torch.ones_like(context[..., 0])
        signs[:, : context.shape[1] - row.tokens] = -1
        return replace(row, context=context, signs=signs)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Nothing is added; but this says whose values the forward that follows negates."""
        self._signs = conditioning.signs
        return None

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        def signed(_transformer: nn.Module, attention: Any, add: Add) -> None:  # noqa: ANN401 - diffusers' own
            add(attention.to_v.register_forward_hook(self._signed))

        with cross_attentions_changed(unet, signed):
            yield

    def _signed(self, _layer: nn.Module, _inputs: object, values: Tensor) -> Tensor | None:
        if self._signs is None or self._signs.shape != values.shape[:2]:
            return None
        return values * self._signs.to(values)[..., None]


def _hooks_of(arguments: NegPipArguments, context: PassContext) -> Sequence[PassHook]:
    """None where no word has a negative weight. Raises RequestError beside regions."""
    spec = context.work.spec
    weighs = context.resolved.settings.encoding.emphasis not in ("None", "Ignore")
    if not (arguments.enabled and weighs and _NEGATIVE.search(f"{spec.prompt} {spec.negative_prompt}")):
        return ()
    if any(title in context.resolved.request.scripts for title in REGION_SCRIPTS):
        raise RequestError(f"{NEGPIP.title} and regions don't go together: leave one of them out.")
    return (NegPip(context),)


negpip = each_pass(NegPipArguments, _hooks_of)
