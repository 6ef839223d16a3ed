"""Installing torch, requirements and xformers; failures in plain sentences."""

import json
from pathlib import Path

import pytest

from modules.launch.environment import Environment
from modules.launch.installer import REASONS, Installer, reason
from modules.launch.machine import Completed, LaunchError
from modules.launch.nvidia import Nvidia
from modules.launch.torch_choice import TORCH, TorchPlan, choose_torch
from tests.launch.fake_machine import FakeDriver, FakeMachine

CPU = TorchPlan("the CPU", (("pip", "install", TORCH),))
CUDA = TorchPlan("CUDA 13.0 (card)", (("pip", "install", TORCH, "a"), ("pip", "install", TORCH, "b/cu130")), cuda=True)
REPOSITORY = Path(__file__).resolve().parents[2]
ABSENT = Completed(1, "PackageNotFoundError")
FAILED = Completed(1, "ERROR: No matching distribution found for torch")


def installer(machine: FakeMachine, root: Path = Path("/repository")) -> Installer:
    return Installer(machine, Environment(machine, root), root)


def test_pip_itself_comes_from_the_tested_set_and_without_it_the_old_one_serves() -> None:
    machine = FakeMachine(answers={"requirements-pip.txt": FAILED})
    installer(machine).update_pip()
    assert len(machine.ran("-m pip install", "--only-binary :all:", "requirements-pip.txt")) == 1


def test_the_systems_own_pip_stays_as_it_is() -> None:
    machine = FakeMachine(environ={"VENV_DIR": "-"})
    installer(machine).update_pip()
    assert not machine.ran("pip install")


def test_a_missing_torch_is_installed() -> None:
    machine = FakeMachine(answers={"version('torch')": ABSENT})
    installer(machine).install_torch(CPU, reinstall=False)
    assert len(machine.ran("-m pip install", TORCH)) == 1 and not machine.ran("uninstall")


@pytest.mark.parametrize(
    ("version", "plan", "suits"),
    [
        ("2.13.0+cpu", CPU, True),
        ("2.13.0", CPU, True),
        ("2.13.0+cu130", CUDA, True),
        ("2.13.0+cu126", CUDA, False),
        ("2.13.0", CUDA, True),
        ("2.13.0+cpu", CUDA, False),
        ("2.12.1", CPU, False),
        ("2.9.0+rocm6.4", TorchPlan("what TORCH_COMMAND says", (("pip", "install", "torch"),)), True),
    ],
)
def test_a_torch_that_suits_is_kept_and_another_build_goes_first(version: str, plan: TorchPlan, suits: bool) -> None:
    machine = FakeMachine(answers={"version('torch')": Completed(0, version + "\n")})
    installer(machine).install_torch(plan, reinstall=False)
    assert bool(machine.ran("uninstall --yes torch")) != suits
    assert bool(machine.ran("pip install")) != suits


def test_reinstalling_is_possible() -> None:
    machine = FakeMachine(answers={"version('torch')": Completed(0, "2.13.0+cpu")})
    installer(machine).install_torch(CPU, reinstall=True)
    assert machine.ran("uninstall --yes torch") and machine.ran("pip install")


def test_builds_are_tried_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    machine = FakeMachine(answers={"version('torch')": ABSENT, f"{TORCH} a": FAILED})
    installer(machine).install_torch(CUDA, reinstall=False)
    assert machine.ran(f"{TORCH} b/cu130") and "trying the next one" in capsys.readouterr().err


def test_no_build_at_all_is_an_error_with_the_reason() -> None:
    machine = FakeMachine(answers={"version('torch')": ABSENT, "pip install": FAILED})
    with pytest.raises(LaunchError, match=r"torch can't be installed: there is no package for this Python"):
        installer(machine).install_torch(CUDA, reinstall=False)


@pytest.mark.parametrize(("words", "meaning"), REASONS)
def test_pips_words_are_translated(words: str, meaning: str) -> None:
    assert reason(f"blah\nERROR: {words} blah\n") == meaning


def test_unknown_words_are_repeated() -> None:
    assert reason("first\nsecond.\n\n") == "second"
    assert reason("") == "it said nothing"


def test_requirements_are_wheels_from_the_tested_set() -> None:
    machine = FakeMachine()
    installer(machine).install_requirements()
    command, alone = machine.ran("pip install")
    assert "--only-binary :all:" in command and command.endswith("requirements-lock.txt")
    assert "--no-deps" not in command
    assert "--only-binary :all: --no-deps" in alone and alone.endswith("requirements-no-deps.txt")


def test_what_would_bring_torchvision_comes_alone_and_fails_as_loudly() -> None:
    named = (REPOSITORY / "requirements-no-deps.txt").read_text(encoding="utf-8")
    assert "\nspandrel==" in named
    for others in ("requirements-lock.txt", "requirements-test.txt"):
        assert "spandrel==" not in (REPOSITORY / others).read_text(encoding="utf-8")
    broken = FakeMachine(answers={"--no-deps": Completed(1, "Could not fetch URL: name resolution")})
    with pytest.raises(LaunchError, match="the package index can't be reached"):
        installer(broken).install_requirements()


def test_reqs_file_names_another_set() -> None:
    machine = FakeMachine(environ={"REQS_FILE": "requirements.txt"})
    installer(machine).install_requirements()
    assert machine.ran("--requirement /repository/requirements.txt")


def test_requirements_that_fail_are_an_error() -> None:
    full = FakeMachine(answers={"--requirement": Completed(1, "OSError: [Errno 28] No space left on device")})
    with pytest.raises(LaunchError, match="The requirements can't be installed: the disk is full"):
        installer(full).install_requirements()


def test_pip_is_quiet_unless_somebody_watches() -> None:
    machine = FakeMachine()
    machine.interactive = False
    installer(machine).install_requirements()
    assert machine.ran("pip install")[0].endswith("--quiet")


@pytest.mark.parametrize(("plain", "attempts"), [("2.13.0+cpu", 1), ("2.13.0", 2)])
def test_a_machine_whose_plain_torch_is_for_the_cpu_asks_no_other_index(plain: str, attempts: int) -> None:
    answer = Completed(0, json.dumps({"install": [{"metadata": {"version": plain}}]}))
    plan = installer(FakeMachine("Linux", answers={"--dry-run": answer})).plan_torch()
    assert len(plan.attempts) == attempts and plan.attempts[-1] == ("pip", "install", TORCH)


def test_with_a_card_pip_needs_no_other_index(capsys: pytest.CaptureFixture[str]) -> None:
    machine = FakeMachine(driver=FakeDriver(12080, ("RTX 4090", (8, 9))))
    assert installer(machine).plan_torch() == choose_torch(machine, installer_card(machine))
    assert not machine.commands and "Graphics: RTX 4090, CUDA 12.8" in capsys.readouterr().out


def installer_card(machine: FakeMachine) -> Nvidia | None:
    from modules.launch.nvidia import find_nvidia

    return find_nvidia(machine)


class TestXformers:
    def test_without_a_card_there_is_one_warning_and_no_installation(self, capsys: pytest.CaptureFixture[str]) -> None:
        machine = FakeMachine()
        installer(machine).install_xformers(CPU, forced=False, reinstall=False)
        assert capsys.readouterr().err.count("Warning") == 1 and not machine.commands

    def test_with_a_card_it_is_installed_without_its_own_torch(self, capsys: pytest.CaptureFixture[str]) -> None:
        machine = FakeMachine(answers={"version('xformers')": ABSENT})
        installer(machine).install_xformers(CUDA, forced=False, reinstall=False)
        (command,) = machine.ran("pip install")
        assert "--no-deps" in command and "--only-binary" in command and not capsys.readouterr().err

    @pytest.mark.parametrize(
        "answers", [{"pip install": FAILED}, {"xformers.ops": Completed(1, "NotImplementedError")}]
    )
    def test_where_it_does_not_work_it_is_left_out(
        self, answers: dict[str, Completed], capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine = FakeMachine(answers={"version('xformers')": ABSENT, **answers})
        installer(machine).install_xformers(CUDA, forced=False, reinstall=False)
        assert capsys.readouterr().err.count("Warning") == 1
        assert bool(machine.ran("uninstall --yes xformers")) == ("xformers.ops" in answers)

    def test_forced_it_stays(self, capsys: pytest.CaptureFixture[str]) -> None:
        machine = FakeMachine(answers={"version('xformers')": ABSENT, "xformers.ops": Completed(1, "")})
        installer(machine).install_xformers(CPU, forced=True, reinstall=False)
        assert machine.ran("pip install") and not machine.ran("uninstall")


class TestTorchTest:
    def test_a_card_that_works_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        answer = Completed(0, 'noise\n{"version": "2.13.0", "usable": true, "why": ""}\n')
        installer(FakeMachine(answers={"import json, torch": answer})).test_torch(CUDA)
        assert not capsys.readouterr().err

    def test_a_card_that_does_not_is_said_and_the_cpu_serves(self, capsys: pytest.CaptureFixture[str]) -> None:
        answer = Completed(0, '{"version": "2.13.0", "usable": false, "why": "no kernel image"}')
        installer(FakeMachine(answers={"import json, torch": answer})).test_torch(CUDA)
        assert "torch can't use the NVIDIA card (no kernel image)" in capsys.readouterr().err

    def test_no_card_is_no_matter_on_the_cpu(self, capsys: pytest.CaptureFixture[str]) -> None:
        answer = Completed(0, '{"version": "2.13.0", "usable": false, "why": "none"}')
        installer(FakeMachine(answers={"import json, torch": answer})).test_torch(CPU)
        assert not capsys.readouterr().err

    @pytest.mark.parametrize(("system", "remedy"), [("Windows", "Visual C++"), ("Linux", "--reinstall-torch")])
    def test_a_broken_torch_is_an_error(self, system: str, remedy: str) -> None:
        machine = FakeMachine(system, answers={"import json, torch": Completed(1, "OSError: c10.dll missing")})
        with pytest.raises(LaunchError, match=rf"can't be used: OSError: c10.dll missing\..*{remedy}"):
            installer(machine).test_torch(CPU)
