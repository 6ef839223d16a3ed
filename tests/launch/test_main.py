"""The whole launch on made-up computers: first start, later starts, flags, interruptions."""

import json
from pathlib import Path

import pytest

from modules.launch.machine import Completed
from modules.launch.main import main
from modules.launch.torch_choice import TORCH
from tests.launch.fake_machine import FakeDriver, FakeMachine, makes_venv

TORCH_WORKS = Completed(0, '{"version": "2.13.0", "usable": true, "why": ""}')
ABSENT = Completed(1, "PackageNotFoundError")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements-lock.txt").write_text("gradio==6.31.0\n")
    return tmp_path


def computer(**more: object) -> FakeMachine:
    answers = {
        "-m venv": makes_venv,
        "version('": ABSENT,
        "import json, torch": TORCH_WORKS,
        "version_info": Completed(0, "3 11"),
    }
    answers.update(more.pop("answers", {}))  # type: ignore[call-overload]  # fields of any type
    return FakeMachine(answers=answers, **more)  # type: ignore[arg-type]  # fields of any type


def test_the_first_start_installs_everything_and_becomes_the_server(root: Path) -> None:
    machine = computer()
    assert main(["--port", "7000"], machine, root) == 0
    order = [
        machine.commands.index(machine.ran(*words)[0])
        for words in [("-m venv",), ("pip install", TORCH), ("--requirement",), ("import json, torch",)]
    ]
    assert order == sorted(order)
    assert machine.became == [str(root / "venv/bin/python"), "-m", "modules.server", "--port", "7000"]


def test_a_later_start_runs_nothing_at_all(root: Path) -> None:
    main(["--exit"], computer(), root)
    machine = computer()
    assert main([], machine, root) == 0
    assert machine.commands == [] and machine.became


@pytest.mark.parametrize(
    "change",
    [
        "requirements",
        "without dependencies",
        "driver",
        "xformers",
        "torch command",
        "torch index",
        "stamp",
        "environment",
    ],
)
def test_a_change_is_noticed(root: Path, change: str) -> None:
    main(["--exit"], computer(), root)
    machine = computer()
    argv = ["--exit"]
    if change == "requirements":
        (root / "requirements-lock.txt").write_text("gradio==6.32.0\n")
    elif change == "without dependencies":
        (root / "requirements-no-deps.txt").write_text("spandrel==0.4.3\n")
    elif change == "driver":
        machine = computer(driver=FakeDriver(12080, ("RTX 4090", (8, 9))))
    elif change == "xformers":
        argv.append("--xformers")
    elif change == "torch command":
        machine.environ["TORCH_COMMAND"] = "pip install torch==2.13.1"
    elif change == "torch index":
        machine.environ["TORCH_INDEX_URL"] = "https://mirror"
    elif change == "stamp":
        (root / "venv" / ".webui-installed.json").write_text("{")
    else:
        (root / "venv" / "bin" / "python").unlink()
    assert main(argv, machine, root) == 0
    assert machine.ran("--requirement")
    again = computer(driver=machine.driver, environ=machine.environ)
    main(argv, again, root)
    assert not again.ran("pip")


@pytest.mark.parametrize("where", ["-m venv", TORCH, "--requirement", "import json, torch"])
def test_a_start_that_was_cut_short_is_finished_by_the_next(root: Path, where: str) -> None:
    def interrupted(_command: list[str]) -> Completed:
        raise KeyboardInterrupt

    machine = computer()
    machine.answers = {where: interrupted, **{key: answer for key, answer in machine.answers.items() if key != where}}
    assert main([], machine, root) == 130 and not machine.became
    machine = computer()
    assert main([], machine, root) == 0
    assert machine.ran("--requirement") and machine.became


def test_a_failed_installation_ends_with_the_reason(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = computer(answers={"--requirement": Completed(1, "No space left on device")})
    assert main([], machine, root) == 1
    assert "The requirements can't be installed: the disk is full." in capsys.readouterr().err
    assert not (root / "venv" / ".webui-installed.json").exists() and not machine.became


def test_a_wrong_flag_is_reported_before_anything_is_installed(root: Path) -> None:
    machine = computer(answers={"modules.settings check": Completed(2, "unknown flag --prot")})
    assert main(["--prot"], machine, root) == 2
    assert len(machine.commands) == 1 and not machine.became


def test_an_old_python_leaves_flags_to_the_server_on_the_first_start(root: Path) -> None:
    machine = computer(python=(3, 10), programs=["python3.12"])
    assert main([], machine, root) == 0
    assert not machine.ran("modules.settings") and machine.ran("python3.12 -m venv")


def test_help_needs_no_installation(root: Path) -> None:
    machine = computer()
    assert main(["--help"], machine, root) == 0
    assert len(machine.commands) == 1 and machine.ran("check --help") and not machine.became


def test_exit_stops_before_the_server(root: Path) -> None:
    machine = computer()
    assert main(["--exit"], machine, root) == 0 and not machine.became


def test_skip_install_makes_the_environment_only(root: Path) -> None:
    machine = computer()
    main(["--skip-install"], machine, root)
    assert machine.ran("-m venv") and not machine.ran("pip install") and machine.became
    assert not (root / "venv" / ".webui-installed.json").exists()


def test_skip_prepare_environment_just_starts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--skip-prepare-environment"], computer(), root) == 1
    assert "There is no environment to start from" in capsys.readouterr().err
    main(["--exit"], computer(), root)
    machine = computer()
    assert main(["--skip-prepare-environment", "--reinstall-torch"], machine, root) == 0
    assert machine.commands == [] and machine.became


def test_skip_torch_cuda_test(root: Path) -> None:
    machine = computer()
    main(["--skip-torch-cuda-test"], machine, root)
    assert machine.ran("--requirement") and not machine.ran("import json, torch")


def test_reinstall_torch(root: Path) -> None:
    main(["--exit"], computer(), root)
    machine = computer(answers={"version('torch')": Completed(0, "2.13.0+cpu")})
    machine.answers = {"version('torch')": Completed(0, "2.13.0+cpu"), **machine.answers}
    main(["--reinstall-torch"], machine, root)
    assert machine.ran("uninstall --yes torch") and machine.ran("pip install", TORCH)


def test_what_owners_of_old_cards_write_works(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = computer(environ={"COMMANDLINE_ARGS": "--xformers --lowvram"})
    assert main([], machine, root) == 0
    assert machine.became[-1] == "modules.server", "the server reads COMMANDLINE_ARGS itself"
    assert capsys.readouterr().err.count("xformers works on NVIDIA cards only") == 1
    assert main([], computer(environ={"COMMANDLINE_ARGS": "--xformers --lowvram"}), root) == 0
    assert "xformers" not in capsys.readouterr().err


def test_an_environment_of_an_old_python_is_not_destroyed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    makes_venv([str(root / "venv")])
    assert main([], computer(answers={"version_info": Completed(0, "3 10")}), root) == 1
    assert "has Python 3.10, but 3.11 or newer is needed" in capsys.readouterr().err
    assert (root / "venv" / "bin" / "python").exists()


def test_the_systems_python_can_be_used(root: Path) -> None:
    machine = computer(environ={"VENV_DIR": "-"})
    assert main([], machine, root) == 0
    assert machine.became[0] == "python-of-the-person" and not machine.ran("-m venv")
    assert (root / "cache" / ".webui-installed.json").exists()


def test_the_systems_python_may_be_too_old(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = computer(python=(3, 10), environ={"VENV_DIR": "-"}, programs=["python3.12"])
    assert main([], machine, root) == 1
    assert 'VENV_DIR is "-", but Python 3.12 is needed' in capsys.readouterr().err


def test_unclosed_quotes_are_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], computer(environ={"COMMANDLINE_ARGS": '--ckpt "a'}), root) == 1
    assert "check its quotes" in capsys.readouterr().err


def test_what_children_run_under(root: Path) -> None:
    machine = computer(environ={"HF_HUB_OFFLINE": "0", "INDEX_URL": "https://mirror/simple", "PYTHONPATH": "/mine"})
    main([], machine, root)
    assert machine.environ["OMP_WAIT_POLICY"] == "passive" and machine.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert machine.environ["PYTHONUTF8"] == "1" and machine.environ["PIP_INDEX_URL"] == "https://mirror/simple"
    assert machine.environ["HF_HUB_OFFLINE"] == "0", "what the person set is kept"
    assert machine.environ["PYTHONPATH"] == f"{root}:/mine"


def test_the_stamp_says_what_was_installed(root: Path) -> None:
    main(["--exit"], computer(), root)
    stamp = json.loads((root / "venv" / ".webui-installed.json").read_text(encoding="utf-8"))
    assert set(stamp) == {
        "generation",
        "requirements",
        "without dependencies",
        "driver",
        "xformers",
        "torch command",
        "torch index",
    }


@pytest.mark.parametrize("system", ["Windows", "Darwin"])
def test_other_systems(root: Path, system: str) -> None:
    def makes(command: list[str]) -> Completed:
        program = Path(command[-1]) / ("Scripts/python.exe" if system == "Windows" else "bin/python")
        program.parent.mkdir(parents=True)
        program.write_text("")
        return Completed(0, "")

    machine = computer(system=system, arch="arm64", answers={"-m venv": makes})
    assert main([], machine, root) == 0
    assert machine.ran("pip install", TORCH)[0].endswith(TORCH) and machine.became
