"""The page's own small routes: the state it polls, previews, pictures, and the buttons that act on jobs."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from modules.gallery import PictureError, SaveError, Thumbnails
from modules.jobs.job import ENDED, Job, JobError, JobProgress, UnknownJob
from modules.ui import listing
from modules.ui.results import pictures

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.services import Services
    from modules.settings import OptionStore

# Changes with every start of the server: a page that sees another one knows that the server was restarted.
BOOT: Final = secrets.token_hex(8)
RECENT: Final = 12
# Of txt2img and img2img together, so that the results of one are still there after a dozen of the other.
RECENT_ASKED: Final = 4 * RECENT
QUEUE_SHOWN: Final = 20
QUEUE_COUNTED: Final = 1001
ClientId = Annotated[str, Query(max_length=64)]


class RunningJob(BaseModel):
    """The job on the device, as the progress bar needs it."""

    id: str
    mode: str
    mine: bool
    fraction: float
    step: int
    steps: int
    eta: float | None
    preview: int
    images: int
    several: bool


class WaitingJob(BaseModel):
    """A job in the queue; `position` 1 is the next one."""

    id: str
    mine: bool
    position: int
    prompt: str


class EndedJob(BaseModel):
    """A job of this browser that is over, or has pictures already."""

    id: str
    mode: str
    state: str
    images: int
    cause: str | None
    notices: list[str]


class EngineLine(BaseModel):
    """How the engine is."""

    state: str
    sentence: str
    checkpoint: str | None


class PageSettings(BaseModel):
    """The settings that the page's scripts act by, sent with every answer so that a change needs no reload."""

    refresh: int
    title: bool
    interrupt_after_current: bool
    attention: float
    extra: float
    delimiters: str
    move: bool


class PageState(BaseModel):
    """Everything a page needs to draw itself again after a reload, a sleep or a restart of the server."""

    server: str
    settings: PageSettings
    checkpoint: str | None
    engine: EngineLine
    running: RunningJob | None
    waiting: list[WaitingJob]
    waiting_count: int
    latest: EndedJob | None
    recent: list[EndedJob]


def page_state(services: Services, client: str) -> PageState:
    """The state for one browser. Reads rows, counters and a few settings only."""
    jobs = services.jobs
    active = jobs.list(states=("running", "waiting"), limit=QUEUE_COUNTED)
    running = next((job for job in active if job.state == "running"), None)
    waiting = [job for job in active if job.state == "waiting"]
    recent = _recent(jobs, client) if client else []
    return PageState(
        server=BOOT,
        settings=_settings(services.options),
        checkpoint=listing.current_title(services),
        engine=_engine(jobs),
        running=None if running is None else _running(jobs, running, client),
        waiting=[_waiting(job, position, client) for position, job in enumerate(waiting[:QUEUE_SHOWN], start=1)],
        waiting_count=len(waiting),
        latest=recent[0] if recent else None,
        recent=list(_of_each_mode(recent)),
    )


def _recent(jobs: JobService, client: str) -> list[EndedJob]:
    listed = jobs.list(states=("running", *sorted(ENDED)), limit=RECENT_ASKED, client=client)
    newest = sorted(listed, key=lambda job: job.started or job.created, reverse=True)
    told = [_ended(job) for job in newest if job.state != "cancelled"]
    return [job for job in told if job.images or job.state != "running"]


def _of_each_mode(jobs: Iterable[EndedJob]) -> Iterator[EndedJob]:
    seen: Counter[str] = Counter()
    for job in jobs:
        if job.images and seen[job.mode] < RECENT:
            seen[job.mode] += 1
            yield job


def _ended(job: Job) -> EndedJob:
    return EndedJob(
        id=job.id,
        mode=job.request.mode,
        state=job.state,
        images=len(pictures(job)),
        cause=job.cause,
        notices=list(job.notices),
    )


def _running(jobs: JobService, job: Job, client: str) -> RunningJob:
    progress = jobs.progress(job.id) or JobProgress(job.id, job.state)
    return RunningJob(
        id=job.id,
        mode=job.request.mode,
        mine=job.client == client,
        fraction=progress.fraction,
        step=progress.step,
        steps=progress.steps,
        eta=progress.eta_seconds,
        preview=progress.preview_serial if progress.preview else 0,
        images=len(progress.images),
        several=job.resolved.image_count > 1,
    )


def _waiting(job: Job, position: int, client: str) -> WaitingJob:
    mine = job.client == client
    # Another browser's prompt is nobody else's business.
    return WaitingJob(id=job.id, mine=mine, position=position, prompt=job.request.prompt[:80] if mine else "")


def _settings(options: OptionStore) -> PageSettings:
    return PageSettings(
        refresh=options.whole("live_preview_refresh_period"),
        title=options.switch("show_progress_in_title"),
        interrupt_after_current=options.switch("interrupt_after_current"),
        attention=options.number("keyedit_precision_attention"),
        extra=options.number("keyedit_precision_extra"),
        delimiters=options.text("keyedit_delimiters"),
        move=options.switch("keyedit_move"),
    )


def _engine(jobs: JobService) -> EngineLine:
    status = jobs.engine()
    return EngineLine(state=status.state, sentence=status.sentence, checkpoint=status.checkpoint_title)


def create_router(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes under /internal that the page's scripts use. `logged_in` refuses who has no session."""
    jobs = services.jobs
    thumbnails = Thumbnails(services.paths.cache_dir / "thumbnails", side=128)
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/page")
    def page(client: ClientId = "") -> PageState:
        return page_state(services, client)

    @router.get("/preview/{job_id}")
    def preview(job_id: str) -> Response:
        progress = _progress(jobs, job_id)
        if not progress.preview:
            # The job has ended since the page heard of the preview: nothing to show, and no error either.
            return Response(status_code=204)
        return Response(progress.preview, media_type=progress.preview_mime, headers={"Cache-Control": "no-store"})

    @router.get("/thumbnail/{job_id}")
    def thumbnail(job_id: str) -> FileResponse:
        job = jobs.get(job_id)
        shown = pictures(job) if job is not None else []
        if not shown:
            raise HTTPException(404, "This picture is not there any more.")
        try:
            return FileResponse(thumbnails.of(shown[0].path))
        except (PictureError, SaveError):
            return FileResponse(shown[0].path)

    @router.post("/jobs/{job_id}/cancel")
    def cancel(job_id: str) -> JSONResponse:
        return _done(lambda: jobs.cancel(job_id))

    @router.post("/jobs/{job_id}/interrupt")
    def interrupt(job_id: str, after_image: bool = False) -> JSONResponse:
        return _done(lambda: jobs.interrupt(job_id, after_image=after_image))

    @router.post("/jobs/{job_id}/skip")
    def skip(job_id: str) -> JSONResponse:
        return _done(lambda: jobs.skip(job_id))

    return router


def _progress(jobs: JobService, job_id: str) -> JobProgress:
    try:
        progress = jobs.progress(job_id)
    except JobError as error:
        raise HTTPException(404, str(error)) from error
    if progress is None:
        raise HTTPException(404, "No job runs.")
    return progress


def _done(act: Callable[[], object]) -> JSONResponse:
    try:
        act()
    except JobError as error:
        return JSONResponse({"detail": str(error)}, status_code=404 if isinstance(error, UnknownJob) else 409)
    return JSONResponse({})
