"""Whatever stalls for a second, the event loop does not: a poll for progress is answered meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI

from modules.api.routes import api_routes
from modules.page.routes import create_router
from modules.server.auth import login_required
from modules.settings import parse_flags
from tests.page.fakes import open_services

STALL = 1.0
# Everything that is polled, and calls that read what stalls.
CALLS = (
    "/sdapi/v1/progress",
    "/internal/ping",
    "/internal/page?client=me",
    "/internal/pending-tasks",
    "/v1/jobs/overview?client=me",
    "/v1/jobs",
    "/sdapi/v1/options",
    "/sdapi/v1/sd-models",
    "/sdapi/v1/loras",
    "/sdapi/v1/upscalers",
    "/sdapi/v1/prompt-styles",
    "/internal/sysinfo",
)
# Of the queue these answer from memory, and are what the loop itself may call.
FROM_MEMORY = {"now", "engine_now"}


class Stalling:
    """Stands for a service: every call of it takes a second, except what answers from memory."""

    def __init__(self, real: Any, calls: list[str]) -> None:
        self._real = real
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value) or name in FROM_MEMORY:
            return value

        def stalled(*args: Any, **named: Any) -> Any:
            self._calls.append(name)
            time.sleep(STALL)
            return value(*args, **named)

        return stalled


def longest_pause(app: FastAPI, calls: tuple[str, ...]) -> float:
    """Seconds that the loop stood still at most while it answered `calls`, all at once."""

    async def measure() -> float:
        pauses = [0.0]

        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                pauses.append(time.monotonic() - before)

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            # A loop that is fresh imports and compiles at its first call.
            await client.get("/internal/ping")
            watching = asyncio.ensure_future(watch())
            # The watch has to be asleep before the calls begin, and to wake once more after them.
            await asyncio.sleep(0.05)
            await asyncio.gather(*(client.get(call) for call in calls))
            await asyncio.sleep(0.05)
            watching.cancel()
        return max(pauses)

    with start_blocking_portal() as portal:
        return portal.call(measure)


@pytest.mark.parametrize("service", ["jobs", "catalogue", "options", "styles", "gallery"])
def test_nothing_on_the_loop_waits_for_a_service(tmp_path: Path, service: str) -> None:
    services = open_services(parse_flags(["--data-dir", str(tmp_path)]))
    # Routes read flags and settings when they are made; the stall begins after that.
    app = FastAPI()
    everybody: Callable[[Any], Any] = login_required([], lambda request: False)
    calls: list[str] = []
    real = getattr(services, service)
    setattr(services, service, Stalling(real, calls))
    services.upscalers = lambda: time.sleep(STALL) or ()
    app.include_router(create_router(services, everybody))
    app.include_router(api_routes(services, everybody))
    pause = longest_pause(app, CALLS)
    services.jobs.close()
    assert pause < STALL * 0.9, (service, calls)
    if service in {"jobs", "catalogue", "styles"}:
        assert calls


def test_the_measure_finds_a_call_that_blocks() -> None:
    app = FastAPI()

    @app.get("/blocks")
    async def blocks() -> None:
        time.sleep(STALL)  # noqa: ASYNC251

    assert longest_pause(app, ("/blocks",)) >= STALL
