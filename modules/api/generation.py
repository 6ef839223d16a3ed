"""txt2img and img2img: queue the job, wait for it, answer with its pictures."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from modules.api.answers import generation_answer
from modules.api.bodies import ApiOnly, GenerationAnswer, Img2ImgBody, Txt2ImgBody
from modules.api.http_errors import ApiRoute
from modules.api.submission import submit
from modules.api.viewer import login_of
from modules.jobs.job import Job, UnknownJob
from modules.parameters import Mode

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.services import Services

# How often a call that is cancelled with its client looks whether the client is still there.
LOOK_SECONDS: Final = 1.0


def generation_routes(services: Services) -> APIRouter:
    """The two calls that make pictures."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["generation"])

    async def made(body: ApiOnly, mode: Mode, request: Request) -> Response:
        jobs = await run_sync(submit, services, body, mode, login_of(request))
        watched = request if body.cancel_on_disconnect else None
        ended = [await ended_job(services.jobs, job, watched) for job in jobs]
        # Megabytes of base64 are put together off the event loop: progress must answer meanwhile.
        return await run_sync(lambda: JSONResponse(generation_answer(ended, body)))

    @router.post("/txt2img", response_model=GenerationAnswer)
    async def txt2img(body: Txt2ImgBody, request: Request) -> Response:  # type: ignore[valid-type]  # a model made at run time
        """Make pictures from a prompt. Field names and defaults are A1111's."""
        return await made(body, "txt2img", request)

    @router.post("/img2img", response_model=GenerationAnswer)
    async def img2img(body: Img2ImgBody, request: Request) -> Response:  # type: ignore[valid-type]  # a model made at run time
        """Make pictures from a picture, or inpaint it where `mask` is white."""
        return await made(body, "img2img", request)

    return router


async def ended_job(jobs: JobService, job: Job, request: Request | None) -> Job:
    """The job once it has ended; given a `request` whose client hangs up, the job is cancelled. Holds no thread."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Job | None] = loop.create_future()

    def settle(ended: Job | None) -> None:
        if not end.done():
            end.set_result(ended)

    def on_ended(ended: Job | None) -> None:
        loop.call_soon_threadsafe(settle, ended)

    with jobs.watched(job.id, on_ended):
        # It may have ended before anybody watched.
        now = await run_sync(jobs.get, job.id)
        if now is not None and now.ended:
            return now
        while not end.done():
            await asyncio.wait([end], timeout=None if request is None else LOOK_SECONDS)
            if request is not None and not end.done() and await request.is_disconnected():
                with suppress(UnknownJob):
                    await run_sync(jobs.cancel, job.id)
                request = None
    if (ended := await end) is None:
        raise HTTPException(503, f"The server is shutting down: job {job.id} goes on at its next start.")
    return ended
