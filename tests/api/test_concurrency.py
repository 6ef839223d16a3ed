"""Many clients at once: every answer is its own request's, and progress goes on. 32 x 20 in the long suite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from benchmarks.api_progress import Prober, own_answers
from tests.amounts import amount
from tests.api.conftest import SMALL
from tests.server.server import Server

CLIENTS = amount(8, 32)
JOBS = amount(2, 20)

pytestmark = [pytest.mark.server, pytest.mark.timeout(120 + 2 * CLIENTS * JOBS)]


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("crowd"), module="tests.server.fake_engine_server") as running:
        yield running


def test_every_answer_is_its_own_requests(fake: Server) -> None:
    prober = Prober(fake.url)
    with prober.probing():
        wrong = own_answers(fake.url, CLIENTS, JOBS)
    assert wrong == 0
    assert len(prober.seconds) > 10
    listed = httpx.get(f"{fake.url}/v1/jobs?limit=1000").json()
    assert [job["state"] for job in listed] == ["finished"] * (CLIENTS * JOBS)


@pytest.mark.long
def test_more_waiting_calls_than_worker_threads_leave_one_for_progress(fake: Server) -> None:
    """More waiting calls than the server has worker threads for short ones."""

    def waiting(number: int) -> int:
        body = {"prompt": "a slow cat", "steps": 2, "width": 64, "height": 64, "seed": number}
        answer = httpx.post(f"{fake.url}/sdapi/v1/txt2img", json=body, timeout=300, verify=False)
        seed: int = json.loads(answer.json()["info"])["seed"]
        return seed

    with ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(waiting, number) for number in range(60)]
        assert httpx.get(f"{fake.url}/sdapi/v1/progress", timeout=30).status_code == 200
        assert [call.result() for call in calls] == list(range(60))


def test_pictures_of_a_crowd_are_those_drawn_alone(server: Server) -> None:
    def picture(seed: int) -> str:
        answer = httpx.post(
            f"{server.url}/sdapi/v1/txt2img", json=SMALL | {"seed": seed}, timeout=300, verify=False
        ).json()
        image: str = answer["images"][0]
        return image

    alone = [picture(seed) for seed in range(2)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(picture, [0, 1, 1, 0]))
    assert together == [alone[seed] for seed in (0, 1, 1, 0)]
    assert len(set(alone)) == 2
