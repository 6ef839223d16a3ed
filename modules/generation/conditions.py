"""From the texts of a prompt to the conditions of every model call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.parameters.job_options import EncodingOptions
from modules.prompt import ConditioningPlan, PromptPart, active_index
from modules.sampling import Conditioning, ConditionsAt, Part, StepConditions
from modules.text.encoder import PromptEncoder


@dataclass(frozen=True, slots=True)
class _Scheduled:
    """One text schedule, encoded: which row of `encodings` serves which call."""

    weight: float
    last_steps: tuple[int, ...]
    encodings: tuple[Conditioning, ...]

    def index(self, call: int) -> int:
        return active_index(self.last_steps, call)


def conditions_for(
    plan: ConditioningPlan,
    encoder: PromptEncoder,
    options: EncodingOptions,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> ConditionsAt:
    """Encode every text of `plan` once, in the UNet's type, and say which of them guide the c-th model call.

    The same object is returned for as long as the same texts are in use, so that sampling lays its batch out once.
    """

    def scheduled(part: PromptPart) -> _Scheduled:
        encoded = encoder.encode(part.texts, options).to(device=device, dtype=dtype)
        last_steps = tuple(last for last, _ in part.schedule)
        return _Scheduled(part.weight, last_steps, tuple(Conditioning(row.unsqueeze(0)) for row in encoded))

    pictures = [([scheduled(part) for part in picture.parts], scheduled(picture.negative)) for picture in plan.pictures]
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


def empty_context(encoder: PromptEncoder, options: EncodingOptions, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The empty prompt's encoding (1, 77, width), with which A1111's pad_cond_uncond fills up."""
    return encoder.encode(("",), options).to(device=device, dtype=dtype)
