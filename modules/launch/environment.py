"""The virtual environment: where it is, making it, and repairing what an interrupted installation left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from modules.launch.console import say, step
from modules.launch.interpreter import Interpreter
from modules.launch.machine import Computer, LaunchError

SYSTEM_PYTHON = "-"


class Environment:
    """A virtual environment in `folder`, or this very Python where VENV_DIR is "-" or SKIP_VENV is set."""

    def __init__(self, machine: Computer, root: Path) -> None:
        self.machine = machine
        named = machine.environ.get("VENV_DIR", "").strip().strip('"')
        self.is_system = named == SYSTEM_PYTHON or machine.environ.get("SKIP_VENV") == "1"
        self.folder = root / (named or "venv")

    @property
    def python(self) -> str:
        """The program that runs the server."""
        if self.is_system:
            return self.machine.executable
        below = ("Scripts", "python.exe") if self.machine.windows else ("bin", "python")
        return str(self.folder.joinpath(*below))

    def exists(self) -> bool:
        """Whether its Python is there."""
        return self.is_system or Path(self.python).exists()

    def works(self) -> bool:
        """Whether its Python runs and has pip: the making of it may have been cut short, its Python uninstalled."""
        return self.exists() and self.machine.ask([self.python, "-c", "import pip"]).code == 0

    def python_version(self) -> tuple[int, int]:
        """The version of its Python; (0, 0) when that can't be found out."""
        answer = self.machine.ask([self.python, "-c", "import sys; print(*sys.version_info[:2])"])
        words = answer.output.split()
        return (int(words[0]), int(words[1])) if answer.code == 0 and len(words) == 2 else (0, 0)

    def make(self, interpreter: Interpreter) -> None:
        """Make it anew. Raises LaunchError."""
        clear = ("--clear",) if self.folder.exists() else ()
        with step(f"Making the virtual environment in {self.folder} with Python {interpreter.version}"):
            done = self.machine.show([*interpreter.command, *clear, str(self.folder)])
        if done.code != 0 or not self.works():
            raise LaunchError(
                f"The virtual environment in {self.folder} can't be made: on Debian and Ubuntu, install the package "
                "python3-venv; elsewhere, check that the folder can be written, or set VENV_DIR to another one."
            )

    def repair(self) -> None:
        """Remove what an installation that was cut short left behind, so that pip installs it again.

        pip writes INSTALLER when all of a package is unpacked, and RECORD after it: without them a package is half
        there, though pip would call it installed. Names that begin with "~" are copies that pip made while it replaced
        a package.
        """
        if self.is_system:
            return
        for leftover in _leftovers(self.folder):
            say(f"Removing {leftover.name}, left by an installation that was cut short.")
            shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(folder: Path) -> Iterator[Path]:
    for packages in [*folder.glob("lib/python3*/site-packages"), *folder.glob("Lib/site-packages")]:
        for entry in packages.iterdir():
            half = entry.suffix == ".dist-info" and not all((entry / name).exists() for name in ("INSTALLER", "RECORD"))
            if entry.is_dir() and (half or entry.name.startswith("~")):
                yield entry
