"""A computer made of answers: every command that the launcher runs is written down and answered from a table."""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modules.launch.machine import Completed, Computer

Answer = Completed | Callable[[list[str]], Completed]
OK = Completed(0, "")


class FakeDriver:
    """NVIDIA's driver library: cards are (name, (major, minor))."""

    def __init__(self, cuda: int, *cards: tuple[str, tuple[int, int]], init: int = 0) -> None:
        self.cuda, self.cards, self.init = cuda, cards, init

    def cuInit(self, _flags: int) -> int:
        return self.init

    def cuDriverGetVersion(self, answer: Any) -> int:
        answer._obj.value = self.cuda
        return 0

    def cuDeviceGetCount(self, answer: Any) -> int:
        answer._obj.value = len(self.cards)
        return 0

    def cuDeviceGet(self, answer: Any, index: int) -> int:
        answer._obj.value = index
        return 0

    def cuDeviceGetName(self, buffer: Any, _length: int, device: ctypes.c_int) -> int:
        buffer.value = self.cards[device.value][0].encode()
        return 0

    def cuDeviceGetAttribute(self, answer: Any, attribute: int, device: ctypes.c_int) -> int:
        answer._obj.value = self.cards[device.value][1][attribute - 75]
        return 0


class FakeMachine(Computer):
    """`answers` maps words to look for in a command to its answer; the first match counts, without one all is well."""

    def __init__(
        self,
        system: str = "Linux",
        arch: str = "x86_64",
        python: tuple[int, int] = (3, 11),
        bits: int = 64,
        environ: dict[str, str] | None = None,
        programs: Sequence[str] = (),
        driver: FakeDriver | None = None,
        answers: dict[str, Answer] | None = None,
    ) -> None:
        self.system, self.arch, self.python, self.bits = system, arch, python, bits
        self.executable = "python-of-the-person"
        self.environ = dict(environ or {})
        self.interactive = True
        self.programs = set(programs)
        self.driver = driver
        self.answers = dict(answers or {})
        self.commands: list[str] = []
        self.became: list[str] = []

    def which(self, name: str) -> str | None:
        return f"/programs/{name}" if name in self.programs else None

    def ask(self, command: Sequence[str], timeout: float = 120) -> Completed:
        return self._answer(list(command))

    def show(self, command: Sequence[str]) -> Completed:
        return self._answer(list(command))

    def become(self, command: Sequence[str]) -> int:
        self.became = list(command)
        return 0

    def library(self, name: str) -> Any:
        if self.driver is None or not name.startswith(("libcuda", "nvcuda")):
            raise OSError(f"{name}: cannot open shared object file")
        return self.driver

    def ran(self, *words: str) -> list[str]:
        """The commands that hold all of these words."""
        return [command for command in self.commands if all(word in command for word in words)]

    def _answer(self, command: list[str]) -> Completed:
        text = " ".join(command)
        self.commands.append(text)
        for words, answer in self.answers.items():
            if words in text:
                return answer(command) if callable(answer) else answer
        return OK


def makes_venv(command: list[str]) -> Completed:
    """The answer to `-m venv FOLDER`: the folder is there."""
    python = Path(command[-1]) / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text("")
    return OK
