"""The real computer: programs run, missing ones recognised, and sources that an old Python can read."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from modules.launch.console import duration, step
from modules.launch.machine import Computer
from modules.launch.stamp import digest
from tests.source_rules import imports, sources

ROOT = Path(__file__).resolve().parents[2]


def test_asking_a_program() -> None:
    answer = Computer().ask(
        [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"]
    )
    assert answer.code == 3 and "out" in answer.output and "err" in answer.output


def test_a_missing_or_hanging_program_is_an_answer() -> None:
    assert Computer().ask(["no-such-program-here"]).code == 127
    assert Computer().show(["no-such-program-here"]).code == 127
    assert Computer().ask([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5).code == 127


def test_showing_a_program_remembers_its_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    done = Computer().show([sys.executable, "-c", "import sys; sys.stderr.write('disk full\\n'); sys.exit(1)"])
    assert done == (1, "disk full\n") and "disk full" in capsys.readouterr().err


def test_a_missing_library_is_an_os_error() -> None:
    with pytest.raises(OSError, match="libno-such"):
        Computer().library("libno-such.so.9")


@pytest.mark.skipif(sys.platform == "win32", reason="replacing a process is POSIX's")
def test_becoming_a_program_replaces_this_one() -> None:
    code = (
        "import os, sys; from modules.launch.machine import Computer; print(os.getpid(), flush=True);"
        "Computer().become([sys.executable, '-c', 'import os; print(os.getpid())'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = done.stdout.split()
    assert before == after


def test_python_3_8_can_read_the_launcher() -> None:
    files = [ROOT / "webui.py", ROOT / "modules/__init__.py", *sorted((ROOT / "modules/launch").glob("*.py"))]
    assert len(files) > 10
    for file in files:
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 8))


def test_even_python_2_can_read_the_sentence_in_webui_py() -> None:
    text = (ROOT / "webui.py").read_text(encoding="utf-8")
    assert 'f"' not in text and "->" not in text and text.isascii()


def test_the_launcher_uses_the_standard_library_only() -> None:
    for file in (ROOT / "modules/launch").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("modules.launch"), (file, name)


def test_durations_are_said_as_people_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert (duration(0.26), duration(59.94), duration(125)) == ("0.3 s", "59.9 s", "2 min 5 s")
    with step("Working"):
        pass
    assert capsys.readouterr().out == "Working ...\nWorking: 0.0 s\n"


def test_digest(tmp_path: Path) -> None:
    assert digest(tmp_path / "none") == "missing"
    (tmp_path / "a").write_text("x")
    assert len(digest(tmp_path / "a")) == 16


LOCKED = (
    "requirements-lock.txt",
    "requirements-no-deps.txt",
    "requirements-test-lock.txt",
    "requirements-test-oracles.txt",
)


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_that_is_installed_is_named_by_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.search(r"==\S+( ; .+?)?\s+--hash=sha256:[0-9a-f]{64}", line)] == []


def test_every_package_that_is_imported_is_declared() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    declared = {Requirement(line).name.replace("-", "_") for line in lines if line and not line.startswith("#")}
    imported = {name.partition(".")[0] for one in sources() for read in imports(one) for name in [read.base]}
    # xformers is installed on its own, where a flag asks for it and a card can use it.
    ours = {"modules", "xformers", *sys.stdlib_module_names}
    assert {"PIL", "cv2"} <= imported and len(imported - ours) > 15
    assert {PACKAGES.get(name, name) for name in imported - ours} - declared == set()


# By the name of what is imported: the package that has it, where they differ.
PACKAGES = {"PIL": "pillow", "cv2": "opencv_python_headless", "lycoris": "lycoris_lora", "yaml": "pyyaml"}
# Other programs that a benchmark compares with, or that a test's values are recorded from, where they are installed.
COMPARED_WITH = {"openvino", "stable_diffusion_cpp", "peft"}


def test_every_package_that_tests_and_tools_import_is_declared() -> None:
    files = [
        path for folder in ("tests", "benchmarks", "training", "scripts") for path in (ROOT / folder).rglob("*.py")
    ]
    imported = {name.partition(".")[0] for path in files for name in imported_by(path)}
    ours = {"modules", "tests", "benchmarks", "training", "webui", *sys.stdlib_module_names, *COMPARED_WITH}
    declared = {
        name.replace("-", "_")
        for file in ("requirements.txt", "requirements-test.txt", "requirements-test-oracles.txt")
        for name in read_requirements(file)
    }
    foreign = {PACKAGES.get(name, name).lower() for name in imported - ours}
    assert {"httpx2", "packaging", "pytest", "scipy"} <= foreign
    assert foreign - declared == set()


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module


def read_requirements(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    wanted = [Requirement(line.split(" --hash=")[0]) for line in lines if line and not line.startswith("#")]
    return {one.name.lower().replace("_", "-"): one for one in wanted}


def test_the_locked_set_of_the_tests_has_what_they_name_and_no_other_version_than_the_program() -> None:
    named, locked = read_requirements("requirements-test.txt"), read_requirements("requirements-test-lock.txt")
    assert {name: one.specifier for name, one in named.items()} == {name: locked[name].specifier for name in named}
    program = read_requirements("requirements-lock.txt")
    both = locked.keys() & program.keys()
    assert len(both) > 15
    assert {name: locked[name].specifier for name in both} == {name: program[name].specifier for name in both}


def test_locked_versions_fit_the_bounds() -> None:
    read = read_requirements
    bounds, lock = read("requirements.txt"), read("requirements-lock.txt")
    assert len(bounds) > 10 and len(lock) > 50
    installed = lock | read("requirements-no-deps.txt")
    for name, wanted in bounds.items():
        if name == "torch":
            continue
        (pin,) = installed[name].specifier
        assert pin.operator == "==" and wanted.specifier.contains(pin.version), name
    for name in {
        **lock,
        **read("requirements-test-lock.txt"),
        **read("requirements-test-oracles.txt"),
        **read("requirements-no-deps.txt"),
    }:
        assert name not in ("torch", "torchvision", "torchaudio"), "torch is chosen for the hardware"
