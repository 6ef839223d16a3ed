"""What CI relies on: skipped tests fail there, and the start and test scripts do what they say."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What mypy checks, beside webui.py.
CHECKED = ("modules", "benchmarks", "training", "tests")


@pytest.mark.parametrize(
    ("ci", "status", "text"),
    [
        ("true", 1, "import pytest\ndef test_a(): pytest.skip('no chromium')\ndef test_b(): pass"),
        ("", 0, "import pytest\ndef test_a(): pytest.skip('no chromium')\ndef test_b(): pass"),
        ("true", 1, "import pytest\npytest.importorskip('nowhere')"),
    ],
    ids=["test in CI", "test elsewhere", "module in CI"],
)
def test_skips_fail_in_ci_only(tmp_path: Path, ci: str, status: int, text: str) -> None:
    done = run_pytest(tmp_path, text, ci)
    assert done.returncode == status, done.stdout
    assert ("in CI that counts as a failure" in done.stdout) == (ci == "true")


def test_a_skip_that_stands_is_no_failure(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path,
        "import pytest\n@pytest.mark.skipif(True, reason='root may write everywhere')\ndef test_a(): 1/0",
        "true",
    )
    assert done.returncode == 0 and "1 skipped" in done.stdout


def test_skips_in_workers_fail_too_and_the_last_line_is_pytests_own(tmp_path: Path) -> None:
    text = "import pytest\ndef test_a(): pytest.skip('no chromium')\ndef test_b(): pass"
    done = run_pytest(tmp_path, text, "true", "-n", "2", "--dist", "loadgroup")
    assert done.returncode == 1 and "in CI that counts as a failure" in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("2 passed, 1 skipped in ")


def test_the_long_suite_runs_only_when_it_is_called_for(tmp_path: Path) -> None:
    text = "import os, pytest\n@pytest.mark.long\ndef test_a(): assert os.environ['TESTS_LONG'] == '1'"
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = long: by hand\n")
    assert "1 passed, 1 deselected" in run_pytest(tmp_path, text, "").stdout
    assert "2 passed" in run_pytest(tmp_path, text, "", "--long", "-n", "1").stdout


def test_tests_of_a_file_stay_together(request: pytest.FixtureRequest) -> None:
    """Else each worker would start the servers of each file."""
    assert "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@test_ci")


def run_pytest(folder: Path, text: str, ci: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (folder / "test_it.py").write_text(text)
    (folder / "test_fine.py").write_text("def test_fine(): pass")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(folder),
        *words,
        "--rootdir",
        str(folder),
    ]
    environ = {**os.environ, "CI": ci}
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A copy of webui-user.sh beside a Python that writes down what it was given and ends with 3."""
    (tmp_path / "webui-user.sh").write_bytes((ROOT / "webui-user.sh").read_bytes())
    python = tmp_path / "python stub"
    python.write_text('#!/bin/sh\nprintf "%s|" "$PWD" "$VENV_DIR" "$@"\nexit ${STUB_STATUS:-3}\n')
    python.chmod(0o755)
    return tmp_path


def start(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(folder / "webui-user.sh"), "--port", "7000 "]
    base = {"PATH": os.environ["PATH"], "PYTHON": str(folder / "python stub")}
    return subprocess.run(
        command, env={**base, **environ}, cwd="/", capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_the_start_script_passes_on_what_it_is_given(shell: Path) -> None:
    done = start(shell, VENV_DIR="/my env")
    assert done.stdout == f"{shell}|/my env|webui.py|--port|7000 |"
    assert done.returncode == 3 and done.stderr == ""


def test_a_python_that_is_not_there_is_named(shell: Path) -> None:
    done = start(shell, PYTHON="/no/such/python")
    assert done.returncode == 127 and "/no/such/python can't be started" in done.stderr


def test_names_of_older_start_scripts_work(shell: Path) -> None:
    done = start(shell, PYTHON="", python_cmd=str(shell / "python stub"), venv_dir="old")
    assert "|old|webui.py|" in done.stdout


@pytest.mark.parametrize("status", ["0", "130"])
def test_an_end_by_ctrl_c_is_no_error(shell: Path, status: str) -> None:
    done = start(shell, STUB_STATUS=status)
    assert done.returncode == int(status) and done.stderr == ""


def test_the_windows_script_keeps_its_window_open() -> None:
    text = (ROOT / "webui-user.bat").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") > 20
    assert b"pause" in text and all(
        name in text for name in (b"COMMANDLINE_ARGS", b"PYTHON", b"VENV_DIR", b"TORCH_COMMAND")
    )


@pytest.mark.parametrize(
    "script", ["webui-user.sh", "scripts/test.sh", "scripts/python.sh", "scripts/check-javascript.sh", ".ci/run"]
)
def test_scripts_are_executable_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("venv", "python"),
    [("", "venv/bin/python"), ("other", "other/bin/python"), ("-", "python"), ("{}/far", "far/bin/python")],
)
def test_checks_run_in_the_environment_that_the_launcher_made(tmp_path: Path, venv: str, python: str) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "python.sh").write_bytes((ROOT / "scripts" / "python.sh").read_bytes())
    stub = tmp_path / python
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text('#!/bin/sh\necho "$0" "$@"\n')
    stub.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "VENV_DIR": venv.format(tmp_path), "PYTHON": str(tmp_path / "python")}
    command = ["bash", str(tmp_path / "scripts" / "python.sh"), "-m", "ruff"]
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, check=True)
    assert Path(done.stdout.split()[0]).samefile(stub) and done.stdout.split()[1:] == ["-m", "ruff"]


def test_hooks_before_a_commit_run_there_too() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = [line.split("entry: ")[1] for line in text.splitlines() if "entry: " in line]
    assert len(entries) >= 5 and all(entry.startswith("bash scripts/") for entry in entries)


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_page_scripts_that_are_not_checked_fail_in_ci_only(tmp_path: Path, ci: str, status: int) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "check-javascript.sh")],
        env={"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "the page's scripts are not checked" in done.stdout


def test_each_page_script_says_that_its_types_are_checked() -> None:
    """Editors go by the first line where they do not read jsconfig.json."""
    scripts = {path.name: path.read_text("utf-8") for path in (ROOT / "modules" / "page" / "assets").glob("*.js")}
    assert "main.js" in scripts
    assert [name for name, text in scripts.items() if not text.startswith("// @ts-check\n")] == []


def test_marks_are_stated_and_each_selects_something() -> None:
    """A mark that no test carries says something that is not so."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["markers"]
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    assert [mark for mark in stated if f"pytest.mark.{mark.partition(':')[0]}" not in tests] == []
    browsing = (ROOT / "tests" / "browser").glob("test_*.py")
    assert [path.name for path in browsing if "pytest.mark.browser" not in path.read_text("utf-8")] == []


@pytest.mark.parametrize(
    ("types", "tests", "status"), [(0, 0, 0), (1, 0, 1), (0, 5, 5), (1, 5, 5)], ids=["fine", "types", "tests", "both"]
)
def test_types_that_are_wrong_fail_the_run_and_are_shown(tmp_path: Path, types: int, tests: int, status: int) -> None:
    """They are checked beside the tests, which may end well meanwhile."""
    for name in ("bash", "cat", "dirname", "id", "mktemp", "nice", "rm"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    python = tmp_path / "python stub"
    python.write_text(
        f'#!/bin/sh\ncase "$2" in mypy) echo "types: {types}"; exit {types};; pytest) exit {tests};; esac\n'
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "test.sh")],
        env={"PATH": str(tmp_path), "PYTHON": str(python), "VENV_DIR": "-"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout.endswith(f"== Types\ntypes: {types}\n"), done.stdout


def test_page_scripts_that_are_wrong_end_the_run_before_its_tests(tmp_path: Path) -> None:
    for name in ("bash", "cat", "dirname", "id", "mktemp", "nice", "rm"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    python = tmp_path / "python stub"
    python.write_text('#!/bin/sh\ncase "$2" in pytest) echo "tests ran";; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "test.sh")],
        env={"PATH": str(tmp_path), "PYTHON": str(python), "VENV_DIR": "-", "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    # There is no Node.js on that PATH, which counts as a failure in CI.
    assert done.returncode == 1, done.stderr
    assert "the page's scripts are not checked" in done.stdout and "tests ran" not in done.stdout


def test_the_test_script_checks_the_page_scripts_and_installs_what_that_needs() -> None:
    script = (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8")
    assert "\n    bash scripts/check-javascript.sh\n" in script
    assert all(f"command -v {command} >/dev/null || missing+=" in script for command in ("node", "npm", "chromium"))


def imported_modules() -> set[str]:
    """Every module that the sources name in an import of their own."""
    sources = [ROOT / "webui.py", *(path for name in CHECKED for path in (ROOT / name).rglob("*.py"))]
    texts = (path.read_text("utf-8") for path in sources)
    return {found for text in texts for found in re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)}


def matches(module: str, pattern: str) -> bool:
    return module == pattern or (pattern.endswith(".*") and f"{module}.".startswith(pattern[:-1]))


def test_types_are_read_of_every_module_that_is_imported() -> None:
    """What mypy leaves out is Any without a word: that may be only what ours don't name."""
    sections = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["overrides"]
    skipped, followed = (
        [pattern for section in sections if section.get("follow_imports") == kind for pattern in section["module"]]
        for kind in ("skip", "normal")
    )
    assert skipped and followed
    out = {module for module in imported_modules() if any(matches(module, pattern) for pattern in skipped)}
    assert len(out) > 10
    assert sorted(module for module in out if not any(matches(module, pattern) for pattern in followed)) == []
