"""The rows as a state machine: whatever is done to them in whatever order, nothing is lost and one runs at a time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings, strategies
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from modules.jobs import Job
from modules.jobs.database import prepare
from modules.jobs.job import ENDED, JobState
from modules.jobs.recovery import recover
from modules.jobs.store import JobStore
from modules.parameters import GenerationRequest
from tests.amounts import amount
from tests.jobs.helpers import resolved


class Queue(RuleBasedStateMachine):
    """The store beside a model of it: a list of waiting ids, the running id, and how each job ended."""

    jobs = Bundle("jobs")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        prepare(self.folder / "webui.db")
        self.store = JobStore(self.folder / "webui.db")
        self.number = 0
        self.waiting: list[str] = []
        self.running: str | None = None
        self.stopping = False
        self.ended: dict[str, str] = {}
        self.deaths: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(target=jobs)
    def submit(self) -> str:
        request = GenerationRequest(prompt="a cat", steps=1)
        self.number += 1
        job = Job(f"job-{self.number}", "waiting", request, resolved(request))
        self.store.add(job)
        self.waiting.append(job.id)
        self.deaths[job.id] = 0
        return job.id

    @rule()
    def claim(self) -> None:
        job = self.store.claim_next()
        if self.running is not None or not self.waiting:
            assert job is None
            return
        assert job is not None
        assert (job.id, job.state) == (self.waiting.pop(0), "running")
        self.running, self.stopping = job.id, False

    @rule(job=jobs, position=strategies.integers(-2, 12))
    def move(self, job: str, position: int) -> None:
        assert self.store.move(job, position) == (job in self.waiting)
        if job in self.waiting:
            self.waiting.remove(job)
            self.waiting.insert(max(0, position - 1), job)

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        assert self.store.end_waiting(job, "cancelled") == (job in self.waiting)
        if job in self.waiting:
            self.waiting.remove(job)
            self.ended[job] = "cancelled"

    @rule(state=strategies.sampled_from(["finished", "interrupted", "failed"]))
    def end(self, state: JobState) -> None:
        if self.running is not None:
            self.store.end(self.running, state)
            self.ended[self.running] = state
            self.running = None

    @rule(job=jobs)
    def end_again(self, job: str) -> None:
        if job in self.ended:
            assert self.store.end(job, "failed", cause="too late").state == self.ended[job]

    @rule(job=jobs)
    def ask_to_stop(self, job: str) -> None:
        assert self.store.ask_to_stop(job) == (job == self.running)
        self.stopping = self.stopping or job == self.running

    @rule()
    def engine_dies(self) -> None:
        if self.running is not None and not self.stopping:
            assert self.store.put_back(self.running, blame="engine").attempts == self.deaths[self.running] + 1
            self.deaths[self.running] += 1
            self.waiting.insert(0, self.running)
            self.running = None

    @rule()
    def server_dies(self) -> None:
        self.store.close()
        prepare(self.folder / "webui.db")
        self.store = JobStore(self.folder / "webui.db")
        recover(self.store, server_deaths=10_000)
        if self.running is not None and self.stopping:
            self.ended[self.running] = "interrupted"
        elif self.running is not None:
            self.waiting.insert(0, self.running)
        self.running = None

    @rule(keep=strategies.integers(0, 3))
    def clear_away(self, keep: int) -> None:
        gone = {row.id for row in self.store.delete_ended(keep)}
        assert gone <= set(self.ended)
        assert len(self.ended) - len(gone) <= keep
        for one in gone:
            del self.ended[one]

    @invariant()
    def rows_are_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self.store.list(limit=1000)
        assert [job.id for job in rows if job.state == "running"] == ([self.running] if self.running else [])
        assert [job.id for job in rows if job.state == "waiting"] == self.waiting
        assert {job.id: job.state for job in rows if job.state in ENDED} == self.ended
        assert [self.store.position(job) for job in self.waiting] == list(range(1, len(self.waiting) + 1))
        assert self.store.count("waiting") == len(self.waiting)


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=amount(20, 1000), stateful_step_count=30)
