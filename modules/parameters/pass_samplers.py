"""Sampler and schedule of each pass: found from a request's names once, and written back into names.

samplers = sampler_choices(request)     # of the first pass, and of the hires pass if there is one
with_labels(request, samplers)          # the same request, every name being a label
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator

from modules.parameters.request import GenerationRequest, hires_names
from modules.parameters.samplers import SamplerChoice, choice_of, resolve_sampler
from modules.parameters.schedules import AUTOMATIC, resolve_schedule

# The fields that say which samplers a request's passes run with.
SAMPLER_FIELDS: Final = frozenset({"sampler_name", "scheduler", "hr_sampler_name", "hr_scheduler", "enable_hr"})

Find = Callable[[str, str], SamplerChoice]
find_strictly: Final = partial(resolve_sampler, strict=True)


def _labels(choice: SamplerChoice) -> tuple[str, str]:
    return choice.sampler.label, choice.schedule.label


def _from_labels(stored: Any) -> SamplerChoice:  # noqa: ANN401 - whatever a row holds
    if isinstance(stored, SamplerChoice):
        return stored
    sampler, schedule = stored
    return find_strictly(str(sampler), str(schedule))


# As JSON each is a pair of labels. One that is in no table makes the value that holds it invalid.
Samplers = tuple[Annotated[SamplerChoice, PlainValidator(_from_labels), PlainSerializer(_labels)], ...]


def sampler_choices(request: GenerationRequest, find: Find = resolve_sampler) -> Samplers:
    """Sampler and schedule of the first pass, and of the hires pass if there is one.

    What `find` makes of a pair of names applies: `find_strictly` raises UnknownSamplerError or UnknownScheduleError;
    otherwise an unknown name is the first of its list. A hires pass with the first pass's schedule has the same word
    for it, as in A1111: the one that the request names, though it may be the first sampler's own default; "Automatic",
    or none, is what the hires pass's sampler prefers.
    """
    first = find(request.sampler_name, request.scheduler)
    if not request.has_hires_pass:
        return (first,)
    sampler, schedule = request.hires_sampler, request.hires_schedule
    if schedule is None:
        named = resolve_schedule(request.scheduler) != AUTOMATIC
        schedule = (first.applied_schedule if named else first.schedule).label
    return first, find(first.sampler.label if sampler is None else sampler, schedule)


def with_labels(request: GenerationRequest, samplers: Samplers) -> GenerationRequest:
    """`request` with the labels of its `samplers` as names: of each schedule the one that runs.

    The hires pass still says that it has the first pass's, as long as these names lead to the same samplers again.
    """
    first, schedule = samplers[0], samplers[0].applied_schedule
    changed = {"sampler_name": first.sampler.label, "scheduler": schedule.label}
    if request.has_hires_pass:
        hires = samplers[1]
        is_read_so = choice_of(hires.sampler, schedule) == hires
        changed |= hires_names(
            sampler=None if request.hires_sampler is None else hires.sampler.label,
            schedule=None if request.hires_schedule is None and is_read_so else hires.applied_schedule.label,
        )
    return request.model_copy(update=changed)
