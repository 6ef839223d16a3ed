"""txt2img and img2img: queue the job, wait for it, answer with its pictures."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from modules.api.answers import generation_answer
from modules.api.asked import submit
from modules.api.bodies import ApiOnly, GenerationAnswer, Img2ImgBody, Txt2ImgBody
from modules.api.errors import ApiRoute
from modules.jobs.job import Job, UnknownJob
from modules.parameters import Mode

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Calls that may wait at once. They have threads of their own, so that short calls always find one free.
WAITING_CALLS: Final = 256
LOOK_SECONDS: Final = 1.0


def generation_routes(services: Services) -> APIRouter:
    """The two calls that make pictures."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["generation"])
    waiting = CapacityLimiter(WAITING_CALLS)

    async def made(body: ApiOnly, mode: Mode, request: Request) -> Response:
        job = await run_sync(submit, services, body, mode)
        job = await _ended(services, job, request if body.cancel_on_disconnect else None, waiting)
        # Megabytes of base64 are put together off the event loop: progress must answer meanwhile.
        return await run_sync(lambda: JSONResponse(generation_answer(job, body)))

    @router.post("/txt2img", response_model=GenerationAnswer)
    async def txt2img(body: Txt2ImgBody, request: Request) -> Response:  # type: ignore[valid-type]
        """Make pictures from a prompt. Field names and defaults are A1111's."""
        return await made(body, "txt2img", request)

    @router.post("/img2img", response_model=GenerationAnswer)
    async def img2img(body: Img2ImgBody, request: Request) -> Response:  # type: ignore[valid-type]
        """Make pictures from a picture, or inpaint it where `mask` is white."""
        return await made(body, "img2img", request)

    return router


async def _ended(services: Services, job: Job, request: Request | None, waiting: CapacityLimiter) -> Job:
    """The job once it has ended; given a `request` whose client hangs up, the job is cancelled."""
    while not job.ended:
        job = await run_sync(services.jobs.wait, job.id, LOOK_SECONDS, limiter=waiting)
        if request is not None and await request.is_disconnected():
            with suppress(UnknownJob):
                await run_sync(services.jobs.cancel, job.id)
        await anyio.lowlevel.checkpoint()
    return job
