"""What features share between the jobs of an engine: models that were read, maps that were made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

Made = TypeVar("Made")


# While what it gives is open, a network that lies in main memory computes where the job has room for it. It takes
# modules, and what has one as its `module`; whatever else it is given stays as it is.
OnDevice = Callable[[object], AbstractContextManager[None]]


def in_place(made: object) -> AbstractContextManager[None]:
    """Have a network compute where it lies."""
    return nullcontext()


def module_of(made: object) -> nn.Module | None:
    """`made`, or its `module`, where that is one."""
    module = made if isinstance(made, nn.Module) else getattr(made, "module", None)
    return module if isinstance(module, nn.Module) else None


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

    def files(self, *kinds: str) -> frozenset[Path]:
        """The files that what is stored of these kinds was made of, by its keys."""
        keys = (key for kind in kinds for key in self.keys(kind))
        return frozenset(part for key in keys for part in _parts(key) if isinstance(part, Path))

    def leave_device(self) -> None:
        """Modules among them, and parts of them that are some, leave the device and stay in main memory: the next
        job's plan counts their room as free.
        """
        for kind in self._kinds.values():
            for made in kind.values():
                if (module := module_of(made)) is not None:
                    module.to("cpu")

    def forget(self) -> None:
        """Give back every byte."""
        self._kinds.clear()


def _parts(key: Hashable) -> Iterator[Hashable]:
    if isinstance(key, tuple):
        for part in key:
            yield from _parts(part)
    else:
        yield key
