"""Pictures in the place of words: a style as more tokens of the prompt, a picture as the vector of SDXL's whole text.

Behaviour reproduced: the style T2I-Adapter and Revision of sd-webui-controlnet 1.1.455. Rows of negative prompts get
zeros.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from modules.generation.conditions import ConditionsOf
from modules.generation.pipeline import PassHook
from modules.sampling import CallPosition, Conditioning, ConditionsAt, StepConditions
from modules.sampling.control import is_within

_WHOLE_PASS: Final = (0.0, 1.0)
_WHOLE_TEXT: Final = "text_embeds"
_TIMES: Final = 1000
_OFFSET: Final = 0.008
_MOST: Final = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class ShownStyle:
    """A picture's style: `tokens`, (1, tokens, channels of the text), already weighed, in a share of the pass."""

    tokens: Tensor
    window: tuple[float, float] = _WHOLE_PASS


@dataclass(frozen=True, slots=True, eq=False)
class Revision:
    """A picture that stands for SDXL's whole text: its `vector`, (1, width), already weighed, in a share of the pass.

    With `ignores_prompt` the tokens of the prompts are zeros besides.
    """

    vector: Tensor
    ignores_prompt: bool = False
    window: tuple[float, float] = _WHOLE_PASS


class PictureTexts(PassHook):
    """The pictures that stand among the words in a pass of `steps`, which calls the model about `calls` times."""

    def __init__(self, styles: Sequence[ShownStyle], revisions: Sequence[Revision], steps: int, calls: int) -> None:
        self._styles, self._revisions = tuple(styles), tuple(revisions)
        self._steps, self._calls = steps, calls

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        """The prompts with the pictures among their words."""
        return lambda prompts, negatives: self._shown_in(conditions_of(prompts, negatives))

    def _shown_in(self, conditions: ConditionsAt) -> ConditionsAt:
        # While a step's texts stay, so does what is made of them: its rows are laid out once.
        last: dict[tuple[int, ...], tuple[StepConditions, StepConditions]] = {}
        windows = [*(one.window for one in self._styles), *(one.window for one in self._revisions)]

        def at(call: int) -> StepConditions:
            step, where = conditions(call), CallPosition(call, self._calls, range(0))
            acting = tuple(number for number, window in enumerate(windows) if is_within(window, where, self._steps))
            found = last.get(acting)
            if found is None or found[0] is not step:
                last[acting] = found = step, self._shown(step, acting)
            return found[1]

        return at

    def _shown(self, step: StepConditions, acting: Sequence[int]) -> StepConditions:
        styles = [self._styles[number] for number in acting if number < len(self._styles)]
        revisions = [self._revisions[number - len(self._styles)] for number in acting if number >= len(self._styles)]
        tokens = torch.cat([one.tokens for one in styles], dim=1) if styles else None
        vector = torch.stack([one.vector for one in revisions]).sum(0) if revisions else None
        silent = any(one.ignores_prompt for one in revisions)

        def positive(words: Conditioning) -> Conditioning:
            return _with(words, tokens, vector, silent=silent)

        def negative(words: Conditioning) -> Conditioning:
            none, nothing = (None if one is None else torch.zeros_like(one) for one in (tokens, vector))
            return _with(words, none, nothing, silent=silent)

        parts = tuple(
            tuple(replace(part, conditioning=positive(part.conditioning)) for part in image) for image in step.positive
        )
        return StepConditions(parts, tuple(negative(one) for one in step.negative))


def _with(words: Conditioning, tokens: Tensor | None, vector: Tensor | None, *, silent: bool) -> Conditioning:
    """One text, a single row, with tokens behind it and another vector."""
    if silent:
        words = replace(words, context=torch.zeros_like(words.context))
    if tokens is not None:
        words = words.with_context(torch.cat([words.context, tokens.to(words.context)], dim=1))
    if vector is not None and _WHOLE_TEXT in words.added:
        whole = words.added[_WHOLE_TEXT]
        words = replace(words, added={**words.added, _WHOLE_TEXT: vector.to(whole).expand_as(whole)})
    return words


def noised_vector(vector: Tensor, share: float, seed: int) -> Tensor:
    """A picture's vector with noise of `share` of the strongest, from 0 to 1, 0 being none.

    unCLIP's noise augmentation (Ramesh et al. 2022, arXiv:2204.06125) by the squared cosine schedule (Nichol and
    Dhariwal 2021, arXiv:2102.09672).
    """
    if share <= 0:
        return vector
    signal = _signal(round(min(share, 1.0) * (_TIMES - 1)))
    noise = torch.randn(vector.shape, generator=torch.Generator().manual_seed(seed & 0xFFFFFFFFFFFFFFF))
    return vector * math.sqrt(signal) + noise.to(vector) * math.sqrt(1 - signal)


def _signal(time: int) -> float:
    """The share of the signal's variance that is left at a timestep."""
    bars = [_bar(step / _TIMES) for step in range(time + 2)]
    return math.prod(1 - min(1 - after / before, _MOST) for before, after in itertools.pairwise(bars))


def _bar(share: float) -> float:
    return math.cos((share + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
