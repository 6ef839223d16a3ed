"""How far things are, and stopping them. Calls without an id mean the running job, as in A1111."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from modules.api.answers import job_timestamp
from modules.api.http_errors import ApiRoute
from modules.api.viewer import ByLogin
from modules.jobs.access import Viewer
from modules.jobs.job import Job, UnknownJob
from modules.jobs.viewed import ViewedJobs

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.live_progress import Live
    from modules.jobs.services import Services

TaskId = Annotated[str, Field(max_length=200)]


class ProgressAnswer(BaseModel):
    """A1111's answer; `current_task` is beside it, for clients that follow jobs of several programs."""

    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None = None
    textinfo: str | None = None
    current_task: str | None = None


class ProgressQuestion(BaseModel):
    """What A1111's page sends to /internal/progress."""

    id_task: TaskId | None = None
    id_live_preview: int = -1
    live_preview: bool = True


class PreviewText:
    """The newest preview in base64: many clients ask for the same one, and it is put into letters once."""

    def __init__(self) -> None:
        self._of: tuple[str, int] | None = None
        self._text = ""

    def of(self, live: Live) -> str | None:
        if not live.preview:
            return None
        if self._of != (live.job_id, live.preview_serial):
            self._text = base64.b64encode(live.preview).decode("ascii")
            self._of = (live.job_id, live.preview_serial)
        return self._text


def progress_routes(services: Services) -> APIRouter:
    """Progress, interrupt and skip. What is polled is answered from memory, on the event loop, without a thread."""
    router = APIRouter(route_class=ApiRoute, tags=["progress"])
    jobs = services.jobs
    previews = PreviewText()

    @router.get("/sdapi/v1/progress", response_model=ProgressAnswer)
    async def progress(viewer: ByLogin, skip_current_image: bool = False, id_task: TaskId | None = None) -> Response:
        now = jobs.now()
        if now is None or not _means(id_task, now[0]):
            return JSONResponse(_idle(jobs))
        job, live, eta = now
        # From somebody else's progress one sees how long one's own job will wait; what it makes is theirs.
        visible = jobs.may_access(job, viewer)
        answer = {
            "progress": max(0.01, min(live.fraction, 1.0)),
            "eta_relative": eta or 0.0,
            "state": _state(job, live),
            "current_image": previews.of(live) if visible and not skip_current_image else None,
            "textinfo": None,
            "current_task": (job.task_id or job.id) if visible else None,
        }
        return JSONResponse(answer)

    @router.post("/sdapi/v1/interrupt")
    def interrupt(viewer: ByLogin, id_task: TaskId | None = None) -> dict[str, Any]:
        seen = ViewedJobs(jobs, viewer)
        if (job := _job_of(seen, id_task)) is not None:
            seen.interrupt(job.id)
        return {}

    @router.post("/sdapi/v1/skip")
    def skip(viewer: ByLogin, id_task: TaskId | None = None) -> None:
        seen = ViewedJobs(jobs, viewer)
        if (job := _job_of(seen, id_task)) is not None:
            seen.skip(job.id)

    @router.post("/internal/progress", tags=["internal"])
    async def internal_progress(question: ProgressQuestion, viewer: ByLogin) -> Response:
        now = jobs.now()
        if now is not None and _means(question.id_task, now[0]):
            shown = previews if jobs.may_access(now[0], viewer) else None
            return JSONResponse(_active(now[1], now[2], question, shown))
        return JSONResponse(await run_sync(_not_active, jobs, viewer, question.id_task))

    @router.get("/internal/pending-tasks", tags=["internal"])
    def pending_tasks(viewer: ByLogin) -> dict[str, Any]:
        waiting = ViewedJobs(jobs, viewer).list(("waiting",), 1000)
        return {"size": len(waiting), "tasks": [job.task_id or job.id for job in waiting]}

    @router.get("/internal/ping", tags=["internal"])
    async def ping() -> dict[str, Any]:
        return {}

    return router


def _means(id_task: str | None, job: Job) -> bool:
    """Whether an id, a client's own or one of ours, or the lack of one, means the running `job`."""
    return not id_task or id_task in (job.task_id, job.id)


def _job_of(jobs: ViewedJobs, id_task: str | None) -> Job | None:
    """The job that an id means, and without one the running job; None where it is not there, or somebody else's."""
    if not id_task:
        return jobs.running()
    try:
        return jobs.find(id_task)
    except UnknownJob:
        return None


def _idle(jobs: JobService) -> dict[str, Any]:
    engine = jobs.engine_now()
    return {
        "progress": 0.0,
        "eta_relative": 0.0,
        "state": _state(None, None),
        "current_image": None,
        "textinfo": engine.sentence if engine.state == "loading" else None,
        "current_task": None,
    }


def _state(job: Job | None, live: Live | None) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": live is not None and live.interrupted,
        "stopping_generation": live is not None and live.stopping,
        "job": "" if job is None else f"scripts_{job.request.mode}",
        "job_count": 0 if job is None else job.resolved.request.n_iter,
        "job_timestamp": "0" if job is None else job_timestamp(job),
        "job_no": 0 if live is None else live.batch,
        "sampling_step": 0 if live is None else live.step,
        "sampling_steps": 0 if live is None else live.steps,
    }


def _state_json(
    *, active: bool = False, queued: bool = False, completed: bool = False, **more: object
) -> dict[str, Any]:
    blank = {"progress": None, "eta": None, "live_preview": None, "id_live_preview": -1, "textinfo": None}
    return {"active": active, "queued": queued, "completed": completed} | blank | more


def _active(live: Live, eta: float | None, question: ProgressQuestion, previews: PreviewText | None) -> dict[str, Any]:
    """The running job's; the preview comes along only when it is newer than the one already shown."""
    answer = _state_json(active=True, progress=live.fraction, eta=eta, id_live_preview=question.id_live_preview)
    newer = live.preview_serial != question.id_live_preview
    if previews is not None and question.live_preview and newer and (text := previews.of(live)) is not None:
        preview = f"data:{live.preview_mime};base64,{text}"
        answer |= {"live_preview": preview, "id_live_preview": live.preview_serial}
    return answer


def _not_active(jobs: JobService, viewer: Viewer, id_task: str | None) -> dict[str, Any]:
    """A job that does not run: its place in the queue, or its end."""
    job = _job_of(ViewedJobs(jobs, viewer), id_task)
    try:
        now = None if job is None else jobs.progress(job.id)
    except UnknownJob:
        now = None
    if job is None or now is None:
        return _state_json(textinfo="Waiting...")
    if now.state == "waiting":
        return _state_json(queued=True, textinfo=f"In queue: {now.position}/{jobs.count('waiting')}")
    return _state_json(active=now.state == "running", completed=job.ended, progress=now.fraction, textinfo=job.cause)
