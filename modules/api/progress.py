"""How far things are, and stopping them. Calls without an id mean the running job, as in A1111."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from modules.api.answers import job_timestamp
from modules.api.errors import ApiRoute
from modules.jobs.job import Job, JobProgress

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.services import Services

TaskId = Annotated[str, Field(max_length=200)]


class ProgressQuestion(BaseModel):
    """What A1111's page sends to /internal/progress."""

    id_task: TaskId | None = None
    id_live_preview: int = -1
    live_preview: bool = True


def progress_routes(services: Services) -> APIRouter:
    """Progress, interrupt and skip."""
    router = APIRouter(route_class=ApiRoute, tags=["progress"])
    jobs = services.jobs

    @router.get("/sdapi/v1/progress")
    def progress(skip_current_image: bool = False, id_task: TaskId | None = None) -> dict[str, Any]:
        job = _job_of(jobs, id_task)
        if job is None or job.state != "running":
            return _idle(jobs)
        now = jobs.progress(job.id)
        if now is None:
            return _idle(jobs)
        image = None if skip_current_image or not now.preview else base64.b64encode(now.preview).decode("ascii")
        return {
            "progress": max(0.01, min(now.fraction, 1.0)),
            "eta_relative": now.eta_seconds or 0.0,
            "state": _state(job, now),
            "current_image": image,
            "textinfo": None,
            "current_task": job.task_id or job.id,
        }

    @router.post("/sdapi/v1/interrupt")
    def interrupt(id_task: TaskId | None = None) -> dict[str, Any]:
        job = _job_of(jobs, id_task)
        if job is not None:
            jobs.interrupt(job.id)
        return {}

    @router.post("/sdapi/v1/skip")
    def skip(id_task: TaskId | None = None) -> None:
        job = _job_of(jobs, id_task)
        if job is not None:
            jobs.skip(job.id)

    @router.post("/internal/progress", tags=["internal"])
    def internal_progress(question: ProgressQuestion) -> dict[str, Any]:
        job = _job_of(jobs, question.id_task)
        now = None if job is None else jobs.progress(job.id)
        if job is None or now is None:
            return _told(active=False, queued=False, completed=False, text="Waiting...")
        return _told(
            active=now.state == "running",
            queued=now.state == "waiting",
            completed=job.ended,
            text=f"In queue: {now.position}/{jobs.count('waiting')}" if now.state == "waiting" else job.cause,
            now=now,
            question=question,
        )

    @router.get("/internal/pending-tasks", tags=["internal"])
    def pending_tasks() -> dict[str, Any]:
        waiting = jobs.list(states=("waiting",), limit=1000)
        return {"size": len(waiting), "tasks": [job.task_id or job.id for job in waiting]}

    @router.get("/internal/ping", tags=["internal"])
    def ping() -> dict[str, Any]:
        return {}

    return router


def _job_of(jobs: JobService, id_task: str | None) -> Job | None:
    """The job that an id means, a task id or one of ours; without an id the running one."""
    if not id_task:
        return jobs.running()
    return jobs.of_task(id_task) or jobs.get(id_task)


def _idle(jobs: JobService) -> dict[str, Any]:
    return {
        "progress": 0.0,
        "eta_relative": 0.0,
        "state": _state(None, None),
        "current_image": None,
        "textinfo": jobs.engine().sentence if jobs.engine().state == "loading" else None,
        "current_task": None,
    }


def _state(job: Job | None, now: JobProgress | None) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "" if job is None else f"scripts_{job.request.mode}",
        "job_count": 0 if job is None else job.resolved.request.n_iter,
        "job_timestamp": "0" if job is None else job_timestamp(job),
        "job_no": 0 if now is None else now.batch,
        "sampling_step": 0 if now is None else now.step,
        "sampling_steps": 0 if now is None else now.steps,
    }


def _told(
    *,
    active: bool,
    queued: bool,
    completed: bool,
    text: str | None,
    now: JobProgress | None = None,
    question: ProgressQuestion | None = None,
) -> dict[str, Any]:
    """An answer to A1111's page: the preview comes along only when it is newer than the one already shown."""
    preview, serial = None, question.id_live_preview if question else -1
    if now and question and question.live_preview and now.preview and now.preview_serial != serial:
        preview = f"data:{now.preview_mime};base64,{base64.b64encode(now.preview).decode('ascii')}"
        serial = now.preview_serial
    return {
        "active": active,
        "queued": queued,
        "completed": completed,
        "progress": now.fraction if now else None,
        "eta": now.eta_seconds if now else None,
        "live_preview": preview,
        "id_live_preview": serial,
        "textinfo": text,
    }
