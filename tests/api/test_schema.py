"""Requests made up from the API's own description: none is answered with a server error, and the server goes on.

A hundred in every run, 5,000 in the long suite.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from tests.amounts import amount
from tests.server.server import Server

REQUESTS = amount(25, 5000)
SMALL = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "seed": 5}
LARGEST = {"steps": 4, "n_iter": 2, "batch_size": 2, "hr_second_pass_steps": 4, "upscaling_resize": 2}

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(120 + REQUESTS),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("schema"), module="tests.server.fake_engine_server") as running:
        yield running


def hasty(body: Any) -> Any:
    """A valid request for a thousand pictures is answered, too, but not within a test."""
    if isinstance(body, dict):
        for name, most in LARGEST.items():
            if isinstance(body.get(name), int | float) and body[name] > most:
                body[name] = most
    return body


def test_no_made_up_request_breaks_the_server(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    results = list(schema.get_all_operations())
    operations = [found.ok() for found in results if isinstance(found, Ok)]
    assert len(operations) == len(results)
    assert len(operations) > 50
    answered: Counter[int] = Counter()
    each = -(-REQUESTS // (2 * len(operations)))
    rounds = itertools.count(20261121)
    with httpx.Client(base_url=server.url, verify=False, timeout=60) as client:
        # A route that takes nothing has one request; the others make up for it in further rounds.
        while sum(answered.values()) < REQUESTS:
            start = next(rounds)
            for operation, mode in itertools.product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
                hit(operation, mode, start, each, answered)
        broken = {status: count for status, count in answered.items() if status >= 500}
        assert not broken, server.log.read_text()[-3000:]
        print(f"\n{sum(answered.values())} requests: {dict(sorted(answered.items()))}")  # noqa: T201
        assert sum(answered.values()) >= REQUESTS
        for job in client.get("/v1/jobs", params={"limit": 1000}).json():
            if job["state"] in ("waiting", "running"):
                client.post(f"/v1/jobs/{job['id']}/cancel")
        good = client.post("/sdapi/v1/txt2img", json=SMALL)
        assert good.status_code == 200
        assert len(good.json()["images"]) == 1


def hit(operation: Any, mode: GenerationMode, start: int, count: int, answered: Counter[int]) -> None:
    """Up to `count` different requests to one operation; the first broken one is shown as it was sent."""

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        case.body = hasty(case.body)
        answer = case.call()
        answered[answer.status_code] += 1
        assert answer.status_code < 500, case.as_curl_command()

    try:
        send()
    except Unsatisfiable:
        # Nothing wrong can be said to a route that takes nothing.
        assert mode is GenerationMode.NEGATIVE
