"""What features share between the jobs of an engine: models that were read, maps that were made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from torch import nn

Made = TypeVar("Made")


class SharedCache:
    """The last things that were made, of each kind as many as its user says; the oldest go first."""

    def __init__(self) -> None:
        self._kinds: dict[str, OrderedDict[Hashable, Any]] = {}

    def get(self, kind: str, key: Hashable, make: Callable[[], Made], most: int) -> Made:
        """What was made for `key`, or what `make` makes now. What it raises is raised, and nothing is stored."""
        made = self._kinds.setdefault(kind, OrderedDict())
        if key not in made:
            # Room first: the new one and those it replaces would be there at once.
            while len(made) >= max(most, 1):
                made.popitem(last=False)
            made[key] = make()
        made.move_to_end(key)
        found: Made = made[key]
        return found

    def keys(self, kind: str) -> tuple[Hashable, ...]:
        """Of what is stored of a kind."""
        return tuple(self._kinds.get(kind, ()))

    def leave_device(self) -> None:
        """Modules among them, and parts of them that are some, leave the device and stay in main memory: the next
        job's plan counts their room as free.
        """
        for kind in self._kinds.values():
            for made in kind.values():
                module = made if isinstance(made, nn.Module) else getattr(made, "module", None)
                if isinstance(module, nn.Module):
                    module.to("cpu")

    def forget(self) -> None:
        """Give back every byte."""
        self._kinds.clear()
