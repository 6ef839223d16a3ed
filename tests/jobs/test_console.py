"""Progress bars in a terminal: a real one, written to while a real queue runs jobs."""

from __future__ import annotations

import codecs
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from modules.jobs.console import ConsoleProgress
from modules.parameters import GenerationRequest
from tests.jobs.helpers import PATIENCE, House, eventually

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")


class Terminal:
    """Both ends of a pseudo-terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._end, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, 120))
        os.set_blocking(self._end, False)
        self.stream: TextIO = os.fdopen(inner, "w", encoding=encoding)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""

    def read(self) -> str:
        """Everything so far."""
        with suppress(BlockingIOError):
            self.text += self._decoder.decode(os.read(self._end, 100_000))
        return self.text

    def close(self) -> None:
        self.stream.close()
        os.close(self._end)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    yield one
    one.close()


def test_the_pass_and_the_whole_job(terminal: Terminal, tmp_path: Path) -> None:
    whole = True
    with House(tmp_path) as house:
        jobs = house.jobs
        bars = ConsoleProgress(jobs.subscribe(), terminal.stream, whole_job=lambda: whole)
        bars.start()
        job = jobs.submit(GenerationRequest(prompt="brisk", steps=10, n_iter=2))
        assert jobs.wait(job.id, PATIENCE).state == "finished"
        eventually(lambda: terminal.read().endswith("\n"))
        lines = terminal.text.split("\r")
        assert any(" 50%|██████████          |" in line.partition("Total")[2] for line in lines), "the first of two"
        assert "100%|████████████████████| 10/10 [" in lines[-2] and "Total progress: 100%" in lines[-2]
        assert "it/s]" in lines[-2]
        # On a narrow terminal the numbers stay.
        termios.tcsetwinsize(terminal.stream.fileno(), (24, 90))
        terminal.text = ""
        job = jobs.submit(GenerationRequest(prompt="brisk", steps=4))
        assert jobs.wait(job.id, PATIENCE).state == "finished"
        eventually(lambda: terminal.read().endswith("\n"))
        last = terminal.text.split("\r")[-2]
        assert (
            re.search(r"100%\|█{6,8}\| 4/4 \[", last)
            and re.search(r"Total progress: 100%\|█{6,8}\| \[", last)
            and last.rstrip()[-1] == "]"
        )
        # Only the pass, and a log line takes the bar's place.
        whole, terminal.text = False, ""
        job = jobs.submit(GenerationRequest(prompt="slow", steps=4))
        eventually(lambda: "1/4" in terminal.read())
        bars.before_log(logging.LogRecord("x", logging.INFO, "", 0, "told", None, None))
        shown = max(map(len, terminal.read().split("\r")))
        assert terminal.text.rstrip("\r").endswith(" " * (shown - 1)) and "Total" not in terminal.text
        assert jobs.wait(job.id, PATIENCE).state == "finished"


def test_a_terminal_that_knows_no_blocks_gets_plain_letters(tmp_path: Path) -> None:
    terminal = Terminal("ascii")
    with House(tmp_path) as house:
        jobs = house.jobs
        ConsoleProgress(jobs.subscribe(), terminal.stream, whole_job=lambda: True).start()
        jobs.wait(jobs.submit(GenerationRequest(prompt="a cat", steps=2)).id, PATIENCE)
        eventually(lambda: terminal.read().endswith("\n"))
    assert "100%|####################| 2/2 [" in terminal.text
    terminal.close()
