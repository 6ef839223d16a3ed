"""Small files are replaced whole or not at all."""

import os
from pathlib import Path

import pytest

from modules.settings import write_atomically


def test_replaces_and_makes_folders(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.json"
    write_atomically(file, "eins")
    write_atomically(file, "zwei ü")
    assert file.read_text(encoding="utf-8") == "zwei ü"
    assert [path.name for path in file.parent.iterdir()] == ["b.json"]


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_keeps_the_mode(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text("")
    file.chmod(0o640)
    write_atomically(file, "x")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.json"
    file.write_text("old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, "new")
    assert file.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["b.json"]
