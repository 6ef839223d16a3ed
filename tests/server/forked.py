"""`python -m module` without its imports: a process forked from one that has imported what servers and engines need.

Gradio takes five processor seconds to import, torch with diffusers ten to fifteen, and the suite starts dozens.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.server.forked_children import ForkingPopen

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "tests.server.template"


def can_fork() -> bool:
    """Whether this system has a fork server. Windows has none, and what macOS forks may not use its frameworks."""
    return sys.platform == "linux"


def start_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path | None = None, fresh: bool = False
) -> Forked | subprocess.Popen[bytes]:
    """Start `python -m module arguments` in the repository, its output appended to `log` (else mixed with ours).

    `fresh` is for tests of the start itself: an interpreter of its own, which imports everything.
    """
    if not fresh and can_fork():
        return Forked(module, arguments, environment, log)
    command = [sys.executable, "-m", module, *arguments]
    if log is None:
        return subprocess.Popen(command, cwd=ROOT, env=dict(environment))
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)


class Forked:
    """A forked process with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path | None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([TEMPLATE])
        self._process = context.Process(target=_run, args=(module, list(arguments), dict(environment), log))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for the signal that ended it. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()


def _run(module: str, arguments: list[str], environment: dict[str, str], log: Path | None) -> None:
    """Become what `python -m module arguments` would have become."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if log is not None:
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
    if module != "modules.engine":
        ForkingPopen.install()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
