"""What main memory a process may use: the machine's, or that of the control groups it is in."""

from pathlib import Path

import psutil
import pytest

from modules.hardware.available_memory import main_memory

GB = 10**9


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 GB, 40 of them free."""
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(total=64 * GB, available=40 * GB))


def system(root: Path, groups: str, **files: str) -> Path:
    """`files` by path below sys/fs/cgroup, with "__" for "/"."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups, "utf-8")
    for name, text in files.items():
        *folders, last = name.split("__")
        place = root.joinpath("sys/fs/cgroup", *folders)
        place.mkdir(parents=True, exist_ok=True)
        (place / last).write_text(text, "utf-8")
    return root


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert main_memory(tmp_path) == main_memory(system(tmp_path / "none", "0::/\n"))
    assert (main_memory(tmp_path).available, main_memory(tmp_path).total) == (40 * GB, 64 * GB)


def test_in_version_2_the_narrowest_group_counts_and_pages_of_files_are_free(tmp_path: Path) -> None:
    files = {
        "memory.max": "max\n",
        **{"app__memory.max": f"{16 * GB}\n", "app__memory.current": f"{9 * GB}\n"},
        "app__memory.stat": f"anon {5 * GB}\ninactive_file {3 * GB}\nactive_file {1 * GB}\n",
        **{"app__engine__memory.max": f"{32 * GB}\n", "app__engine__memory.current": f"{1 * GB}\n"},
    }
    found = main_memory(system(tmp_path, "0::/app/engine\n", **files))
    assert (found.available, found.total) == (11 * GB, 16 * GB)


def test_in_version_1_what_lies_in_groups_below_is_counted_with_it(tmp_path: Path) -> None:
    """A container sees its own group at the top, and the host's path to it."""
    files = {
        "memory__memory.limit_in_bytes": f"{8 * GB}\n",
        "memory__memory.usage_in_bytes": f"{7 * GB}\n",
        "memory__memory.stat": f"inactive_file 0\ntotal_inactive_file {2 * GB}\ntotal_active_file 0\n",
    }
    found = main_memory(system(tmp_path, "11:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n", **files))
    assert (found.available, found.total) == (3 * GB, 8 * GB)


def test_a_limit_above_the_machine_is_none_and_what_is_less_free_counts(tmp_path: Path) -> None:
    files = {"memory__memory.limit_in_bytes": "9223372036854771712\n", "memory__memory.usage_in_bytes": f"{50 * GB}\n"}
    assert main_memory(system(tmp_path / "a", "4:memory:/\n", **files)).available == 40 * GB
    files = {"memory.max": f"{60 * GB}\n", "memory.current": "0\n", "memory.stat": "nonsense\n"}
    found = main_memory(system(tmp_path / "b", "0::/\n", **files))
    assert (found.available, found.total) == (40 * GB, 60 * GB)
