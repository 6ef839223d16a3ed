"""SIGKILL at random moments while pictures are indexed, trashed, restored, moved and renamed: no file is lost.

A few kills, 50 in the long suite. The seed of a run is in its output.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modules.files.database import connect
from modules.gallery.index.service import PictureIndex
from modules.settings import REPOSITORY, Flags, OptionStore, Paths
from tests.amounts import amount
from tests.gallery.pictures import infotext, write_picture

KILLS = amount(3, 50)
PICTURES = amount(40, 300)
SEED = int(os.environ.get("GALLERY_KILL_SEED", "20261130"))

pytestmark = [
    pytest.mark.timeout(120 + 12 * KILLS),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]


def digests(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in folder.rglob("*.png"):
        found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(path)
    return found


def test_kills_lose_no_file_and_the_index_equals_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    for number in range(PICTURES):
        write_picture(tmp_path / "outputs" / "txt2img-images" / f"{number}.png", infotext("a cat", seed=number))
    there = set(digests(tmp_path / "outputs"))
    for kill in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gallery.kill_gallery", str(tmp_path), str(SEED + kill)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            time.sleep(chance.uniform(0.05, 1.0))
            process.kill()

    written = tmp_path / "written.txt"
    there.update(written.read_text().split() if written.exists() else ())
    after = digests(tmp_path / "outputs")
    assert there - set(after) == set()
    index = PictureIndex(Paths.from_flags(Flags(data_dir=tmp_path)), OptionStore(tmp_path / "config.json"))
    index.start()
    assert index.wait_until_settled(60)
    assert index.wait_until_settled(60)
    pictures = index.search.page(limit=5000).pictures
    trashed = index.search.page("in:trash", limit=5000).pictures
    files = sorted(path for paths in digests(tmp_path / "outputs").values() for path in paths)
    assert sorted(picture.path for picture in (*pictures, *trashed)) == files
    assert all((picture.path.parent.name == ".gallery-trash") == picture.trashed for picture in (*pictures, *trashed))
    assert index.notices == ()
    index.close()
    for name in ("gallery-index.db", "gallery-marks.db"):
        database = connect(tmp_path / name)
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        database.close()
    with capsys.disabled():
        sys.stdout.write(f"\n[seed {SEED}] {KILLS} kills: {len(files)} files, {len(trashed)} of them in the trash\n")
