"""Errors of every kind at every call that the queue's thread makes: a job may fail, the queue goes on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from modules.files import SaveError
from modules.jobs import Job, JobError, UnknownJob
from modules.jobs.database import connect, queue_file_error
from modules.jobs.job import QueueFileError
from modules.jobs.rows import RequestCache
from modules.jobs.subscriptions import Hub
from modules.parameters import RequestError
from tests.amounts import amount, some
from tests.jobs.helpers import PATIENCE, House, InProcessEngine, eventually
from tests.jobs.test_service import ask

DB = Path("webui.db")
ERRORS: dict[str, Exception] = {
    "permission": PermissionError(13, "Permission denied", "00001-1.png"),
    "value": ValueError("surrogates not allowed"),
    "runtime": RuntimeError("can't start new thread"),
    "memory": MemoryError(),
    "integrity": sqlite3.IntegrityError("UNIQUE constraint failed: images.path"),
    "sqlite": sqlite3.OperationalError("disk I/O error"),
    "full": QueueFileError(DB, "full", "database or disk is full"),
    "read-only": QueueFileError(DB, "read-only", "attempt to write a readonly database"),
    "corrupt": QueueFileError(DB, "corrupt", "database disk image is malformed"),
    "unknown": UnknownJob("gone"),
    "save": SaveError("The disk is full."),
    "request": RequestError("There is no such checkpoint."),
}
# Where an error may come up, and the prompt of a job that passes there.
POINTS: dict[str, str] = {
    "store.claim_next": "a cat",
    "store.running": "a cat",
    "store.image": "a cat",
    "store.reserve_image": "a cat",
    "store.image_saved": "a cat",
    "store.end": "a cat",
    "store.stop_requested": "crash",
    "store.put_back": "crash",
    "picture_store.place": "a cat",
    "picture_store.write": "a cat",
    "commands.command": "a cat",
    "hub.publish": "a cat",
    "engine.send": "a cat",
    "store.delete_ended": "a cat",
}


class Faults:
    """Makes calls of the queue's thread fail, each planned error once."""

    def __init__(self) -> None:
        self.planned: dict[str, list[Exception]] = defaultdict(list)
        self.raised = 0

    def plan(self, point: str, error: Exception) -> None:
        self.planned[point].append(error)

    def wrap(self, owner: Any, name: str, point: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread().name == "jobs" and self.planned[point]:
                self.raised += 1
                raise self.planned[point].pop(0)
            return real(*arguments, **named)

        setattr(owner, name, call)

    def attach(self, house: House) -> None:
        worker = house.jobs._worker
        owners = {
            "store": house.store,
            "picture_store": house.picture_store,
            "commands": worker._commands,
            "hub": worker._hub,
        }
        for point in POINTS:
            owner, name = point.split(".")
            if owner in owners:
                self.wrap(owners[owner], name, point)


@contextmanager
def queue_with_faults(folder: Path) -> Iterator[tuple[House, Faults]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modules.jobs.service.PRUNE_EVERY", 1)
        patch.setattr("modules.jobs.pending_end.RETRY_SECONDS", 0.01)
        patch.setattr("modules.jobs.pending_end.LONGEST_RETRY_SECONDS", 0.02)
        faults, house = Faults(), House(folder)
        send = InProcessEngine.send

        def failing(engine: InProcessEngine, command: Any) -> None:
            if threading.current_thread().name == "jobs" and faults.planned["engine.send"]:
                faults.raised += 1
                raise faults.planned["engine.send"].pop(0)
            send(engine, command)

        patch.setattr(InProcessEngine, "send", failing)
        faults.attach(house)
        with house:
            yield house, faults


def ended(house: House, job: Job) -> Job:
    """The job once it has ended in its row as well."""
    house.jobs.wait(job.id, PATIENCE)
    eventually(lambda: (now := house.jobs.get(job.id)) is not None and now.ended)
    found = house.jobs.get(job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("point", some(POINTS, 6))
def test_no_error_of_one_job_stops_the_queue(point: str, tmp_path: Path) -> None:
    with queue_with_faults(tmp_path) as (house, faults):
        for number, (name, error) in enumerate(ERRORS.items(), start=1):
            faults.plan(point, error)
            job = house.jobs.submit(ask(POINTS[point]))
            done = ended(house, job)
            if done.state == "failed":
                assert done.cause, f"{name}: a job fails with a sentence"
            assert ended(house, house.jobs.submit(ask("the next one"))).state == "finished", name
            assert faults.raised == number, f"nothing passed at {point}"
        assert house.jobs.count("running") == house.jobs.count("waiting") == 0


@given(
    plan=strategies.lists(
        strategies.tuples(strategies.sampled_from(sorted(POINTS)), strategies.sampled_from(sorted(ERRORS))), max_size=8
    ),
    prompts=strategies.lists(strategies.sampled_from(["a cat", "crash", "oom", "twice"]), min_size=1, max_size=4),
)
@settings(max_examples=amount(5, 100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_when_each_job_ends_and_a_later_one_is_made(
    plan: list[tuple[str, str]], prompts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with queue_with_faults(tmp_path_factory.mktemp("faults")) as (house, faults):
        for point, error in plan:
            faults.plan(point, ERRORS[error])
        for job in [house.jobs.submit(ask(prompt)) for prompt in prompts]:
            assert ended(house, job).ended
        # What is planned still may meet one of the next jobs: as many as there are faults may fail.
        states = [ended(house, house.jobs.submit(ask())).state for _ in range(len(plan) + 1)]
        assert "finished" in states


def test_an_unexpected_error_is_a_sentence_and_a_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with queue_with_faults(tmp_path) as (house, faults):
        faults.plan("picture_store.place", ValueError("surrogates not allowed"))
        job = ended(house, house.jobs.submit(ask()))
    assert job.state == "failed"
    assert job.cause is not None and "ValueError: surrogates not allowed" in job.cause and "log" in job.cause
    assert any(record.exc_info for record in caplog.records)


def test_a_delivered_picture_that_may_not_be_read_is_missing_in_the_grid_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def forbidden(path: Path) -> bytes:
        if path.suffix == ".png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with House(tmp_path) as house:
        monkeypatch.setenv("FAKE_ENGINE_FOLDER", str(tmp_path))
        monkeypatch.setattr(Path, "read_bytes", forbidden)
        job = house.jobs.submit(ask("slow", n_iter=3))
        eventually(lambda: (now := house.jobs.get(job.id)) is not None and now.images)
        house.engines[-1].kill()
        assert house.jobs.wait(job.id, PATIENCE).state == "finished"


@pytest.mark.parametrize("column", ["resolved", "request"])
def test_a_row_that_cannot_be_read_stops_neither_queue_nor_list(column: str, tmp_path: Path) -> None:
    house = House(tmp_path)
    bad, good = house.jobs.submit(ask("bad")), house.jobs.submit(ask("good"))
    with house.store._change() as write:
        write.execute(f"UPDATE jobs SET {column} = '{{' WHERE id = ?", (bad.id,))
    house.store._rows._requests = RequestCache()
    assert [job.id for job in house.jobs.list()] == [good.id]
    with house:
        assert house.jobs.wait(good.id, PATIENCE).state == "finished"
        assert house.jobs.count("failed") == 1


def test_a_running_row_that_cannot_be_read_does_not_stop_the_next_start(tmp_path: Path) -> None:
    house = House(tmp_path)
    bad = house.jobs.submit(ask("bad"))
    house.store.claim_next()
    with house.store._change() as write:
        write.execute("UPDATE jobs SET resolved = '{' WHERE id = ?", (bad.id,))
    house.close()
    with House(tmp_path) as again:
        assert again.jobs.wait(again.jobs.submit(ask()).id, PATIENCE).state == "finished"


@pytest.mark.parametrize(
    ("code", "trouble", "remedy"),
    [
        (sqlite3.SQLITE_FULL, "full", "Make room"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked", "Close the program"),
        (sqlite3.SQLITE_LOCKED, "locked", "Close the program"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read-only", "Let this program write"),
        (sqlite3.SQLITE_CORRUPT, "corrupt", "Restart the server"),
        (sqlite3.SQLITE_NOTADB, "corrupt", "Restart the server"),
        (sqlite3.SQLITE_IOERR_WRITE, "other", "Check its disk"),
    ],
)
def test_errors_of_sqlite_are_distinguished(code: int, trouble: str, remedy: str) -> None:
    error = sqlite3.OperationalError("trouble")
    error.sqlite_errorcode = code
    found = queue_file_error(DB, error)
    assert (found.trouble, found.passing) == (trouble, trouble in ("full", "locked"))
    assert remedy in str(found) and "webui.db" in str(found)


def test_a_file_that_may_not_be_written_ends_the_wait_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modules.jobs.pending_end.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("modules.jobs.pending_end.LONGEST_RETRY_SECONDS", 0.04)
    with House(tmp_path) as house:
        job = house.jobs.submit(ask("slow", steps=20))
        eventually(lambda: (now := house.jobs.progress(job.id)) is not None and now.step > 0)
        with house.store._writing:
            house.store._writer.execute("PRAGMA query_only = 1")
        seen = house.jobs.wait(job.id, PATIENCE)
        assert seen.state == "failed" and seen.cause is not None and "readonly" in seen.cause
        assert "Let this program write" in house.jobs.engine().sentence
        with pytest.raises(JobError, match="readonly"):
            house.jobs.submit(ask())
        with house.store._writing:
            house.store._writer.execute("PRAGMA query_only = 0")
        assert ended(house, job).state == "failed"
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"
        eventually(lambda: "Ready" in house.jobs.engine().sentence)


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    house = House(tmp_path)
    job = house.jobs.submit(ask())
    connect(tmp_path / "webui.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    size = (tmp_path / "webui.db").stat().st_size
    with (tmp_path / "webui.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(QueueFileError, match="damaged"):
        house.jobs.get(job.id)
    house.close()


def test_a_watcher_whose_loop_is_closed_is_left_out(tmp_path: Path) -> None:
    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    with House(tmp_path) as house:
        house.jobs.subscribe(closed)
        job = house.jobs.submit(ask())
        assert house.jobs.wait(job.id, PATIENCE).state == "finished"


def test_a_hub_goes_on_to_the_next_watcher() -> None:
    hub = Hub()

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    hub.subscribe(closed)
    woken: list[float] = []
    hub.subscribe(lambda: woken.append(time.monotonic()))
    hub.publish(None, None)  # type: ignore[arg-type]  # what is published does not matter here
    hub.publish(None, None)  # type: ignore[arg-type]  # what is published does not matter here
    assert len(woken) == 2
