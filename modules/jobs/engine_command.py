"""How an engine is started: by name, with the flags that concern it and nothing that is secret."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineNews, EngineProcess, Launch
from modules.settings import REPOSITORY, Flags, Paths, declared_flags
from modules.settings.flag_parser import DeclaredFlag
from modules.settings.flags import ATTENTION, MEMORY

_GROUPS: Final = (MEMORY, ATTENTION)
_MODEL_FOLDERS: Final = (
    *("esrgan_models_path", "bsrgan_models_path", "realesrgan_models_path", "dat_models_path", "scunet_models_path"),
    *("swinir_models_path", "gfpgan_models_path", "codeformer_models_path"),
)


def engine_launch(flags: Flags, log: EngineLog) -> Launch:
    """Launches `python -m modules.engine` with this Python and these flags, its output going to `log`."""
    command = [sys.executable, "-m", "modules.engine", *engine_arguments(flags), *engine_folders(flags)]
    environment = engine_environment(Paths.from_flags(flags).cache_dir)

    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineProcess:
        return EngineProcess(number, post, command, log.copy, REPOSITORY, environment)

    return launch


def engine_folders(flags: Flags) -> list[str]:
    """Where the engine finds by itself what jobs name: embeddings, upscalers, face restorers. All of it absolute."""
    paths = Paths.from_flags(flags)
    given = {name: getattr(flags, name) for name in _MODEL_FOLDERS}
    folders = [f"--{name.replace('_', '-')}={path.absolute()}" for name, path in given.items() if path is not None]
    others = [f"--other-models={folder}" for folder in flags.other_models]
    return [f"--models-dir={paths.models_dir}", f"--embeddings-dir={paths.embeddings_dirs[0]}", *folders, *others]


def engine_environment(cache: Path) -> dict[str, str]:
    """What torch and the C library read when the engine starts."""
    return {
        # Compiled code outlives the engine: the fast mode's first picture waits for it once.
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        # Idle worker threads that spin instead of sleeping make a busy machine many times slower.
        "OMP_WAIT_POLICY": "passive",
    }


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
