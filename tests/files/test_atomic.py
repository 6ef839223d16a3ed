"""Whole files or none: under errors, and under SIGKILL in the middle of saving."""

import errno
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.files import SaveError, remove_stale_temporaries, save_error, write_atomic, write_text_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a/b/c.png", b"picture")
    assert (tmp_path / "a/b/c.png").read_bytes() == b"picture"
    assert names(tmp_path / "a/b") == ["c.png"]


def test_an_existing_file_is_not_replaced_unless_requested(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["c.png"]
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["c.png"]


@pytest.mark.skipif(os.name == "nt", reason="umask is POSIX")
def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    write_atomic(tmp_path / "c.png", b"picture")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "c.png").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX's")
def test_a_file_that_people_edit_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "kept/config.json", tmp_path / "config.json"
    write_text_atomic(file, "one")
    file.chmod(0o640)
    link.symlink_to(file)
    write_text_atomic(link, "zwei ü")
    assert link.is_symlink() and file.read_text("utf-8") == "zwei ü"
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_an_error_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Any, call: str
) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(os, "open", fail)
    with pytest.raises(SaveError, match=r"^c\.png was not saved"):
        write_atomic(path, b"new", overwrite=True)
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and names(tmp_path) == ["c.png"]


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    write_atomic(tmp_path / "c.png", b"one")
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "c.png", b"two")
    assert (tmp_path / "c.png").read_bytes() == b"one" and names(tmp_path) == ["c.png"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "is full; free some space"),
        (errno.EACCES, "may not write in"),
        (errno.EROFS, "may not write in"),
        (errno.ENAMETOOLONG, "choose a shorter name pattern"),
        (errno.ENOTDIR, "not a folder that can be used"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_are_one_sentence(code: Any, words: str) -> None:
    sentence = str(save_error(Path("/outputs/x.png"), OSError(code, os.strerror(code))))
    assert words in sentence and sentence.endswith(".") and "\n" not in sentence


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("")
    for place in (tmp_path / "outputs/c.png", tmp_path / "outputs/deeper/c.png"):
        with pytest.raises(SaveError, match="not a folder that can be used"):
            write_atomic(place, b"picture")


def test_only_old_files_with_our_temporary_names_are_removed(tmp_path: Path) -> None:
    old, fresh = tmp_path / "d/.saving-0123456789abcdef.tmp", tmp_path / ".saving-00000000000000ff.tmp"
    other = tmp_path / "d/.saving-mine.tmp"
    old.parent.mkdir()
    for path in (old, fresh, other):
        path.write_bytes(b"half")
    now = time.time()
    os.utime(old, (now - 601, now - 601))
    os.utime(other, (0, 0))
    assert remove_stale_temporaries(tmp_path, now=now) == 1
    assert not old.exists() and fresh.exists() and other.exists()


SAVED = "outputs/txt2img-images/2026-11-21/*.png"
SAVER = """
import sys
from datetime import datetime
from pathlib import Path
from modules.gallery import Gallery
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.settings import Flags, OptionStore, Paths

paths = Paths.from_flags(Flags(data_dir=Path(sys.argv[1])))
gallery = Gallery(paths, OptionStore(paths.config_file))
data = Path(sys.argv[2]).read_bytes()
job = ResolvedRequest(request=GenerationRequest(), seeds=(5,), subseeds=(5,))
print("ready", flush=True)
while True:
    gallery.save(gallery.reserve(job, 0, "image", datetime(2026, 11, 21)), data)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_no_picture_is_truncated_by_sigkill(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    noise = random.Random(0).randbytes(256 * 256 * 3)
    Image.frombytes("RGB", (256, 256), noise).save(source)
    data, rng = source.read_bytes(), random.Random(1)
    for round_number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path), str(source)], stdout=subprocess.PIPE, env=os.environ
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        # On a machine that is busy elsewhere, the first picture of a round may take long.
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob(SAVED))) <= round_number and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
    pictures = list(tmp_path.glob(SAVED))
    assert len(pictures) >= 8
    assert all(path.read_bytes() == data for path in pictures)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
