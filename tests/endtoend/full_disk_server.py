"""The real server on a disk that is full while the file `full` lies in its data folder, where none can be mounted.

There is room for one more file if it says "1".
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from modules.files import atomic
from modules.server.serve import main


def pretend(flag: Path, outputs: Path) -> None:
    """Make pictures below `outputs` meet a full disk while `flag` exists."""
    write_synced = atomic._write_synced

    def guarded(path: Path, write: Callable[[BinaryIO], object], mode: int) -> None:
        if flag.exists() and path.is_relative_to(outputs) and flag.read_bytes() == b"1":
            flag.write_bytes(b"0")
        elif flag.exists() and path.is_relative_to(outputs):
            whole = io.BytesIO()
            write(whole)
            path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_synced(path, write, mode)

    atomic._write_synced = guarded


if __name__ == "__main__":
    data = Path(sys.argv[sys.argv.index("--data-dir") + 1])
    pretend(data / "full", data / "outputs")
    sys.exit(main(sys.argv[1:]))
