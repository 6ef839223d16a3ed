"""From the texts of a prompt to the conditions of every model call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modules.families import AddedNumbers, Family
from modules.parameters.job_options import AddedOptions, JobOptions
from modules.prompt import ConditioningPlan, PromptPart, active_index
from modules.sampling import GUIDANCE, TEXT_LENGTH, Conditioning, ConditionsAt, Part, StepConditions
from modules.text.encoder import Encoding, PromptEncoder


@dataclass(frozen=True, slots=True)
class Conditioner:
    """Turns texts into what a UNet of `dtype` on `device` is conditioned on, for pictures of `size` pixels, and with
    the `guidance` that it was distilled with, if it was.

    Beside the text SDXL takes the vector of the whole text, `text_embeds`, and `time_ids`, numbers in the order of the
    family's `added_numbers`: Podell et al. (2023), arXiv:2307.01952, section 2.2, by diffusers' names.
    """

    encoder: PromptEncoder
    family: Family
    settings: JobOptions
    size: tuple[int, int]
    device: torch.device
    dtype: torch.dtype
    guidance: float | None = None

    def of_texts(self, texts: Sequence[str], *, negative: bool = False) -> tuple[Conditioning, ...]:
        """One row for each text of a prompt's schedule.

        A negative prompt that says nothing at any step conditions with zeros where the family was trained so.
        """
        encoding = self.encoder.encode(texts, self.settings.encoding)
        if negative and self.family.empty_negative_is_zero and not any(texts):
            encoding = Encoding(
                torch.zeros_like(encoding.context),
                None if encoding.pooled is None else torch.zeros_like(encoding.pooled),
            )
        context = self._sent(encoding.context)
        added: dict[str, Tensor] = {}
        if encoding.pooled is not None:
            added["text_embeds"] = self._sent(encoding.pooled)
        if self.family.added_numbers:
            added["time_ids"] = self._numbers(negative=negative).expand(len(texts), -1)
        if self.guidance is not None:
            added[GUIDANCE] = torch.full((len(texts),), self.guidance, device=self.device)
        if encoding.lengths:
            added[TEXT_LENGTH] = torch.tensor(encoding.lengths)
        # Where each text counts with its own tokens, in a batch shorter ones are filled up behind them.
        lengths = encoding.lengths or (context.shape[1],) * len(texts)
        return tuple(
            Conditioning(context[row : row + 1, :length], {name: rows[row : row + 1] for name, rows in added.items()})
            for row, length in enumerate(lengths)
        )

    def empty_context(self) -> Tensor:
        """The empty prompt's encoding (1, 77, width), with which A1111's pad_cond_uncond fills up."""
        return self._sent(self.encoder.encode(("",), self.settings.encoding).context)

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.to(device=self.device, dtype=self.dtype)

    def _numbers(self, *, negative: bool) -> Tensor:
        """(1, numbers), in 32 bits: the sines that are made of them would not bear rounding."""
        numbers = [
            number
            for kind in self.family.added_numbers
            for number in _numbers(kind, self.size, self.settings.added, negative=negative)
        ]
        return torch.tensor([numbers], dtype=torch.float32, device=self.device)


def _numbers(kind: AddedNumbers, size: tuple[int, int], options: AddedOptions, *, negative: bool) -> tuple[float, ...]:
    match kind:
        case "size" | "target":
            return size[1], size[0]
        case "crop":
            return options.crop_top, options.crop_left
        case "aesthetic score":
            return (options.low_score if negative else options.high_score,)


@dataclass(frozen=True, slots=True)
class _Scheduled:
    """One text schedule, encoded: which row of `encodings` serves which call."""

    weight: float
    last_steps: tuple[int, ...]
    encodings: tuple[Conditioning, ...]

    def index(self, call: int) -> int:
        return active_index(self.last_steps, call)


class EncodeTexts(Protocol):
    """One row for each text of a prompt's schedule, or of a negative prompt's."""

    def __call__(self, texts: Sequence[str], *, negative: bool = False) -> tuple[Conditioning, ...]: ...


# From prompts and negative prompts, one of each for each image, to what guides each call of a pass.
ConditionsOf = Callable[[Sequence[str], Sequence[str]], ConditionsAt]


def conditions_for(plan: ConditioningPlan, encode: EncodeTexts) -> ConditionsAt:
    """Encode every text of `plan` once, and say which of them guide the c-th model call.

    The same object is returned for as long as the same texts are in use, so that sampling lays its batch out once.
    """

    def scheduled(part: PromptPart, *, negative: bool = False) -> _Scheduled:
        last_steps = tuple(last for last, _ in part.schedule)
        return _Scheduled(part.weight, last_steps, encode(part.texts, negative=negative))

    pictures = [
        ([scheduled(part) for part in picture.parts], scheduled(picture.negative, negative=True))
        for picture in plan.pictures
    ]
    made: dict[tuple[int, ...], StepConditions] = {}

    def at(call: int) -> StepConditions:
        key = tuple(s.index(call) for parts, negative in pictures for s in (*parts, negative))
        if key not in made:
            made[key] = _at_call(pictures, call)
        return made[key]

    return at


def _at_call(pictures: Sequence[tuple[list[_Scheduled], _Scheduled]], call: int) -> StepConditions:
    return StepConditions(
        tuple(tuple(Part(part.encodings[part.index(call)], part.weight) for part in parts) for parts, _ in pictures),
        tuple(negative.encodings[negative.index(call)] for _, negative in pictures),
    )
