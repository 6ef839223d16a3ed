"""One picture of a script, as it is planned before anything is resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import JsonValue

from modules.parameters import GenerationRequest, RequestError
from modules.parameters.resolved import Seeds

MOST_PICTURES: Final = 5000


@dataclass(frozen=True, slots=True)
class Picture:
    """What one picture changes of the request: `fields` of it, and `overrides` of settings.

    `seed` and `subseed` are added to the job's own. `towards` is another prompt and how far this picture's is blended
    into it, once styles are merged into both.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, JsonValue] = field(default_factory=dict)
    seed: int = 0
    subseed: int = 0
    towards: tuple[str, float] | None = None


def few_enough(title: str, count: int) -> None:
    """Raises RequestError where a script would make more pictures than go at once."""
    if count > MOST_PICTURES:
        raise RequestError(f"{title} would make {count:,} pictures; at most {MOST_PICTURES:,} go at once.")


def seeds_of(plan: Sequence[Picture], first: Seeds) -> Seeds:
    """Seed and variation seed of each picture, counted from those of a plain job's `first` image."""
    return (
        tuple(_reported_or(picture, "seed", first[0][0] + picture.seed) for picture in plan),
        tuple(_reported_or(picture, "subseed", first[1][0] + picture.subseed) for picture in plan),
    )


def _reported_or(picture: Picture, name: str, counted: int) -> int:
    reported = int(picture.fields.get(name, -1))
    return reported if reported >= 0 else counted


# From a request with a script to the pictures. Raises RequestError for what cannot be done.
Plan = Callable[[GenerationRequest], Sequence[Picture]]


def ordinary(request: GenerationRequest, fields: Mapping[str, Any] | None = None) -> list[Picture]:
    """The pictures of a plain job, with `fields` changed in each."""
    count = request.n_iter * request.batch_size
    seeds = range(count) if request.subseed_strength == 0 else [0] * count
    return [Picture(fields or {}, seed=seed, subseed=number) for number, seed in enumerate(seeds)]


def refuse_mask(request: GenerationRequest, title: str) -> None:
    """Raises RequestError where a request has a mask that the script of this title can't use."""
    if request.mask is not None:
        raise RequestError(f"{title} takes no mask: start it from the img2img tab, or take the painting away.")
