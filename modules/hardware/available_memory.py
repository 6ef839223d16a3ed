"""Main memory as this process may use it: the machine's, or a container's share where that is less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

# What must stay free of it when models are cached there, for the system, the server and the work, in bytes.
MAIN_RESERVE: Final = 2_000_000_000

_ROOT: Final = Path("/")
# (what /proc/self/cgroup calls the controller, where it is mounted, its limit, what is used), of the two versions.
_VERSIONS: Final = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current"),
    ("memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
# Pages of files, which the system drops at need; version 1 counts those of groups below under names of their own.
_GIVES_WAY: Final = ("inactive_file", "active_file")


@dataclass(frozen=True, slots=True)
class MainMemory:
    """Bytes that can be used now without swapping, and bytes altogether."""

    available: int
    total: int


def main_memory(root: Path = _ROOT) -> MainMemory:
    """What there is now. `root` is where the system's files are looked for."""
    machine = psutil.virtual_memory()
    available, total = machine.available, machine.total
    for limit, used in _limits(root):
        if limit < total:
            available, total = min(available, max(0, limit - used)), limit
    return MainMemory(available, total)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, bytes in use and not droppable) of each control group that this process is in, up to the outermost."""
    groups = dict(_own_groups(root))
    for controller, mounted, limit_name, used_name in _VERSIONS:
        if controller not in groups:
            continue
        top = root / mounted
        # Inside a container the path may be the host's, which is not there: then the outermost one is its own.
        inner = top / groups[controller].lstrip("/")
        for folder in (inner, *inner.parents):
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            if limit is not None and used is not None:
                yield limit, max(0, used - _gives_way(folder / "memory.stat"))
            if folder == top:
                break


def _own_groups(root: Path) -> Iterator[tuple[str, str]]:
    """Pairs of controller ("" in version 2) and path."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            yield controller, path


def _gives_way(file: Path) -> int:
    counts = dict(line.partition(" ")[::2] for line in _lines(file))
    return sum(int(counts.get(f"total_{name}", counts.get(name, "0"))) for name in _GIVES_WAY)


def _number(file: Path) -> int | None:
    """The number in a file; None where there is none, or it says "max"."""
    text = "".join(_lines(file))
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
