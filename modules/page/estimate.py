"""How long a picture will take, learned from the jobs before, said before Generate is pressed where it is much."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modules.page import listing

if TYPE_CHECKING:
    from modules.jobs.job import Job
    from modules.jobs.services import Services

# Time grows with the pixels to the power of about this: convolutions with the first, attention with the second.
GROWTH: Final = 1.2
STEEPEST: Final = 2.0
# With jobs of so many sizes, what was measured is more exact than the constant.
SIZES_APART: Final = 1.5
NEAREST: Final = 5
LOOKED_AT: Final = 100
# From so many times a checkpoint's own pixels on, and from so many seconds on, there is something to say.
MUCH_LARGER: Final = 2.0
LONG: Final = 60.0
ESTIMATED_FROM: Final = (
    *("width", "height", "steps", "n_iter", "batch_size", "sampler_name", "denoising_strength"),
    *("enable_hr", "hr_scale", "hr_resize_x", "hr_resize_y", "hr_second_pass_steps"),
)
SECONDS_A_MINUTE: Final = 60
MINUTES_AN_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class PassWork:
    """Steps over all pictures of a job at one size, in pixels of one picture."""

    steps: float
    pixels: int


@dataclass(frozen=True, slots=True)
class Timed:
    """What a finished job did, and the seconds that it took."""

    passes: tuple[PassWork, ...]
    seconds: float


def pass_work_of(mode: str, fields: Mapping[str, Any]) -> tuple[PassWork, ...]:
    """The sampling passes of a request, by its fields' names. Raises TypeError or ValueError for what is no number."""
    pixels = int(fields["width"]) * int(fields["height"])
    images = int(fields["n_iter"]) * int(fields["batch_size"])
    steps = int(fields["steps"])
    # img2img takes the last of the steps only.
    share = float(fields["denoising_strength"]) if mode == "img2img" else 1.0
    first = PassWork(steps * share * images, pixels)
    if not fields.get("enable_hr"):
        return (first,)
    x, y = int(fields.get("hr_resize_x") or 0), int(fields.get("hr_resize_y") or 0)
    ratio = int(fields["width"]) / int(fields["height"])
    enlarged = (x or y * ratio) * (y or x / ratio) if x or y else pixels * float(fields["hr_scale"]) ** 2
    second = int(fields.get("hr_second_pass_steps") or 0) or steps
    return first, PassWork(second * float(fields["denoising_strength"]) * images, int(enlarged))


def timed_jobs(jobs: Iterable[Job], checkpoint: str, mode: str, sampler: str) -> list[Timed]:
    """The jobs that say something of one like them; of those with the same sampler alone, if there are any."""
    alike = [
        job
        for job in jobs
        if job.spent is not None
        and job.spent.seconds > 0
        and job.request.mode == mode
        and job.resolved.checkpoint == checkpoint
        and not job.resolved.variants
        # Of a job that was interrupted or went on after a crash nobody knows what its time was for.
        and job.attempts == 0
    ]
    same = [job for job in alike if job.resolved.request.sampler_name == sampler]
    return [
        Timed(pass_work_of(mode, dict(job.resolved.request)), job.spent.seconds) for job in same or alike if job.spent
    ]


def seconds_for(passes: Sequence[PassWork], before: Sequence[Timed]) -> float | None:
    """How long passes will take by what jobs before took; None where there were none."""
    if not before:
        return None
    growth = _growth(before)
    size = _pixels(passes)
    nearest = sorted(before, key=lambda timed: abs(math.log(_pixels(timed.passes) / size)))[:NEAREST]
    pace = statistics.median(timed.seconds / _work(timed.passes, growth) for timed in nearest)
    return pace * _work(passes, growth)


def _work(passes: Sequence[PassWork], growth: float) -> float:
    return sum(one.steps * math.pow(one.pixels, growth) for one in passes)


def _pixels(passes: Sequence[PassWork]) -> float:
    """The size that most of the work is done at."""
    return max(passes, key=lambda one: one.steps * one.pixels).pixels


def _growth(before: Sequence[Timed]) -> float:
    single = [timed for timed in before if len(timed.passes) == 1]
    sizes = [math.log(timed.passes[0].pixels) for timed in single]
    if not sizes or max(sizes) - min(sizes) < math.log(SIZES_APART):
        return GROWTH
    paces = [math.log(timed.seconds / timed.passes[0].steps) for timed in single]
    slope: float = statistics.linear_regression(sizes, paces).slope
    return min(STEEPEST, max(1.0, slope))


def sentence(passes: Sequence[PassWork], before: Sequence[Timed], native: tuple[int, int] | None) -> str:
    """What to say before Generate: empty where the size is the checkpoint's own and the time is short."""
    seconds = seconds_for(passes, before)
    larger = native is not None and passes[0].pixels >= MUCH_LARGER * native[0] * native[1]
    if not larger and (seconds is None or seconds < LONG):
        return ""
    size = f"{native[0]}×{native[1]}" if native is not None else ""
    if seconds is None:
        return f"This model was made for {size}: at this size it is slower and may repeat things."
    if larger:
        return f"About {duration(seconds)}; this model was made for {size}."
    return f"About {duration(seconds)}."


def duration(seconds: float) -> str:
    """A time as people say it who don't know it better."""
    if seconds < SECONDS_A_MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / SECONDS_A_MINUTE)
    if minutes < MINUTES_AN_HOUR:
        return f"{minutes} min"
    return f"{minutes / MINUTES_AN_HOUR:.1f} h"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to say of a form's values: `sentence` where it is much, `pace` of each picture as soon as it is known."""

    sentence: str = ""
    pace: str = ""

    def html(self) -> str:
        """The sentence, and hidden behind it the pace, which assets/progress.js shows above the tabs."""
        sentence = f'<span class="said">{html.escape(self.sentence)}</span>' if self.sentence else ""
        return f'{sentence}<span class="pace" hidden>{html.escape(self.pace)}</span>'


def pace(passes: Sequence[PassWork], before: Sequence[Timed], images: int) -> str:
    """How long one of the pictures takes, empty where there are no jobs to learn from."""
    seconds = seconds_for(passes, before)
    return "" if seconds is None else f"About {duration(seconds / images)} a picture at this size."


def estimate(services: Services, mode: str, fields: Mapping[str, Any]) -> Estimate:
    """The sentences for a form's values, empty also while one of them can't be read."""
    checkpoint = services.current_checkpoint()
    if checkpoint is None:
        return Estimate()
    try:
        passes = pass_work_of(mode, fields)
        images = int(fields["n_iter"]) * int(fields["batch_size"])
        if any(one.pixels <= 0 or one.steps <= 0 for one in passes):
            return Estimate()
    except (TypeError, ValueError, ZeroDivisionError):
        return Estimate()
    jobs = services.jobs.list(states=("finished",), limit=LOOKED_AT)
    before = timed_jobs(jobs, checkpoint.title, mode, str(fields.get("sampler_name") or ""))
    return Estimate(sentence(passes, before, listing.native_size(services, checkpoint)), pace(passes, before, images))
