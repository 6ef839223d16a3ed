"""Engines that die, hang or never start, in-process and as children; servers that end and start again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.jobs.collaborators import Limits
from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineEnded, EngineNews, EngineProcess, EngineSaid, cause_of
from modules.jobs.supervisor import Patience
from modules.protocol import EngineReady
from tests.jobs.helpers import PATIENCE, QUICK, House, InProcessEngine, child, eventually, present
from tests.jobs.test_service import ask, start


def test_a_dead_engine_costs_one_attempt_and_the_picture_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE_FOLDER", str(tmp_path))
    with House(tmp_path) as house:
        job = house.jobs.submit(ask("crashonce", seed=-1))
        done = house.jobs.wait(job.id, PATIENCE)
        assert (done.state, done.attempts) == ("finished", 1)
        assert done.resolved == job.resolved
        assert done.images[0].seed == job.resolved.seeds[0]
        assert len(house.engines) == 2


def test_a_second_death_fails_the_job_with_its_cause(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        done = house.jobs.wait(house.jobs.submit(ask("sigkill")).id, PATIENCE)
        assert done.state == "failed"
        assert done.cause == ("The engine ended twice while it made this picture: it was killed (out of memory?).")
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_pictures_from_before_a_death_are_not_made_again(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        job = start(house, "slow", n_iter=8, steps=6, seed=5)
        eventually(lambda: len(present(house.jobs.progress(job.id)).images) >= 2)
        before = {path: path.stat().st_mtime_ns for path in house.files}
        house.engines[0].kill()
        done = house.jobs.wait(job.id, PATIENCE)
        assert [image.seed for image in done.images] == list(range(5, 13))
        again = house.engines[1].engine.jobs_run[0]
        assert again.done[:2] == (0, 1)
        # Their files are named for the grid; the bytes of as many pictures as there may be don't travel.
        assert {str(path) for path in before} <= set(again.pictures.values())
        assert again.blobs == ()
        assert {path: path.stat().st_mtime_ns for path in house.files if path in before} == before


def test_an_engine_that_gives_no_sign_of_life_is_ended(tmp_path: Path) -> None:
    patience = Patience(silence=0.2, pauses=(0.0,), farewell=1.0)
    with House(tmp_path, patience=patience) as house:
        done = house.jobs.wait(house.jobs.submit(ask("hang")).id, PATIENCE)
        assert done.state == "failed"
        eventually(lambda: len(house.engines) == 3)
        assert done.cause is not None and "no sign of life" in done.cause


def test_an_interrupted_job_does_not_come_back_after_a_death(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        job = start(house, "slow deaf", steps=1000)
        house.jobs.interrupt(job.id)
        eventually(lambda: house.store.stop_requested(job.id))
        house.engines[0].kill()
        assert house.jobs.wait(job.id, PATIENCE).state == "interrupted"


def test_an_engine_that_never_starts_is_said_and_tried_more_slowly(tmp_path: Path) -> None:
    starts: list[int] = []

    def launch(number: int, post: Callable[[EngineNews], None]) -> InProcessEngine:
        starts.append(number)
        if number < 8:
            raise OSError(2, "No such file or directory", "python")
        return InProcessEngine(number, post)

    with House(tmp_path, launch=launch) as house:
        job = house.jobs.submit(ask())
        eventually(lambda: house.jobs.engine().state == "stopped")
        assert "could not be started" in house.jobs.engine().sentence
        assert house.jobs.wait(job.id, PATIENCE).state == "finished"
        assert starts == list(range(1, 9))


def test_an_engine_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    class Sleeper(InProcessEngine):
        def send(self, command: object) -> None:
            pass

        def _run(self) -> None:
            self._killed.wait()
            self._post(EngineEnded(self._number, "it was killed (out of memory?)"))

    patience = Patience(startup=0.1, pauses=(0.0, 5.0), farewell=1.0)
    launch: Callable[[int, Callable[[EngineNews], None]], InProcessEngine] = Sleeper
    with House(tmp_path, launch=launch, patience=patience) as house:
        eventually(lambda: house.jobs.engine().state == "restarting")
        assert "not ready" in house.jobs.engine().sentence


def test_a_server_that_starts_again_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        running = start(house, "slow", steps=30, n_iter=2)
        waiting = [house.jobs.submit(ask(f"job {n}")) for n in range(3)]
    with House(tmp_path) as house:
        done = [house.jobs.wait(job.id, PATIENCE) for job in (running, *waiting)]
        assert [job.state for job in done] == ["finished"] * 4
        assert [job.attempts for job in done] == [0] * 4
        assert sorted(done, key=lambda job: job.finished or 0) == done
        assert house.store.restarts(running.id) == 0


def test_a_killed_server_counts_apart_from_a_killed_engine(tmp_path: Path) -> None:
    house = House(tmp_path)
    job = house.jobs.submit(ask())
    house.store.claim_next()
    house.store.close()
    for restart in (1, 2):
        house = House(tmp_path, limits=Limits(server_deaths=3))
        assert house.store.restarts(job.id) == restart
        assert present(house.store.get(job.id)).state == "waiting"
        house.store.claim_next()
        house.store.close()
    house = House(tmp_path, limits=Limits(server_deaths=3))
    assert present(house.store.get(job.id)).cause == "The server ended 3 times while it ran this job."
    house.store.close()


def test_an_interrupted_job_stays_interrupted_after_a_killed_server(tmp_path: Path) -> None:
    house = House(tmp_path)
    job = house.jobs.submit(ask())
    house.store.claim_next()
    house.jobs.interrupt(job.id)
    house.store.close()
    house = House(tmp_path)
    assert present(house.store.get(job.id)).state == "interrupted"
    house.store.close()


# The engine as a process of its own


def test_a_child_runs_jobs_and_ends_with_its_server(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "log")
    with House(tmp_path, launch=child(tmp_path, log)) as house:
        done = house.jobs.wait(house.jobs.submit(ask(n_iter=2)).id, PATIENCE)
        assert (done.state, len(house.files)) == ("finished", 2)
        pid = house.jobs.engine().pid
        assert pid is not None
        assert Path(f"/proc/{pid}").exists() or not Path("/proc").exists()
    assert not Path(f"/proc/{pid}").exists()
    log.close()


def test_a_child_that_crashes_says_so_in_the_log(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "log")
    with House(tmp_path, launch=child(tmp_path, log)) as house:
        done = house.jobs.wait(house.jobs.submit(ask("crash")).id, PATIENCE)
        assert done.cause == "The engine ended twice while it made this picture: it ended with exit code 3."
        assert log.tail(1) == ("the fake engine crashes now",)
        assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"
    assert "the fake engine crashes now" in (tmp_path / "log" / "engine.log").read_text()
    log.close()


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        ("import sys; sys.exit(4)", "it ended with exit code 4"),
        ("import os; os.kill(os.getpid(), 9)", "it was killed (out of memory?)"),
        ("import os; os.kill(os.getpid(), 11)", "it crashed in native code (SIGSEGV)"),
        ("pass", "it ended by itself"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_child_that_never_calls_is_reported(tmp_path: Path, program: str, cause: str) -> None:
    log = EngineLog(tmp_path)
    news: list[EngineNews] = []
    EngineProcess(1, news.append, [sys.executable, "-c", program], log.copy)
    eventually(lambda: news)
    assert news == [EngineEnded(1, cause)]
    log.close()


def test_a_child_that_speaks_another_protocol_is_ended(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from multiprocessing.connection import Client;"
        "line = Client(sys.argv[1], authkey=bytes.fromhex(os.environ['WEBUI_ENGINE_AUTHKEY']));"
        "line.send_bytes(b'hello'); time.sleep(60)"
    )
    log = EngineLog(tmp_path)
    news: list[EngineNews] = []
    EngineProcess(1, news.append, [sys.executable, "-c", program], log.copy)
    eventually(lambda: news)
    assert isinstance(news[0], EngineEnded)
    assert news[0].cause.startswith("it spoke another protocol")
    log.close()


def test_a_caller_without_the_key_is_not_listened_to(tmp_path: Path) -> None:
    program = (
        "import os, runpy, sys; from multiprocessing import AuthenticationError;"
        "from multiprocessing.connection import Client\n"
        "try: Client(sys.argv[1], authkey=b'wrong')\n"
        "except AuthenticationError: runpy.run_module('tests.jobs.fake_engine', run_name='__main__')"
    )
    log = EngineLog(tmp_path)
    news: list[EngineNews] = []
    engine = EngineProcess(1, news.append, [sys.executable, "-c", program], log.copy)
    eventually(lambda: news)
    assert isinstance(news[0], EngineSaid) and isinstance(news[0].event, EngineReady)
    engine.close(5)
    assert news[-1] == EngineEnded(1, "it ended by itself")
    log.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (5, "graphics card refused"),
        (-15, "ended by SIGTERM"),
        (-6, "native code (SIGABRT)"),
        (0xC0000005, "0xC0000005"),
    ],
)
def test_the_end_of_a_process_in_words(code: int, words: str) -> None:
    assert words in cause_of(code)


def test_patience_lasts_longer_than_any_step(tmp_path: Path) -> None:
    assert QUICK.silence < Patience().silence
