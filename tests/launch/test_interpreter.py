"""Old, new, 32-bit and missing Pythons."""

from pathlib import Path

import pytest

from modules.launch.installer import reason
from modules.launch.interpreter import FETCHED, NEWEST_TESTED, PREFERRED, Interpreter, choose_interpreter
from modules.launch.machine import Completed, LaunchError
from tests.launch.fake_machine import OK, FakeMachine

NOTHING = Completed(1, "")


def test_this_python_serves(tmp_path: Path) -> None:
    machine = FakeMachine(python=(3, 12))
    assert choose_interpreter(machine, tmp_path) == Interpreter("3.12", (machine.executable, "-m", "venv"))


def test_a_newer_one_than_tested_is_used_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_interpreter(FakeMachine(python=(3, 16)), tmp_path).version == "3.16"
    assert "newer than what this program was tested with" in capsys.readouterr().err


def test_what_is_recommended_is_what_was_tested() -> None:
    assert f"{NEWEST_TESTED[0]}.{NEWEST_TESTED[1]}" == FETCHED == PREFERRED[0]
    start = (Path(__file__).resolve().parents[2] / "webui.py").read_text("utf-8")
    assert f"install Python {FETCHED} (64-bit)" in start
    assert f"Python {FETCHED} (64-bit) is the one that was tried" in reason("ERROR: No matching distribution found")


def test_32_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="32-bit"):
        choose_interpreter(FakeMachine(bits=32), tmp_path)


def test_from_a1111s_python_a_newer_one_of_the_computer_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = FakeMachine(python=(3, 10), programs=["python3.12", "python3.13"], answers={"python3.12": NOTHING})
    found = choose_interpreter(machine, tmp_path)
    assert found == Interpreter("3.13", ("/programs/python3.13", "-m", "venv"))
    said = capsys.readouterr()
    assert "Python 3.13 is newer than what this program was tested with (3.11)" in said.out + said.err


def test_on_windows_the_py_starter_knows_them(tmp_path: Path) -> None:
    machine = FakeMachine("Windows", python=(3, 10), programs=["py"], answers={"-3.11": NOTHING, "-3.13": NOTHING})
    assert choose_interpreter(machine, tmp_path).command == ("/programs/py", "-3.12", "-m", "venv")


def test_else_uv_fetches_one(tmp_path: Path) -> None:
    machine = FakeMachine(python=(3, 9), programs=["uv"])
    found = choose_interpreter(machine, tmp_path)
    assert found.version == "3.11" and found.command[:3] == ("/programs/uv", "venv", "--seed")
    assert machine.ran("uv python install 3.11")


def test_uv_itself_is_installed_when_pip_can(tmp_path: Path) -> None:
    def install(_command: list[str]) -> Completed:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "uv").write_text("")
        return OK

    machine = FakeMachine(python=(3, 9), answers={"--target": install})
    assert choose_interpreter(machine, tmp_path).command[0] == str(tmp_path / "bin" / "uv")
    assert choose_interpreter(machine, tmp_path).command[0] == str(tmp_path / "bin" / "uv")
    assert len(machine.ran("pip install")) == 1


@pytest.mark.parametrize(("system", "file"), [("Linux", "webui-user.sh"), ("Windows", "webui-user.bat")])
def test_else_one_sentence_with_the_fix(tmp_path: Path, system: str, file: str) -> None:
    machine = FakeMachine(system, python=(3, 10), programs=["uv"], answers={"python install": Completed(2, "offline")})
    with pytest.raises(LaunchError, match=rf"Python 3.10 is too old: install Python 3.11 .* in {file} and start again"):
        choose_interpreter(machine, tmp_path)
    with pytest.raises(LaunchError):
        choose_interpreter(FakeMachine(system, python=(3, 10)), tmp_path)


def test_the_check_can_be_skipped(tmp_path: Path) -> None:
    assert choose_interpreter(FakeMachine(python=(3, 10)), tmp_path, skip_check=True).version == "3.10"
