"""A disk that is really full (a small tmpfs), folders that may not be written: a sentence, and the server stays up."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from modules.jobs import JobError
from modules.jobs.database import connect
from tests.jobs.helpers import PATIENCE, House, present
from tests.jobs.test_service import ask, start


class SmallDisk:
    """A disk of 512 KiB: a tmpfs where one may be mounted, else SQLite's page limit and a write that fails."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = patch
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
        self.real = sys.platform == "linux" and subprocess.run(command, capture_output=True).returncode == 0
        self._filler = folder / "filler"
        self._house: House | None = None

    def fill(self, house: House) -> None:
        """Take what room is left."""
        if self.real:
            with suppress(OSError), self._filler.open("wb", buffering=0) as file:
                while file.write(bytes(512)):
                    pass
            return
        self._house = house
        pages = house.store._writer.execute("PRAGMA page_count").fetchone()[0]
        house.store._writer.execute(f"PRAGMA max_page_count = {pages}")
        if house.picture_store.folder == self.folder:

            def full(path: Path, *_: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

            self._patch.setattr("modules.files.atomic._write_synced", full)

    def free(self) -> None:
        """Give it back."""
        if self.real:
            self._filler.unlink()
        elif self._house is not None:
            self._house.store._writer.execute("PRAGMA max_page_count = 1000000")
            self._patch.undo()

    def pictures(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path != self._filler]

    def unmount(self) -> None:
        if self.real:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture(params=["mounted if possible", "simulated"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "simulated":
            patch.setattr(sys, "platform", "elsewhere")
        disk = SmallDisk(tmp_path / "small", patch)
        patch.undo()
        yield disk
        disk.unmount()


def test_full_outputs_fail_the_job_and_the_next_one_works(tmp_path: Path, small_disk: SmallDisk) -> None:
    with House(tmp_path) as house:
        house.picture_store.folder = small_disk.folder
        job = start(house, "slow", n_iter=5)
        small_disk.fill(house)
        job = house.jobs.wait(job.id, PATIENCE)
        assert job.state == "failed"
        assert job.cause is not None and str(small_disk.folder) in job.cause and "disk" in job.cause
        assert small_disk.pictures() == [image.path for image in job.images]
        small_disk.free()
        done = house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
        assert done.state == "finished"
        assert done.images[0].path.parent == small_disk.folder


def test_a_full_data_folder_refuses_jobs_and_loses_none(small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.pending_end.RETRY_SECONDS", 0.02)
    with House(small_disk.folder) as house:
        first = start(house, "slow", steps=1000)
        small_disk.fill(house)
        with pytest.raises(JobError, match="can't be written"):
            for _ in range(50):
                house.jobs.submit(ask())
        accepted = [job.id for job in house.jobs.list(states=["waiting"])]
        assert present(house.jobs.progress(first.id)).state == "running"
        small_disk.free()
        house.jobs.interrupt(first.id)
        for job_id in (first.id, *accepted):
            assert house.jobs.wait(job_id, PATIENCE).ended
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_a_queue_that_another_program_holds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.pending_end.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("modules.files.database.BUSY_SECONDS", 0.05)
    with House(tmp_path) as house:
        job = start(house, "slow", steps=4)
        other = connect(tmp_path / "webui.db")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobError, match="database is locked"):
            house.jobs.submit(ask())
        assert house.jobs.wait(job.id, 0.5).state == "running"
        other.execute("ROLLBACK")
        other.close()
        assert house.jobs.wait(job.id, PATIENCE).ended


def test_a_job_can_be_stopped_while_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.pending_end.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("modules.files.database.BUSY_SECONDS", 0.05)
    with House(tmp_path) as house:
        job = start(house, "slow", steps=1000)
        other = connect(tmp_path / "webui.db")
        other.execute("BEGIN IMMEDIATE")
        house.jobs.interrupt(job.id)
        assert house.jobs.wait(job.id, 0.5).state == "running"
        other.execute("ROLLBACK")
        other.close()
        assert house.jobs.wait(job.id, PATIENCE).state == "interrupted"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_outputs_without_permission_fail_the_job(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.picture_store.folder.mkdir()
        house.picture_store.folder.chmod(0o500)
        job = house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
        assert job.cause is not None and "may not write" in job.cause
        house.picture_store.folder.chmod(0o700)
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_outputs_that_are_a_file_fail_the_job(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.picture_store.folder.touch()
        job = house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
        assert job.state == "failed"
        assert job.cause is not None and "outputs" in job.cause
        house.picture_store.folder.unlink()
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_outputs_that_vanish_are_made_again(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
        shutil.rmtree(house.picture_store.folder)
        done = house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
        assert done.images[0].path.exists()
