"""Reading many files in a process of its own: at idle priority, and dead alone if a file kills it.

`python -m modules.gallery.index.reading_process` takes a line of JSON at a time, what is wanted and the paths, and
answers a line for each path.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil

from modules.gallery.index.appearance import Appearance, appearance_of
from modules.gallery.index.reading import ReadPicture, read_picture
from modules.parameters.infotext_values import printable
from modules.settings import REPOSITORY

# Fewer are read here: a process takes longer to start.
_FEW: Final = 24
_COMMAND: Final = (sys.executable, "-m", "modules.gallery.index.reading_process")


class ReadersStopped(Exception):
    """The reading was stopped from another thread."""


class FileReader:
    """Reads headers in a process, which is started when there are many files. Used by one thread; `stop` by any."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def read(self, paths: Sequence[Path]) -> list[ReadPicture]:
        """What each file says, in order. A file that kills the process is one that can't be read.

        Raises ReadersStopped.
        """
        if len(paths) < _FEW and self._process is None:
            return [read_picture(path) for path in paths]
        answers = self._answers("read", paths)
        pairs = zip(paths, answers, strict=True)
        return [_fatal(path) if answer is None else _read_answer(answer) for path, answer in pairs]

    def appearances(self, paths: Sequence[Path]) -> list[Appearance | None]:
        """How each picture looks; None where it can't be decoded. Raises ReadersStopped."""
        answers = self._answers("look", paths)
        return [None if answer is None else Appearance(**answer) for answer in answers]

    def _answers(self, wanted: str, paths: Sequence[Path]) -> list[dict[str, Any] | None]:
        """An answer for each path; None for one that ended the process."""
        found: list[dict[str, Any] | None] = []
        while len(found) < len(paths):
            answers = list(self._ask(wanted, paths[len(found) :]))
            found += answers
            if len(found) < len(paths):
                self.close()
                if not answers:
                    found.append(None)
        return found

    def _ask(self, wanted: str, paths: Sequence[Path]) -> Iterator[dict[str, Any] | None]:
        """The answers of one process, as many as it gave before it ended."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps([wanted, [str(path) for path in paths]]).encode() + b"\n")
            process.stdin.flush()
            for _ in paths:
                line = process.stdout.readline()
                if not line.endswith(b"\n"):
                    break
                yield json.loads(line)
        except OSError:
            pass
        if self._stopped:
            raise ReadersStopped

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise ReadersStopped
            if self._process is None:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
                )
            return self._process

    @property
    def process_id(self) -> int | None:
        """The process that reads, where one was started."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process; the next large read starts another."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:
                pass

    def stop(self) -> None:
        """End the process for good, whatever it does now. Whoever used it then calls `close`."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()


def _fatal(path: Path) -> ReadPicture:
    return ReadPicture(problem=f"{printable(path.name)} can't be read: it ends the program that reads it.")


def _read_answer(said: dict[str, Any]) -> ReadPicture:
    return ReadPicture(**{**said, "facts": tuple((key, value) for key, value in said["facts"])})


def _yield_to_everything() -> None:
    """The lowest priority for processor and disk that the system has."""
    process = psutil.Process()
    with suppress(psutil.Error, OSError, AttributeError):
        process.nice(psutil.IDLE_PRIORITY_CLASS if sys.platform == "win32" else 19)
    with suppress(psutil.Error, OSError, AttributeError):
        if sys.platform == "linux":
            process.ionice(psutil.IOPRIO_CLASS_IDLE)


def main() -> None:
    """Answer until the input ends, as it does when the server does."""
    _yield_to_everything()
    for line in sys.stdin.buffer:
        wanted, paths = json.loads(line)
        for path in map(Path, paths):
            found = read_picture(path) if wanted == "read" else appearance_of(path)
            sys.stdout.write(json.dumps(None if found is None else asdict(found)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
