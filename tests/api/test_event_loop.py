"""Whatever stalls, the event loop does not: no service is waited for on it, however long it takes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from inspect import iscoroutinefunction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from modules.api.routes import api_routes
from modules.jobs import services as real
from modules.page.routes import create_router
from modules.server.app import create_app
from modules.server.auth import login_required
from modules.settings import parse_flags
from tests.api.conftest import SMALL, b64, png
from tests.page.fakes import open_services
from tests.server.fake_engine_server import fake_launch, write_checkpoint

STALL = 0.05
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
    "/v1/pictures",
    "/v1/pictures/facets",
    "/v1/pictures/timeline",
    "/v1/pictures/fields?q=model:",
    "/v1/boards",
    "/v1/prompts",
)
PICTURE = b64(png(seed=1))
POSE = {"people": [], "canvas_width": 64, "canvas_height": 64}
# With the polled ones, every call whose route is a coroutine.
SENT: dict[str, object] = {
    "/sdapi/v1/txt2img": SMALL,
    "/sdapi/v1/img2img": SMALL | {"init_images": [PICTURE]},
    "/sdapi/v1/extra-single-image": {"image": PICTURE},
    "/sdapi/v1/extra-batch-images": {"imageList": [{"data": PICTURE, "name": "a"}]},
    "/internal/progress": {"id_task": "none"},
    "/controlnet/detect": {"controlnet_module": "canny", "controlnet_input_images": [PICTURE]},
    "/controlnet/render_openpose_json": [POSE],
    "/internal/controlnet/map": {"image": "0" * 64, "module": "canny"},
    "/internal/controlnet/pose": {"pose": POSE},
    "/internal/pictures": {},
    "/internal/models/piece?name=a.safetensors&size=9&mark=1&offset=0": {},
    "/internal/models/look?name=a.safetensors&size=9&mark=1": {},
}
THUMBNAIL = "/v1/pictures/none/thumbnail"
# Of the queue these answer from memory, and are what the loop itself may call.
FROM_MEMORY = {"now", "engine_now", "watched"}


class Stalling:
    """Stands for a service: every call of it stalls, except what answers from memory.

    `stalled` are the calls, and `held_up` those of them that were made on an event loop, which stood still meanwhile.
    The clock alone would not tell: on a machine with much to do a loop waits for its turn as well.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.stalled: list[str] = []
        self.held_up: list[str] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value) or name in FROM_MEMORY:
            return value

        def stall(*args: Any, **named: Any) -> Any:
            self.stalled.append(name)
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                self.held_up.append(name)
            time.sleep(STALL)
            return value(*args, **named)

        return stall


def ask_all(app: FastAPI, calls: tuple[str, ...], sent: Mapping[str, object] = MappingProxyType({})) -> list[int]:
    """The statuses of `calls` and of what is `sent`, made at once on one event loop."""

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            answers = [client.get(call) for call in calls]
            answers += [client.post(call, json=body) for call, body in sent.items()]
            return [answer.status_code for answer in await asyncio.gather(*answers)]

    with start_blocking_portal() as portal:
        return portal.call(ask)


@pytest.mark.parametrize("service", ["jobs", "catalogue", "options", "styles", "gallery", "index", "index.search"])
def test_nothing_on_the_loop_waits_for_a_service(tmp_path: Path, service: str) -> None:
    services = open_services(parse_flags(["--data-dir", str(tmp_path)]))
    owner, _, name = service.rpartition(".")
    holder = getattr(services, owner) if owner else services
    stalling = Stalling(getattr(holder, name))
    setattr(holder, name, stalling)
    everybody: Callable[[Any], Any] = login_required([], lambda request: None)
    app = FastAPI()
    app.include_router(create_router(services, everybody))
    app.include_router(api_routes(services, everybody))
    # What is read when the routes are made is no request's.
    stalling.stalled.clear()
    stalling.held_up.clear()
    statuses = ask_all(app, CALLS)
    services.jobs.close()
    assert statuses.count(200) >= len(CALLS) - 2, statuses
    assert stalling.held_up == []
    assert stalling.stalled or service == "gallery"


def coroutine_routes(app: FastAPI) -> set[str]:
    """The paths of routes that are answered on the loop."""
    routes = (context.original_route for context in iter_route_contexts(app.routes))
    return {route.path for route in routes if isinstance(route, APIRoute) and iscoroutinefunction(route.endpoint)}


def test_nothing_that_is_sent_holds_up_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras once looked through the folders of upscalers on the loop, and progress waited for the disk."""
    monkeypatch.setattr(real, "engine_launch", fake_launch)
    write_checkpoint(tmp_path / "models" / "Stable-diffusion" / "a.safetensors", "64x64")
    flags = parse_flags(["--data-dir", str(tmp_path), "--nowebui"])
    services = real.open_services(flags)
    names = ("jobs", "catalogue", "options", "styles", "gallery", "index", "cards", "folders")
    stalling: dict[str, Any] = {name: Stalling(getattr(services, name)) for name in names}
    app = create_app(replace(services, **stalling), flags)
    tried = [*CALLS, *SENT, THUMBNAIL]
    assert {path for path in coroutine_routes(app) if not any(re.match(pattern(path), call) for call in tried)} == set()
    for one in stalling.values():
        one.stalled.clear()
        one.held_up.clear()
    statuses = ask_all(app, (THUMBNAIL,), SENT)
    services.close()
    assert 500 not in statuses and statuses.count(200) >= 8, statuses
    assert {name: one.held_up for name, one in stalling.items() if one.held_up} == {}
    assert {"jobs", "catalogue", "options"} <= {name for name, one in stalling.items() if one.stalled}


def pattern(path: str) -> str:
    """A route's path as an expression for those that it answers."""
    return re.sub(r"\{\w+\}", "[^/?]+", path) + r"($|\?)"


def test_a_call_that_holds_up_the_loop_is_found(tmp_path: Path) -> None:
    services = open_services(parse_flags(["--data-dir", str(tmp_path)]))
    stalling = Stalling(services.jobs)
    app = FastAPI()

    @app.get("/blocks")
    async def blocks() -> None:
        stalling.engine()

    @app.get("/waits")
    def waits() -> None:
        stalling.count("waiting")

    assert ask_all(app, ("/blocks", "/waits")) == [200, 200]
    services.jobs.close()
    assert (stalling.held_up, sorted(stalling.stalled)) == (["engine"], ["count", "engine"])
