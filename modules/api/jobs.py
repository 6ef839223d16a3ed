"""Our own calls beside A1111's: the queue as a resource, and a stream of what happens to a job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field

from modules.api.bodies import Img2ImgBody, Txt2ImgBody
from modules.api.http_errors import ApiRoute
from modules.api.queue import From, job_item
from modules.api.submission import submit
from modules.api.viewer import ByBrowser, ByLogin
from modules.jobs.job import ImageSaved, JobChanged, JobProgress, JobState
from modules.jobs.viewed import ViewedJobs
from modules.protocol import StepDone

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.services import Services

HEARTBEAT_SECONDS: Final = 10.0
Limit = Annotated[int, Field(ge=1, le=1000)]


def job_routes(services: Services) -> APIRouter:
    """Submit, list, fetch and watch jobs; what changes the queue is in `queue`."""
    router = APIRouter(prefix="/v1/jobs", route_class=ApiRoute, tags=["jobs"])
    _asking(router, services)
    _watching(router, services)
    return router


def _asking(router: APIRouter, services: Services) -> None:
    @router.post("/txt2img", status_code=202)
    def submit_txt2img(body: Txt2ImgBody, viewer: ByLogin) -> dict[str, Any]:  # type: ignore[valid-type]  # a model made at run time
        """Queue a txt2img job and answer at once. The body is that of /sdapi/v1/txt2img.

        Of several jobs, one for each file of its units' folders, the first; the others have its `task_id`.
        """
        return job_item(submit(services, body, "txt2img", viewer)[0])

    @router.post("/img2img", status_code=202)
    def submit_img2img(body: Img2ImgBody, viewer: ByLogin) -> dict[str, Any]:  # type: ignore[valid-type]  # a model made at run time
        """Queue an img2img job and answer at once. The body is that of /sdapi/v1/img2img.

        Of several jobs, one for each file of its units' folders, the first; the others have its `task_id`.
        """
        return job_item(submit(services, body, "img2img", viewer)[0])


def _watching(router: APIRouter, services: Services) -> None:
    jobs = services.jobs

    @router.get("")
    def list_jobs(
        viewer: ByBrowser, state: JobState | None = None, limit: Limit = 100, offset: From = 0
    ) -> list[dict[str, Any]]:
        """The running job, the waiting ones in order, then the ended ones, latest first; a page of them."""
        states = None if state is None else (state,)
        return [job_item(job) for job in ViewedJobs(jobs, viewer).list(states, limit, offset)]

    @router.get("/{job_id}")
    def get_job(job_id: str, viewer: ByBrowser) -> dict[str, Any]:
        job = ViewedJobs(jobs, viewer).find(job_id)
        return job_item(job) | {"progress": _progress_item(jobs.progress(job.id))}

    @router.get("/{job_id}/events")
    def events(job_id: str, viewer: ByBrowser) -> StreamingResponse:
        """Server-sent events: `state`, `step`, `image`; the stream ends when the job has."""
        job = ViewedJobs(jobs, viewer).find(job_id)
        return StreamingResponse(_stream(jobs, job.id), media_type="text/event-stream")


def _progress_item(now: JobProgress | None) -> dict[str, Any] | None:
    if now is None:
        return None
    return {
        "position": now.position,
        "fraction": now.fraction,
        "step": now.step,
        "steps": now.steps,
        "eta": now.eta_seconds,
    }


async def _stream(jobs: JobService, job_id: str) -> AsyncIterator[str]:
    """What happens to one job as server-sent events, the present state first. Holds no thread while it waits."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    subscription = jobs.subscribe(wake)
    try:
        job = await run_sync(jobs.get, job_id)
        while job is not None:
            yield _event("state", {"state": job.state, "cause": job.cause})
            if job.ended or subscription.closed:
                return
            changed = False
            while not changed and not subscription.closed:
                try:
                    await asyncio.wait_for(woken.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                woken.clear()
                news = [event for about, event in subscription.poll() if about == job_id]
                for event in news:
                    if (on_ended := _encoded(event)) is not None:
                        yield on_ended
                changed = any(isinstance(event, JobChanged) for event in news)
            job = await run_sync(jobs.get, job_id)
    finally:
        subscription.close()


def _encoded(event: object) -> str | None:
    match event:
        case StepDone():
            return _event("step", {"step": event.step, "steps": event.steps, "fraction": event.fraction})
        case ImageSaved(image=image):
            return _event("image", {"kind": image.kind, "index": image.index, "seed": image.seed})
        case _:
            return None


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
