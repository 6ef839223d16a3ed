"""The conditioning plan: which texts a pass encodes, with which weight and for which steps each is used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modules.prompt.composable import split_composable
from modules.prompt.scheduling import schedule

PromptSchedule = tuple[tuple[int, str], ...]
"""(last step using it, text), ascending."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """One AND part of a prompt. `texts` are encoded together: A1111 restores the mean over all texts of a schedule."""

    weight: float
    schedule: PromptSchedule

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(text for _, text in self.schedule)


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """What one picture is guided by: its AND parts, and the schedule of what it is guided away from."""

    parts: tuple[PromptPart, ...]
    negative: PromptPart


@dataclass(frozen=True, slots=True)
class ConditioningPlan:
    """The plans of all pictures of a batch, in their order."""

    pictures: tuple[PromptPlan, ...]

    @property
    def batches(self) -> tuple[tuple[str, ...], ...]:
        """The distinct groups of texts to encode, each as one batch: the keys of a cache of conditionings."""
        groups = (part.texts for picture in self.pictures for part in (*picture.parts, picture.negative))
        return tuple(dict.fromkeys(groups))


def plan_conditioning(
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    steps: int,
    hires_steps: int | None = None,
    old: bool = False,
) -> ConditioningPlan:
    """The plan of a batch, one prompt and one negative prompt per picture, extra-network tags already taken off.

    `steps` (and, for the hires pass, `hires_steps`) count calls of the model: twice the sampling steps for samplers of
    second order. In a negative prompt AND and a trailing `:weight` are text. Raises ValueError on unequal lengths.
    """

    def part(text: str, weight: float) -> PromptPart:
        return PromptPart(weight, tuple(schedule(text, steps, hires_steps, old)))

    return ConditioningPlan(
        tuple(
            PromptPlan(tuple(part(text, weight) for text, weight in split_composable(prompt)), part(negative, 1.0))
            for prompt, negative in zip(prompts, negative_prompts, strict=True)
        )
    )


def active_index(last_steps: Iterable[int], call: int) -> int:
    """Which entry of a schedule serves the model's call number `call`, counted from 0 in each sampling pass.

    The first entry whose last step is not below `call`, so the first entry serves one call more than its steps, as in
    A1111; and again the first entry for calls past the last step (samplers that choose their own number of steps).
    """
    return next((index for index, last in enumerate(last_steps) if call <= last), 0)


def active_text(entries: Sequence[tuple[int, str]], call: int) -> str:
    """The text of a schedule that serves the model's call number `call`, counted from 0 in each sampling pass."""
    return entries[active_index((last for last, _ in entries), call)][1]
