"""Writing small files so that a crash leaves the old one or the new one, never a half."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8): temporary file beside it, fsync, rename.

    Raises OSError; the old file then stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _keep_mode(path, Path(name))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _keep_mode(old: Path, new: Path) -> None:
    # mkstemp makes a file that only its owner may read; a file that others could read stays readable.
    mode = old.stat().st_mode & 0o777 if old.exists() else 0o644
    new.chmod(mode)
