"""Where the environment is, making it, and repairing one that was left half done."""

from pathlib import Path

import pytest

from modules.launch.environment import Environment
from modules.launch.interpreter import Interpreter
from modules.launch.machine import Completed, LaunchError
from tests.launch.fake_machine import OK, FakeMachine, makes_venv

THIS = Interpreter("3.11", ("python", "-m", "venv"))


@pytest.mark.parametrize(
    ("environ", "system", "python"),
    [
        ({}, "Linux", "venv/bin/python"),
        ({"VENV_DIR": ""}, "Darwin", "venv/bin/python"),
        ({"VENV_DIR": '"my env"'}, "Windows", "my env/Scripts/python.exe"),
        ({"VENV_DIR": "/opt/env"}, "Linux", "/opt/env/bin/python"),
    ],
)
def test_its_python(tmp_path: Path, environ: dict[str, str], system: str, python: str) -> None:
    environment = Environment(FakeMachine(system, environ=environ), tmp_path)
    assert Path(environment.python) == tmp_path / python and not environment.is_system


@pytest.mark.parametrize("environ", [{"VENV_DIR": "-"}, {"SKIP_VENV": "1"}])
def test_the_systems_python(tmp_path: Path, environ: dict[str, str]) -> None:
    environment = Environment(FakeMachine(environ=environ), tmp_path)
    assert environment.is_system and environment.exists() and environment.python == "python-of-the-person"


def test_making_one(tmp_path: Path) -> None:
    machine = FakeMachine(answers={"-m venv": makes_venv})
    environment = Environment(machine, tmp_path)
    assert not environment.works()
    environment.make(THIS)
    assert environment.works() and not machine.ran("--clear")


def test_a_half_made_one_is_made_anew(tmp_path: Path) -> None:
    makes_venv([str(tmp_path / "venv")])
    pip = iter([Completed(1, "No module named pip"), OK])
    machine = FakeMachine(answers={"import pip": lambda _: next(pip), "-m venv": makes_venv})
    environment = Environment(machine, tmp_path)
    assert not environment.works()
    environment.make(THIS)
    assert machine.ran("-m venv --clear")


def test_one_that_cannot_be_made(tmp_path: Path) -> None:
    machine = FakeMachine(answers={"-m venv": Completed(1, "ensurepip is not available")})
    with pytest.raises(LaunchError, match="python3-venv"):
        Environment(machine, tmp_path).make(THIS)


@pytest.mark.parametrize(
    ("answer", "version"),
    [(Completed(0, "3 12\n"), (3, 12)), (Completed(1, ""), (0, 0)), (Completed(0, "what"), (0, 0))],
)
def test_its_version(tmp_path: Path, answer: Completed, version: tuple[int, int]) -> None:
    assert Environment(FakeMachine(answers={"version_info": answer}), tmp_path).python_version() == version


@pytest.mark.parametrize("packages", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_repairing_removes_half_installed_packages_only(tmp_path: Path, packages: str) -> None:
    site = tmp_path / "venv" / packages
    for name in ("whole-1.dist-info", "half-2.dist-info", "cut-3.dist-info", "~orch", "torch"):
        (site / name).mkdir(parents=True)
    for file in ("whole-1.dist-info/RECORD", "whole-1.dist-info/INSTALLER", "half-2.dist-info/METADATA"):
        (site / file).write_text("")
    (site / "cut-3.dist-info" / "RECORD").write_text("the wheel's own, which lies in it before all files are unpacked")
    Environment(FakeMachine(), tmp_path).repair()
    assert sorted(entry.name for entry in site.iterdir()) == ["torch", "whole-1.dist-info"]


def test_the_systems_packages_are_left_alone(tmp_path: Path) -> None:
    half = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "half-2.dist-info"
    half.mkdir(parents=True)
    Environment(FakeMachine(environ={"VENV_DIR": "-"}), tmp_path).repair()
    assert half.exists()
