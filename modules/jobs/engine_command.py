"""How an engine is started: by name, with the flags that concern it and nothing that is secret."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final

from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineNews, EngineProcess, Launch
from modules.settings import REPOSITORY, Flags, Paths, declared_flags
from modules.settings.flag_parser import DeclaredFlag
from modules.settings.flags import ATTENTION, MEMORY

_GROUPS: Final = (MEMORY, ATTENTION)


def engine_launch(flags: Flags, log: EngineLog) -> Launch:
    """Launches `python -m modules.engine` with this Python and these flags, its output going to `log`."""
    embeddings = f"--embeddings-dir={Paths.from_flags(flags).embeddings_dir}"
    command = [sys.executable, "-m", "modules.engine", *engine_arguments(flags), embeddings]

    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineProcess:
        return EngineProcess(number, post, command, log.copy, folder=REPOSITORY)

    return launch


def engine_arguments(flags: Flags) -> list[str]:
    """A command line from which `parse_flags` reads the same device, precision, memory and attention flags."""
    concerned = [flag for flag in declared_flags() if flag.about.group in _GROUPS]
    return [word for flag in concerned for word in _words(flag, getattr(flags, flag.key))]


def _words(flag: DeclaredFlag, value: object) -> Iterator[str]:
    if value == flag.default:
        return
    if isinstance(value, tuple):
        yield flag.name
        yield from map(str, value)
    else:
        yield flag.name if value is True else f"{flag.name}={value}"
