"""Rows and files of the queue on disk: migrations, damage, durability settings, and pictures' reservations."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.jobs import Job, SavedImage
from modules.jobs.database import MIGRATIONS, DatabaseError, connect, prepare
from modules.jobs.rows import ImageRow
from modules.jobs.store import JobStore
from modules.parameters import GenerationRequest
from tests.jobs.helpers import present, resolved

REQUEST = GenerationRequest(prompt="a cat", seed=2**64 - 1)


def job(name: str = "one", **values: Any) -> Job:
    return replace(Job(name, "waiting", REQUEST, resolved(REQUEST)), **values)


def image(path: Path, index: int = 0, kind: str = "image") -> ImageRow:
    saved = SavedImage(index, kind, path, "a cat\nSteps: 1", 2**64 - 1, 2**64 + 5, 512, 768)
    return ImageRow("one", saved, "00")


def opened(folder: Path) -> JobStore:
    prepare(folder / "webui.db")
    return JobStore(folder / "webui.db", clock=lambda: 1000.0)


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        one = job(client="page", task_id="task(1)", save=False, created=5.0, notices=("mind the gap",))
        store.add(one)
        assert store.get("one") == one
    with closing(opened(tmp_path)) as store:
        assert store.get("one") == one


def test_every_commit_is_synced(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "webui.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_the_database_itself_refuses_a_second_running_job(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.add(job("one"))
        store.add(job("two"))
        store.claim_next()
    with closing(connect(tmp_path / "webui.db")) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE jobs SET state = 'running'")


def test_pictures_show_once_they_are_saved(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.add(job())
        store.claim_next()
        row = image(tmp_path / "00000-1.png")
        store.reserve_image("one", row)
        assert present(store.get("one")).images == ()
        assert store.reserved() == [row]
        store.image_saved("one", 0, "image")
        assert present(store.get("one")).images == (row.saved,)
        assert store.reserved() == []
        assert store.image("one", 0, "image") == replace(row, complete=True)
        assert store.image("one", 0, "grid") is None


def test_a_path_belongs_to_the_picture_that_lies_there_now(tmp_path: Path) -> None:
    # Somebody deleted the newest file: its number, and so its name, is given out again.
    with closing(opened(tmp_path)) as store:
        store.add(job("one"))
        store.add(job("two"))
        row = image(tmp_path / "00000-1.png")
        store.reserve_image("one", row)
        store.image_saved("one", 0, "image")
        store.reserve_image("two", row)
        store.image_saved("two", 0, "image")
        assert (present(store.get("one")).images, present(store.get("two")).images) == ((), (row.saved,))


def test_ending_a_job_forgets_what_it_had_reserved(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        for name, end in (
            ("one", lambda: store.end("one", "failed")),
            ("two", lambda: store.end_waiting("two", "cancelled")),
        ):
            store.add(job(name))
            store.reserve_image(name, image(tmp_path / f"{name}.png"))
            end()
            assert store.reserved() == []


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.add(job("one"))
        with pytest.raises(sqlite3.IntegrityError):
            store.add(job("one"))
        assert [one.id for one in store.list(["waiting"])] == ["one"]
        store.add(job("two"))
        assert [one.id for one in store.list(["waiting"])] == ["one", "two"]


def test_reading_does_not_wait_for_a_write_under_way(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.add(job("one"))
        with store._change() as write:
            write.execute("UPDATE jobs SET state = 'failed'")
            assert present(store.get("one")).state == "waiting"
        assert present(store.get("one")).state == "failed"


def test_rows_of_one_client_and_state(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        for number in range(6):
            store.add(job(f"job-{number}", client=f"page-{number % 2}", task_id="task(x)"))
        store.end("job-1", "finished")
        assert [row.id for row in store.list(client="page-1")] == ["job-3", "job-5", "job-1"]
        assert [row.id for row in store.list(states=["waiting"], client="page-1")] == ["job-3", "job-5"]
        assert [row.id for row in store.list(limit=2)] == ["job-0", "job-2"]
        assert store.list(states=[]) == []
        assert present(store.of_task("task(x)")).id == "job-5"
        assert store.of_task("task(y)") is None


# The file


def test_a_damaged_file_is_set_aside_and_said_so(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.add(job())
    path = tmp_path / "webui.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    (notice,) = prepare(path)
    (aside,) = tmp_path.glob("webui.db.corrupt-*")
    assert aside.name in notice
    assert aside.read_bytes().endswith(b"\xff")
    with closing(JobStore(path)) as store:
        assert store.list() == []


def test_damage_in_the_middle_is_found(tmp_path: Path) -> None:
    path = tmp_path / "webui.db"
    with closing(opened(tmp_path)) as store:
        for number in range(200):
            store.add(job(f"job-{number}"))
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 16384)
    assert "set aside" in prepare(path)[0]


def test_something_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "webui.db"
    for _ in range(2):
        path.write_text("not a database, but long enough to be looked at as one" * 40)
        assert "file is not a database" in prepare(path)[0]
    assert len(list(tmp_path.glob("webui.db.corrupt-*"))) == 2


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "webui.db").touch()
    assert prepare(tmp_path / "webui.db") == ()
    with closing(JobStore(tmp_path / "webui.db")) as store:
        assert store.list() == []


def test_an_older_version_is_copied_and_migrated(tmp_path: Path) -> None:
    path, scripts = tmp_path / "webui.db", tmp_path / "migrations"
    scripts.mkdir()
    for script in MIGRATIONS.glob("*.sql"):
        (scripts / script.name).write_text(script.read_text())
    with closing(opened(tmp_path)) as store:
        store.add(job())
    newest = max(int(script.name[:4]) for script in MIGRATIONS.glob("*.sql"))
    (scripts / f"{newest + 1:04d}_colour.sql").write_text("ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'blue'")
    assert prepare(path, scripts) == ()
    with closing(connect(path)) as connection:
        row = connection.execute("SELECT id, colour FROM jobs").fetchone()
        assert tuple(row) == ("one", "blue")
        assert connection.execute("PRAGMA user_version").fetchone()[0] == newest + 1
    assert (tmp_path / f"webui.db.v{newest}").exists()
    assert "newer version" in prepare(path)[0]


def test_a_migration_that_fails_leaves_the_old_version_whole(tmp_path: Path) -> None:
    path, scripts = tmp_path / "webui.db", tmp_path / "migrations"
    scripts.mkdir()
    (scripts / "0001_first.sql").write_text("CREATE TABLE jobs (id TEXT)")
    prepare(path, scripts)
    (scripts / "0002_second.sql").write_text(
        "ALTER TABLE jobs ADD COLUMN colour TEXT; ALTER TABLE missing ADD COLUMN x"
    )
    with pytest.raises(DatabaseError, match="no such table"):
        prepare(path, scripts)
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
        assert [row["name"] for row in connection.execute("PRAGMA table_info(jobs)")] == ["id"]


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(script.name[:4]) for script in MIGRATIONS.glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DatabaseError, match="can't be opened"):
        prepare(tmp_path / "data" / "webui.db")
