"""The page's own small routes: the state it polls, previews and thumbnails. What changes jobs is in `modules.api`."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from modules.api.viewer import ByBrowser, ByPage
from modules.files import SaveError
from modules.gallery import Thumbnails
from modules.jobs.access import Viewer
from modules.jobs.job import Job, JobProgress, UnknownJob
from modules.jobs.viewed import ViewedJobs
from modules.page import listing
from modules.page.job_pictures import first_picture, numbered_picture, tab_of, under_way
from modules.page.process import Warned
from modules.page.recent_jobs import RecentJob, RecentJobs
from modules.pictures import PictureError

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.services import Services
    from modules.settings import OptionStore

# Changes with every start of the server: a page that sees another one knows that the server was restarted.
BOOT: Final = secrets.token_hex(8)
RECENT: Final = 12
# Of txt2img and img2img together, so that the results of one are still there after a dozen of the other.
RECENT_READ: Final = 4 * RECENT
QUEUE_SHOWN: Final = 20
QUEUE_COUNTED: Final = 1001
NOTHING_WARNED: Final = Warned()


class BatchPlace(BaseModel):
    """How far a batch is: files that are done, of how many."""

    id: str
    done: int
    count: int


class RunningJob(BaseModel):
    """The job on the device, as the progress bar needs it; of a file of a batch, `fraction` is the whole batch's.

    `elapsed` are the seconds since it began. `first` to `last` of `pictures` are under way, counted from 1; `stopping`
    says how it was interrupted: "now", or "after_image". Of a job that is not `visible` to the viewer there are no
    previews, and it is not theirs to stop.
    """

    id: str
    mode: str
    mine: bool
    visible: bool
    fraction: float
    step: int
    steps: int
    eta: float | None
    preview: int
    images: int
    several: bool
    elapsed: float
    first: int
    last: int
    pictures: int
    stopping: str
    batch: BatchPlace | None = None


class WaitingJob(BaseModel):
    """A job in the queue; `position` 1 is the next one. `files` counts those of a batch, which count as one.

    The prompt of a job that is not `visible` to the viewer is empty.
    """

    id: str
    mine: bool
    visible: bool
    position: int
    prompt: str
    files: int = 0


class EndedJob(BaseModel):
    """A job of this browser that is over, or has pictures already. A batch is one, under an id of its own."""

    id: str
    mode: str
    state: str
    images: int
    cause: str | None
    notices: list[str]


class EngineLine(BaseModel):
    """How the engine is: `sentence` in a newcomer's words, `details` as the engine said it where that is more."""

    state: str
    sentence: str
    details: str
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
    lightbox: bool
    zoomed: bool
    live_lightbox: bool
    gamepad: int
    volume: int
    awake: bool
    progressbar: bool


class PageState(BaseModel):
    """Everything a page needs to draw itself again after a reload, a sleep or a restart of the server.

    A page that was built with another `layout` has to be loaded again. `warnings` are numbers that grow, and texts.
    `ignored` are keys of settings that do nothing with the chosen checkpoint, and why.
    """

    server: str
    notices: list[str]
    warnings: list[tuple[int, str]]
    layout: str
    settings: PageSettings
    checkpoint: str | None
    ignored: dict[str, str]
    engine: EngineLine
    running: RunningJob | None
    waiting: list[WaitingJob]
    waiting_count: int
    latest: EndedJob | None
    recent: list[EndedJob]


def page_state(
    services: Services,
    viewer: Viewer,
    layout: str = "",
    warned: Warned = NOTHING_WARNED,
    recent_jobs: RecentJobs | None = None,
) -> PageState:
    """The state for one browser. Reads rows, counters and a few settings only; ended jobs from `recent_jobs`."""
    jobs = services.jobs
    seen = ViewedJobs(jobs, viewer)
    active = jobs.list(states=("running", "waiting"), limit=QUEUE_COUNTED)
    running = next((job for job in active if job.state == "running"), None)
    waiting = [job for job in active if job.state == "waiting"]
    recent = _recent(seen, recent_jobs or RecentJobs(jobs)) if viewer.client else []
    return PageState(
        server=BOOT,
        notices=list(services.notices),
        warnings=warned.last() if services.options.switch("show_warnings") else [],
        layout=layout,
        settings=_settings(services.options),
        checkpoint=listing.current_title(services),
        ignored=listing.ignored(services, services.current_checkpoint()),
        engine=_engine(jobs),
        running=None if running is None else _running(jobs, running, seen),
        waiting=list(_waiting(waiting, seen))[:QUEUE_SHOWN],
        waiting_count=len(waiting),
        latest=recent[0] if recent else None,
        recent=list(_of_each_mode(recent)),
    )


def _recent(jobs: ViewedJobs, recent_jobs: RecentJobs) -> list[EndedJob]:
    listed = recent_jobs.of(jobs.viewer, RECENT_READ)
    newest = sorted(listed, key=lambda recent: recent.job.started or recent.job.created, reverse=True)
    shown = [_ended(jobs, recent) for recent in _once_each_batch(newest)]
    return [job for job in shown if job.state != "cancelled" and (job.images or job.state != "running")]


def _once_each_batch(newest: Iterable[RecentJob]) -> Iterator[RecentJob]:
    seen = set()
    for recent in newest:
        job = recent.job
        if job.request.batch is None or not job.task_id:
            yield recent
        elif job.task_id not in seen:
            seen.add(job.task_id)
            yield recent


def _of_each_mode(jobs: Iterable[EndedJob]) -> Iterator[EndedJob]:
    seen: Counter[str] = Counter()
    for job in jobs:
        if job.images and seen[job.mode] < RECENT:
            seen[job.mode] += 1
            yield job


def _ended(jobs: ViewedJobs, recent: RecentJob) -> EndedJob:
    job = recent.job
    if job.request.batch is not None and job.task_id:
        return _ended_batch(jobs, job, job.task_id)
    return EndedJob(
        id=job.id,
        mode=tab_of(jobs, job),
        state=job.state,
        images=recent.images,
        cause=job.cause,
        notices=list(job.notices),
    )


def _ended_batch(jobs: ViewedJobs, job: Job, task_id: str) -> EndedJob:
    """A batch has ended when all its jobs have, and failed when one of them did: the sentence names those files."""
    tally = jobs.tally(task_id)
    if tally.ended < tally.count:
        return EndedJob(id=task_id, mode=job.request.mode, state="running", images=tally.images, cause=None, notices=[])
    failed = [f"{name}: {cause}" for name, cause in tally.failed]
    more = tally.states.get("failed", 0) - len(failed)
    made = tally.states.get("finished", 0)
    head = f"{made} of {tally.count} files of the batch were made into pictures; these were not:"
    return EndedJob(
        id=task_id,
        mode=job.request.mode,
        state="failed" if failed else job.state,
        images=tally.images,
        cause="\n".join([head, *failed, *([f"and {more} more."] if more else [])]) if failed else None,
        notices=list(tally.notices),
    )


def _running(jobs: JobService, job: Job, seen: ViewedJobs) -> RunningJob:
    visible = seen.may_access(job)
    progress = jobs.progress(job.id) or JobProgress(job.id, job.state)
    fraction, several, batch = progress.fraction, job.resolved.image_count > 1, None
    if job.request.batch is not None and job.task_id:
        tally = jobs.tally(job.task_id)
        batch = BatchPlace(id=job.task_id, done=tally.ended, count=tally.count)
        fraction = (tally.ended + fraction) / tally.count
        several = several or tally.ended + 1 < tally.count
    first, last, count = under_way(job, progress)
    return RunningJob(
        id=job.id,
        mode=tab_of(seen, job),
        mine=visible and job.client == seen.viewer.client,
        visible=visible,
        fraction=fraction,
        step=progress.step,
        steps=progress.steps,
        eta=progress.eta_seconds,
        preview=progress.preview_serial if progress.preview and visible else 0,
        images=len(progress.images),
        several=several,
        elapsed=max(0.0, time.time() - (job.started or job.created)),
        first=first,
        last=last,
        pictures=count,
        stopping=progress.stopping,
        batch=batch,
    )


def _waiting(jobs: Sequence[Job], by: ViewedJobs) -> Iterator[WaitingJob]:
    files = Counter(job.task_id for job in jobs if job.request.batch is not None)
    seen = set()
    for position, job in enumerate(jobs, start=1):
        count = files[job.task_id] if job.request.batch is not None else 0
        if count and job.task_id in seen:
            continue
        seen.add(job.task_id if count else None)
        visible = by.may_access(job)
        yield WaitingJob(
            id=str(job.task_id) if count else job.id,
            mine=visible and job.client == by.viewer.client,
            visible=visible,
            position=position,
            prompt=job.request.prompt[:80] if visible else "",
            files=count,
        )


def _settings(options: OptionStore) -> PageSettings:
    return PageSettings(
        refresh=options.whole("live_preview_refresh_period"),
        title=options.switch("show_progress_in_title"),
        interrupt_after_current=options.switch("interrupt_after_current"),
        attention=options.number("keyedit_precision_attention"),
        extra=options.number("keyedit_precision_extra"),
        delimiters=options.text("keyedit_delimiters"),
        move=options.switch("keyedit_move"),
        lightbox=options.switch("js_modal_lightbox"),
        zoomed=options.switch("js_modal_lightbox_initially_zoomed"),
        live_lightbox=options.switch("js_live_preview_in_modal_lightbox"),
        # Milliseconds between two pictures; 0 is off.
        gamepad=options.whole("js_modal_lightbox_gamepad_repeat") if options.switch("js_modal_lightbox_gamepad") else 0,
        volume=options.whole("notification_volume") if options.switch("notification_audio") else 0,
        awake=options.switch("prevent_screen_sleep_during_generation"),
        progressbar=options.switch("show_progressbar"),
    )


def _engine(jobs: JobService) -> EngineLine:
    status = jobs.engine()
    sentence = status.sentence
    if status.state == "ready" and status.facts is not None:
        # Why a card that is there can't be used is for newcomers too.
        _, mark, trouble = (status.hardware or "").partition("; ")
        device = status.facts.device_name + mark + trouble
        sentence = f"Ready: {device}."
    return EngineLine(
        state=status.state, sentence=sentence, details=status.sentence, checkpoint=status.checkpoint_title
    )


def create_router(
    services: Services,
    logged_in: Callable[[Request], None],
    layout: Callable[[], str] = lambda: "",
    warned: Warned = NOTHING_WARNED,
) -> APIRouter:
    """The routes under /internal that the page's scripts use. `logged_in` refuses who has no session."""
    jobs = services.jobs
    recent_jobs = RecentJobs(jobs)
    thumbnails = Thumbnails(services.paths.cache_dir / "thumbnails", side=128)
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/page")
    def page(viewer: ByPage) -> PageState:
        return page_state(services, viewer, layout(), warned, recent_jobs)

    @router.get("/notification")
    def notification() -> Response:
        file = services.paths.data_dir / "notification.mp3"
        if not file.is_file():
            # That there is none is no error: a browser would log each error.
            return Response(status_code=204)
        return FileResponse(file, media_type="audio/mpeg")

    @router.get("/preview/{job_id}")
    def preview(job_id: str, viewer: ByBrowser) -> Response:
        try:
            progress = ViewedJobs(jobs, viewer).progress(job_id)
        except UnknownJob as error:
            raise HTTPException(404, str(error)) from error
        if not progress.preview:
            # The job has ended since the page heard of the preview: nothing to show, and no error either.
            return Response(status_code=204)
        return Response(progress.preview, media_type=progress.preview_mime, headers={"Cache-Control": "no-store"})

    @router.get("/thumbnail/{job_id}")
    def thumbnail(job_id: str, viewer: ByBrowser, number: int | None = None) -> FileResponse:
        """Of the job's file of that number, as the Queue tab counts them; without one, of what stands for the job."""
        seen = ViewedJobs(jobs, viewer)
        shown = first_picture(seen, job_id) if number is None else numbered_picture(seen, job_id, number)
        if shown is None:
            raise HTTPException(404, "This picture is not there any more.")
        try:
            return FileResponse(thumbnails.of(shown.path))
        except (PictureError, SaveError):
            return FileResponse(shown.path)

    return router
