"""Names that are promised to pictures under way, so that no two pictures get the same."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.files import SaveError, save_error
from modules.gallery.naming import below, largest_number, longest_name
from modules.gallery.sanitizing import avoid_device
from modules.gallery.stems import Stem

_TRIES: Final = 1000


@dataclass(frozen=True, slots=True)
class OpenName:
    """A file name whose number is still open; without `digits` it has none.

    `replace`: a file that has the name already is replaced.
    """

    folder: Path
    prefix: str
    stem: Stem
    tail: str
    digits: int = 5
    replace: bool = False

    def path(self, number: int, longest: int) -> Path:
        """The path with `number`, its name in `longest` bytes; unnumbered names show it as a suffix, and 0 not at all.

        The stem is what is shortened: number and tail stay whole.
        """
        if self.digits:
            head, tail = f"{self.prefix}{number:0{self.digits}d}" + ("-" if self.stem else ""), self.tail
        else:
            head, tail = "", f"-{number}{self.tail}" if number else self.tail
        stem = self.stem.fitted(longest - len(f"{head}{tail}".encode()))
        return self.folder / avoid_device(f"{head}{stem or ('' if self.digits else 'image')}{tail}")


class Reservations:
    """The names held in this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Path, tuple[OpenName, int]] = {}

    def hold(self, name: OpenName, taken: Collection[Path] = ()) -> Path:
        """The next free path for `name`, nobody else's until it is released. Creates nothing. Raises SaveError.

        Files of `taken` are not replaced, even where `name` allows that.
        """
        try:
            longest = longest_name(name.folder)
            with self._lock:
                first = self._next_number(name) if name.digits else 0
                for number in range(first, first + _TRIES):
                    path = below(name.folder, name.path(number, longest))
                    free = not path.exists() or (name.replace and not _is_one_of(path, taken))
                    if path not in self._held and free:
                        self._held[path] = (name, number)
                        return path
        except OSError as error:
            raise save_error(name.folder / f"{name.stem}{name.tail}", error) from error
        raise SaveError(f"{name.folder} has no free name left for {name.stem}{name.tail}; choose another name pattern.")

    def _next_number(self, name: OpenName) -> int:
        held = [
            number
            for other, number in self._held.values()
            if other.folder == name.folder and other.prefix == name.prefix
        ]
        return 1 + max(largest_number(name.folder, name.prefix), *held, -1)

    def of(self, path: Path) -> OpenName | None:
        """The name behind a held path."""
        with self._lock:
            return self._held.get(path, (None, 0))[0]

    def release(self, path: Path) -> None:
        """Release a path, whether it is reserved or not."""
        with self._lock:
            self._held.pop(path, None)


def _is_one_of(path: Path, others: Collection[Path]) -> bool:
    """Whether a file is among others, which may be spelled in another way: letters' case, links."""
    return any(other == path or (other.exists() and other.samefile(path)) for other in others)
