"""What a browser learns about jobs, and which folders the page may show."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.jobs.access import Viewer
from modules.page.open_folder import folder_button
from modules.page.routes import create_router, page_state
from modules.parameters import GenerationRequest
from modules.settings import parse_flags
from tests.page.fakes import any_visitor, open_services

ME = Viewer(client="me")


@pytest.fixture
def services(tmp_path: Path) -> Any:
    opened = open_services(parse_flags(["--data-dir", str(tmp_path)], {}))
    opened.jobs.step_seconds = 0.005
    yield opened
    opened.jobs.close()


def finished(services: Any, client: str, prompt: str = "x") -> str:
    job = services.jobs.submit(GenerationRequest(prompt=prompt, steps=3, width=64, height=64), client=client)
    deadline = time.monotonic() + 10
    while services.jobs.get(job.id).state in ("waiting", "running") and time.monotonic() < deadline:
        time.sleep(0.01)
    return str(job.id)


def test_a_browser_sees_its_own_results_and_nobody_elses(services: Any) -> None:
    mine = finished(services, "me")
    finished(services, "you", "secret")
    state = page_state(services, ME)
    assert state.ignored == {}, "its file says nothing of it"
    assert [job.id for job in state.recent] == [mine]
    assert state.latest is not None and state.latest.state == "finished"
    assert page_state(services, Viewer(client="")).recent == []
    assert "secret" not in state.model_dump_json()


def test_the_newest_result_comes_first_and_a_lost_file_is_left_out(services: Any) -> None:
    first, second = finished(services, "me"), finished(services, "me")
    assert [job.id for job in page_state(services, ME).recent] == [second, first]
    services.jobs.get(second).images[0].path.unlink()
    assert [job.id for job in page_state(services, ME).recent] == [first]


def test_the_queue_is_counted_and_strangers_prompts_are_hidden(services: Any) -> None:
    services.jobs.step_seconds = 0.2
    for client in ("me", "you", "me"):
        services.jobs.submit(GenerationRequest(prompt=f"of {client}", steps=150), client=client)
    deadline = time.monotonic() + 5
    while page_state(services, ME).running is None and time.monotonic() < deadline:
        time.sleep(0.01)
    state = page_state(services, ME)
    assert state.running is not None and state.running.mine
    assert [(job.position, job.mine, job.prompt) for job in state.waiting] == [(1, False, "of you"), (2, True, "of me")]
    services.jobs.sharing = "browser"
    state = page_state(services, ME)
    assert [(job.visible, job.prompt) for job in state.waiting] == [(False, ""), (True, "of me")]
    assert state.waiting_count == 2


def test_routes_answer_and_refuse(services: Any) -> None:
    app = FastAPI()
    app.include_router(create_router(services, any_visitor))
    client = TestClient(app)
    job = finished(services, "me")
    assert client.get("/internal/page", params={"client": "me"}).json()["latest"]["id"] == job
    assert client.get("/internal/page", params={"client": "x" * 65}).status_code == 422
    assert client.get(f"/internal/thumbnail/{job}").headers["content-type"] == "image/webp"
    assert client.get("/internal/thumbnail/none").status_code == 404
    assert client.get("/internal/preview/none").status_code == 404


@pytest.mark.parametrize(
    ("flags", "shown"),
    [([], True), (["--listen"], False), (["--server-name", "x"], False), (["--hide-ui-dir-config"], False)],
)
def test_the_folder_button_is_for_who_sits_before_the_machine(flags: list[str], shown: bool) -> None:
    assert folder_button(parse_flags(flags, {})) is shown
