"""The queue as the page's Queue tab shows and changes it. Served wherever the page is, with the API or without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from modules.api.http_errors import ApiRoute
from modules.api.viewer import ByBrowser, ByPage
from modules.gallery import GRID_KINDS
from modules.jobs.access import Viewer
from modules.jobs.job import ENDED, Job, JobState
from modules.jobs.viewed import ViewedJobs

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.live_progress import Live
    from modules.jobs.services import Services

MOST_WAITING: Final = 200
LONGEST_PROMPT: Final = 300
Page = Annotated[int, Query(ge=1, le=100)]
From = Annotated[int, Query(ge=0, le=10_000_000)]


class Position(BaseModel):
    """Where a waiting job is put; 1 is the next to run."""

    position: Annotated[int, Field(ge=1, le=1_000_000)]


class JobLine(BaseModel):
    """What a call that changes a job answers. Its request is not in it: the job may be somebody else's."""

    id: str
    state: JobState


class QueueProgress(BaseModel):
    """How far the running job is; `preview` is the number of its newest preview, 0 when there is none yet."""

    fraction: float
    step: int
    steps: int
    eta: float | None
    preview: int


class QueuePicture(BaseModel):
    """One file of a job: `number` is that of `/v1/jobs/{id}/images/{number}`."""

    number: int
    kind: str
    width: int
    height: int


class QueueRow(BaseModel):
    """A job as one line. `mine` says that this browser started it; `visible`, that its viewer may see and change it.

    Of a job that is not visible, `prompt`, `pictures`, `cause` and `notices` are empty.
    """

    id: str
    state: JobState
    mode: str
    mine: bool
    visible: bool
    program: bool
    prompt: str
    pictures: list[QueuePicture]
    width: int
    height: int
    steps: int
    wanted: int
    made: int
    checkpoint: str | None
    created: float
    started: float | None
    finished: float | None
    position: int | None
    cause: str | None
    notices: list[str]
    progress: QueueProgress | None


class Queue(BaseModel):
    """What runs, the first of what waits, and one page of what has ended, latest first."""

    running: QueueRow | None
    waiting: list[QueueRow]
    waiting_count: int
    ended: list[QueueRow]
    more: bool


def queue_routes(services: Services) -> APIRouter:
    """The overview and a job's pictures; moving, stopping and repeating jobs."""
    router = APIRouter(prefix="/v1/jobs", route_class=ApiRoute, tags=["jobs"])
    jobs = services.jobs

    @router.get("/overview")
    def overview(viewer: ByPage, limit: Page = 20, offset: From = 0) -> Queue:
        """The queue in lines: what runs, what waits, and `limit` ended jobs from `offset` on."""
        return queue_of(jobs, viewer, limit, offset)

    @router.get("/{job_id}/images/{number}")
    def get_image(job_id: str, number: int, viewer: ByBrowser) -> FileResponse:
        """The `number`-th file of the job, counted from 0 in the order of its `images`."""
        images = ViewedJobs(jobs, viewer).find(job_id).images
        if not 0 <= number < len(images) or not images[number].path.exists():
            raise HTTPException(404, f"Job {job_id} has no picture {number}.")
        return FileResponse(images[number].path)

    _changing(router, jobs)
    return router


def _changing(router: APIRouter, jobs: JobService) -> None:
    """What changes a job. `job_id` may be the task id under which jobs were submitted, as the files of a batch are."""

    @router.post("/{job_id}/move")
    def move(job_id: str, to: Position, viewer: ByBrowser) -> JobLine:
        return job_line(ViewedJobs(jobs, viewer).move(job_id, to.position))

    @router.post("/{job_id}/cancel")
    def cancel(job_id: str, viewer: ByBrowser) -> JobLine:
        return job_line(ViewedJobs(jobs, viewer).cancel(job_id))

    @router.post("/{job_id}/interrupt")
    def interrupt(job_id: str, viewer: ByBrowser, after_image: bool = False) -> JobLine:
        return job_line(ViewedJobs(jobs, viewer).interrupt(job_id, after_image=after_image))

    @router.post("/{job_id}/skip")
    def skip(job_id: str, viewer: ByBrowser) -> JobLine:
        return job_line(ViewedJobs(jobs, viewer).skip(job_id))

    @router.post("/{job_id}/{again}", status_code=202)
    def again(job_id: str, again: Literal["retry", "duplicate"], viewer: ByBrowser) -> JobLine:
        """retry: exactly as it was resolved, seeds included. duplicate: requested again, by the present settings."""
        seen = ViewedJobs(jobs, viewer)
        return job_line(seen.retry(job_id) if again == "retry" else seen.duplicate(job_id))


def job_line(job: Job) -> JobLine:
    return JobLine(id=job.id, state=job.state)


def queue_of(jobs: JobService, viewer: Viewer, limit: int, offset: int) -> Queue:
    """The queue as `viewer` sees it: jobs of others are rows too, without what is in them."""

    def row(job: Job, place: int | None = None, live: tuple[Live, float | None] | None = None) -> QueueRow:
        return _row(job, viewer.client, jobs.may_access(job, viewer), place, live)

    now = jobs.now()
    active = jobs.list(("running", "waiting"), limit=MOST_WAITING + 1)
    waiting = [job for job in active if job.state == "waiting"][:MOST_WAITING]
    running = next((job for job in active if job.state == "running"), None)
    live = (now[1], now[2]) if running and now and now[0].id == running.id else None
    ended = jobs.list(sorted(ENDED), limit=limit + 1, offset=offset)
    return Queue(
        running=None if running is None else row(running, 0, live),
        waiting=[row(job, place) for place, job in enumerate(waiting, start=1)],
        waiting_count=jobs.count("waiting"),
        ended=[row(job) for job in ended[:limit]],
        more=len(ended) > limit,
    )


def _row(
    job: Job, client: str | None, visible: bool, position: int | None, live: tuple[Live, float | None] | None
) -> QueueRow:
    request = job.request
    return QueueRow(
        id=job.id,
        state=job.state,
        mode=request.mode,
        mine=visible and bool(client) and job.client == client,
        visible=visible,
        program=job.client == "api",
        prompt=request.prompt[:LONGEST_PROMPT] if visible else "",
        pictures=[
            QueuePicture(number=number, kind=image.kind, width=image.width, height=image.height)
            for number, image in enumerate(job.images if visible else ())
        ],
        width=request.width,
        height=request.height,
        steps=request.steps,
        wanted=job.resolved.image_count,
        made=sum(image.kind not in GRID_KINDS for image in job.images),
        checkpoint=job.resolved.checkpoint,
        created=job.created,
        started=job.started,
        finished=job.finished,
        position=position,
        cause=job.cause if visible else None,
        notices=list(job.notices) if visible else [],
        progress=None if live is None else _progress(*live),
    )


def _progress(live: Live, eta: float | None) -> QueueProgress:
    number = live.preview_serial if live.preview else 0
    return QueueProgress(fraction=live.fraction, step=live.step, steps=live.steps, eta=eta, preview=number)


def job_item(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return {
        "id": job.id,
        "state": job.state,
        "task_id": job.task_id,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempts": job.attempts,
        "cause": job.cause,
        "notices": list(job.notices),
        "request": job.resolved.request.model_dump(mode="json"),
        "seeds": list(job.resolved.seeds),
        "checkpoint": job.resolved.checkpoint,
        "images": [
            {
                "kind": image.kind,
                "index": image.index,
                "seed": image.seed,
                "width": image.width,
                "height": image.height,
                "infotext": image.infotext,
            }
            for image in job.images
        ],
    }
