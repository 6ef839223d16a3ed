"""A disk that is really full (a small tmpfs), folders that may not be written: a sentence, and the server stays up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.jobs import JobError
from modules.jobs.database import connect
from tests.jobs.helpers import House, eventually
from tests.jobs.test_service import ask, start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root on Linux can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take what room is left on the disk of `folder`."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return filler


def test_full_outputs_fail_the_job_and_the_next_one_works(tmp_path: Path, small_disk: Path) -> None:
    with House(tmp_path) as house:
        house.shelf.folder = small_disk
        filler = fill(small_disk)
        job = house.jobs.wait(house.jobs.submit(ask("slow", n_iter=5)).id, 10)
        assert job.state == "failed"
        assert job.cause is not None and "disk" in job.cause and str(small_disk) in job.cause
        assert [path for path in small_disk.iterdir() if path != filler] == []
        filler.unlink()
        done = house.jobs.wait(house.jobs.submit(ask()).id, 10)
        assert done.state == "finished"
        assert done.images[0].path.parent == small_disk


def test_a_full_data_folder_refuses_jobs_and_loses_none(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.worker.RETRY_DISK_SECONDS", 0.02)
    with House(small_disk) as house:
        first = start(house, "slow", steps=8)
        filler = fill(small_disk)
        with pytest.raises(JobError, match="can't be written"):
            for _ in range(50):
                house.jobs.submit(ask())
        accepted = [job.id for job in house.jobs.list(states=["waiting"])]
        assert house.jobs.progress(first.id).state == "running"
        eventually(lambda: house.jobs.progress(first.id).fraction in (0.0, 1.0) or house.jobs.progress(first.id).cause)
        filler.unlink()
        for job_id in (first.id, *accepted):
            assert house.jobs.wait(job_id, 10).ended
        assert house.jobs.wait(house.jobs.submit(ask()).id, 10).state == "finished"


def test_a_queue_that_another_program_holds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.worker.RETRY_DISK_SECONDS", 0.02)
    monkeypatch.setattr("modules.jobs.database.BUSY_SECONDS", 0.05)
    with House(tmp_path) as house:
        job = start(house, "slow", steps=4)
        other = connect(tmp_path / "webui.db")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobError, match="database is locked"):
            house.jobs.submit(ask())
        assert house.jobs.wait(job.id, 0.5).state == "running"
        other.execute("ROLLBACK")
        other.close()
        assert house.jobs.wait(job.id, 10).ended


def test_a_job_can_be_stopped_while_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.worker.RETRY_DISK_SECONDS", 0.02)
    monkeypatch.setattr("modules.jobs.database.BUSY_SECONDS", 0.05)
    with House(tmp_path) as house:
        job = start(house, "slow", steps=1000)
        other = connect(tmp_path / "webui.db")
        other.execute("BEGIN IMMEDIATE")
        house.jobs.interrupt(job.id)
        assert house.jobs.wait(job.id, 0.5).state == "running"
        other.execute("ROLLBACK")
        other.close()
        assert house.jobs.wait(job.id, 10).state == "interrupted"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_outputs_without_permission_fail_the_job(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.shelf.folder.mkdir()
        house.shelf.folder.chmod(0o500)
        job = house.jobs.wait(house.jobs.submit(ask()).id, 10)
        assert job.cause is not None and "may not write" in job.cause
        house.shelf.folder.chmod(0o700)
        assert house.jobs.wait(house.jobs.submit(ask()).id, 10).state == "finished"


def test_outputs_that_are_a_file_fail_the_job(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.shelf.folder.touch()
        job = house.jobs.wait(house.jobs.submit(ask()).id, 10)
        assert job.state == "failed"
        assert job.cause is not None and "outputs" in job.cause
        house.shelf.folder.unlink()
        assert house.jobs.wait(house.jobs.submit(ask()).id, 10).state == "finished"


def test_outputs_that_vanish_are_made_again(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        house.jobs.wait(house.jobs.submit(ask()).id, 10)
        shutil.rmtree(house.shelf.folder)
        done = house.jobs.wait(house.jobs.submit(ask()).id, 10)
        assert done.images[0].path.exists()
