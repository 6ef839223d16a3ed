"""Everything the launcher reads from and does to the computer, in one object that tests can replace."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from modules.launch.signals import end_tree

REMEMBERED_LINES = 60


class LaunchError(RuntimeError):
    """The launch can't go on; the message is what the person at the machine reads."""


class Completed(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    output: str


class Computer:
    """This computer: its system, its Python, its programs."""

    def __init__(self) -> None:
        self.system = platform.system()
        self.arch = platform.machine().lower()
        self.python = (sys.version_info[0], sys.version_info[1])
        self.bits = 64 if sys.maxsize > 2**32 else 32
        self.executable = sys.executable
        self.environ = dict(os.environ)
        self.interactive = sys.stdout.isatty()

    @property
    def windows(self) -> bool:
        return self.system == "Windows"

    def which(self, name: str) -> str | None:
        """Where a program lies, if it is there."""
        return shutil.which(name)

    def ask(self, command: Sequence[str], timeout: float = 120) -> Completed:
        """Run a command unseen; a program that is missing, hangs or can't be started ends with code 127."""
        try:
            done = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self.environ,
                timeout=timeout,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            return Completed(127, str(problem))
        return Completed(done.returncode, done.stdout)

    def show(self, command: Sequence[str]) -> Completed:
        """Run a command in view of the person; what it wrote to stderr is remembered too, to explain a failure."""
        remembered: deque[str] = deque(maxlen=REMEMBERED_LINES)
        try:
            with subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self.environ,
                encoding="utf-8",
                errors="replace",
                # Ended as a whole below: pip starts programs of its own.
                start_new_session=True,
            ) as child:
                try:
                    for line in child.stderr or ():
                        sys.stderr.write(line)
                        remembered.append(line)
                except BaseException:
                    end_tree(child)
                    raise
        except OSError as problem:
            return Completed(127, str(problem))
        return Completed(child.returncode, "".join(remembered))

    def become(self, command: Sequence[str]) -> int:
        """Hand over to the server: it takes this process's place, so that signals reach it and nothing is left behind.

        Windows can't replace a process: there it is waited for. Ctrl+C goes to both, and the server ends cleanly.
        """
        sys.stdout.flush()
        if not self.windows:
            os.execve(command[0], list(command), self.environ)
        with subprocess.Popen(list(command), env=self.environ) as server:
            while True:
                try:
                    return server.wait()
                except KeyboardInterrupt:
                    continue

    def library(self, name: str) -> Any:  # noqa: ANN401 - a foreign library has the functions it has
        """A shared library of the system. Raises OSError when it isn't there."""
        if self.windows:
            return getattr(ctypes, "WinDLL")(name)  # noqa: B009 - the name exists on Windows only
        return ctypes.CDLL(name)
