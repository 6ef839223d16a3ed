"""What the queue's calls answer, over services without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.api.queue import queue_routes
from modules.parameters import GenerationRequest
from modules.settings import parse_flags
from tests.page.fakes import open_services

SECRET = "somebody else's prompt"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Any]:
    services = open_services(parse_flags(["--data-dir", str(tmp_path)]))
    services.jobs.step_seconds = 0.2
    services.jobs.move = lambda job_id, position: None
    services.jobs.duplicate = lambda job_id: services.jobs.submit(services.jobs.get(job_id).request)
    services.jobs.retry = services.jobs.duplicate
    yield services
    services.jobs.close()


@pytest.mark.parametrize("call", ["move", "cancel", "interrupt", "skip", "retry", "duplicate"])
def test_changing_a_job_says_nothing_of_its_request(services: Any, call: str) -> None:
    app = FastAPI()
    app.include_router(queue_routes(services))
    job = services.jobs.submit(GenerationRequest(prompt=SECRET, steps=3), client="another browser")
    body = {"position": 1} if call == "move" else None
    answer = TestClient(app).post(f"/v1/jobs/{job.id}/{call}", json=body)
    assert answer.status_code in {200, 202}, answer.text
    assert set(answer.json()) == {"id", "state"} and "somebody" not in answer.text
