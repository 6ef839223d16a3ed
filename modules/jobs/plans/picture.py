"""One picture of a script, as it is planned before anything is resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import JsonValue

from modules.parameters import GenerationRequest

MOST_PICTURES: Final = 5000


@dataclass(frozen=True, slots=True)
class Picture:
    """What one picture changes of the request: `fields` of it, and `overrides` of settings.

    `seed` and `subseed` are added to the job's own.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, JsonValue] = field(default_factory=dict)
    seed: int = 0
    subseed: int = 0


# From a request and its script's arguments to the pictures. Raises RequestError for what cannot be done.
Plan = Callable[[GenerationRequest, Mapping[str, Any]], Sequence[Picture]]
