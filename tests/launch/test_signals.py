"""Ending the program: whichever process of the chain is ended in whichever way, none is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modules.jobs.lock import FolderLock
from modules.launch import console
from tests.amounts import some

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 5
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def eventually(true: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def end_all(pids: set[int]) -> None:
    for pid in filter(alive, pids):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def ended_and_reaped(process: subprocess.Popen[bytes]) -> Iterator[set[int]]:
    """Kills `process` at the end, and the processes whose numbers were added to the set.

    One that nobody waits for would warn later, in whichever test the garbage is collected.
    """
    pids = {process.pid}
    with process:
        try:
            yield pids
        finally:
            end_all(pids)


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell that starts the tests in the background has them, and so what they start, ignore Ctrl+C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", some([signal.SIGTERM, signal.SIGINT, signal.SIGKILL], 1))
def test_ending_the_start_script_ends_server_and_engine(tmp_path: Path, how: signal.Signals) -> None:
    flags = ["--skip-prepare-environment", "--nowebui", f"--data-dir={tmp_path}", "--port=0"]
    environ = {**os.environ, "PYTHON": sys.executable, "VENV_DIR": sys.prefix}
    with (tmp_path / "out.txt").open("wb") as out:
        command = ["bash", str(ROOT / "webui-user.sh"), *flags]
        shell = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    with ended_and_reaped(shell) as pids:
        eventually(lambda: "Running on" in (tmp_path / "out.txt").read_text() or shell.poll() is not None, 120)
        pids |= descendants(shell.pid)
        assert len(pids) >= 2, (tmp_path / "out.txt").read_text()
        os.kill(shell.pid, how)
        # Well below what systemd, Docker and supervisors wait for before they kill.
        shell.wait(MOST_SECONDS)
        eventually(lambda: not any(map(alive, pids)), MOST_SECONDS)
    FolderLock(tmp_path / "webui.lock").release()


@pytest.mark.parametrize("how", some([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], 2))
def test_ending_the_launcher_ends_what_it_has_started(tmp_path: Path, how: signal.Signals) -> None:
    """pip and what pip starts, for whom a shell and its sleep stand in."""
    code = (
        "import sys\n"
        "from modules.launch.machine import Computer\n"
        "from modules.launch.signals import end_as_by_ctrl_c\n"
        "end_as_by_ctrl_c()\n"
        "try:\n"
        "    Computer().show(['bash', '-c', 'sleep 300 & sleep 300'])\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    with ended_and_reaped(launcher) as pids:
        eventually(lambda: len(descendants(launcher.pid)) == 4, 30)
        pids |= descendants(launcher.pid)
        os.kill(launcher.pid, how)
        assert launcher.wait(30) == 130
        eventually(lambda: not any(map(alive, pids)), 10)


@pytest.mark.parametrize(
    ("status", "window", "held"), [(3, "1", True), (0, "1", False), (130, "1", False), (3, "", False)]
)
def test_a_window_is_held_after_an_error_only(
    status: int, window: str, held: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts: list[str] = []
    monkeypatch.setenv("WEBUI_WINDOW", window)
    monkeypatch.setattr("builtins.input", prompts.append)
    console.hold_window(status)
    assert bool(prompts) is held
    assert ("ended with status 3; the reason stands above" in capsys.readouterr().err) is held
