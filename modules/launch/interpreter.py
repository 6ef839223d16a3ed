"""Which Python the virtual environment is made from: this one, a newer one of this computer, or one that uv fetches."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from modules.launch.console import say, step, warn
from modules.launch.machine import Computer, LaunchError

# Whether a version was run in whole is written down in docs/release.md.
OLDEST, NEWEST_TESTED = (3, 11), (3, 11)
PREFERRED = ("3.11", "3.12", "3.13", "3.14")
FETCHED = "3.11"


class Interpreter(NamedTuple):
    """How to make the environment: `command` is what stands before the folder's name."""

    version: str
    command: tuple[str, ...]


def choose_interpreter(machine: Computer, tools: Path, skip_check: bool = False) -> Interpreter:
    """The Python for the environment. `tools` is a folder for uv, should it be needed. Raises LaunchError."""
    if machine.bits != 64:
        raise LaunchError("This is a 32-bit Python and torch needs a 64-bit one: install that and start again.")
    _warn_of_untested(machine.python)
    if machine.python >= OLDEST or skip_check:
        return Interpreter(_text(machine.python), (machine.executable, "-m", "venv"))
    say(f"This is Python {_text(machine.python)}; {_text(OLDEST)} or newer is needed.")
    found = _installed(machine) or _fetched(machine, tools)
    if found is None:
        raise LaunchError(
            f"Python {_text(machine.python)} is too old: install Python {FETCHED} (64-bit), then set PYTHON to it in "
            f"webui-user.{'bat' if machine.windows else 'sh'} and start again."
        )
    return found


def _warn_of_untested(version: tuple[int, int]) -> None:
    if version > NEWEST_TESTED:
        warn(
            f"Python {_text(version)} is newer than what this program was tested with ({_text(NEWEST_TESTED)}): "
            f"should something fail, set PYTHON to a Python {_text(NEWEST_TESTED)}."
        )


def _installed(machine: Computer) -> Interpreter | None:
    for version in PREFERRED:
        command = _command(machine, version)
        if command and machine.ask([*command, "-c", "import ensurepip, venv"]).code == 0:
            say(f"Found Python {version} on this computer; it is used instead.")
            major, minor = map(int, version.split("."))
            _warn_of_untested((major, minor))
            return Interpreter(version, (*command, "-m", "venv"))
    return None


def _command(machine: Computer, version: str) -> tuple[str, ...]:
    if machine.windows:
        starter = machine.which("py")
        return (starter, f"-{version}") if starter else ()
    program = machine.which(f"python{version}")
    return (program,) if program else ()


def _fetched(machine: Computer, tools: Path) -> Interpreter | None:
    uv = machine.which("uv") or _install_uv(machine, tools)
    if uv is None:
        return None
    with step(f"Fetching Python {FETCHED} with uv"):
        done = machine.show([uv, "python", "install", FETCHED])
    if done.code != 0:
        return None
    return Interpreter(FETCHED, (uv, "venv", "--seed", "--managed-python", "--python", FETCHED))


def _install_uv(machine: Computer, tools: Path) -> str | None:
    program = tools / "bin" / ("uv.exe" if machine.windows else "uv")
    if program.exists():
        return str(program)
    with step("Installing uv, which can fetch a newer Python"):
        machine.show([machine.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(tools), "uv"])
    return str(program) if program.exists() else None


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
