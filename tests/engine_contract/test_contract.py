"""What the server may rely on, whatever engine is at the other end of the line."""

from __future__ import annotations

import io
import random
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from modules.jobs.engine_process import Launch
from modules.parameters import resolve
from modules.parameters.extras_request import ExtrasRequest
from modules.parameters.request import extras_job
from modules.protocol import (
    CheckpointFailed,
    CheckpointFile,
    CheckpointLoaded,
    CheckpointLoading,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    JobFinished,
    JobStarted,
    LoadCheckpoint,
    Preview,
    RunExtras,
    Shutdown,
    Skip,
    StepDone,
    UnloadCheckpoint,
)
from modules.protocol.messages import Message
from tests.engine_contract.conftest import Conversation, job

T = TypeVar("T", bound=Message)
ENDS = (JobFinished, JobFailed)


def finished(events: list[Message]) -> JobFinished:
    """How the job ended, of the last event."""
    assert isinstance(events[-1], JobFinished), events[-1]
    return events[-1]


def indexes(events: list[Message], job_id: str) -> list[int]:
    """The pictures of a job that were delivered, in that order."""
    found = (event for event in events if isinstance(event, ImageReady))
    return [event.index for event in found if event.job_id == job_id and event.kind == "image"]


def of_kind(events: list[Message], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


# Beginning and end.


def test_the_first_event_says_that_the_engine_is_ready_and_a_shutdown_ends_it_after_the_jobs_before_it(
    launch: Launch, checkpoint: CheckpointFile
) -> None:
    conversation = Conversation(launch)
    try:
        (ready,) = conversation.until(EngineReady)
        assert isinstance(ready, EngineReady)
        assert ready.pid > 0 and ready.device and ready.hardware
        conversation.send(job(checkpoint, "last"), Shutdown())
        assert indexes(conversation.until(*ENDS), "last") == [0]
        assert conversation.end() == "it ended by itself"
    finally:
        conversation.close()


# Checkpoints.


def test_a_checkpoint_is_loaded_once_until_it_is_unloaded(engine: Conversation, checkpoint: CheckpointFile) -> None:
    load = LoadCheckpoint(checkpoint=checkpoint)
    engine.send(UnloadCheckpoint(), load)
    loading, loaded = (
        event for event in engine.until(CheckpointLoaded) if isinstance(event, CheckpointLoading | CheckpointLoaded)
    )
    assert (loading.title, loaded.title) == (checkpoint.title, checkpoint.title)
    engine.send(load, job(checkpoint, "there"))
    assert not of_kind(engine.until(*ENDS), CheckpointLoading)
    engine.send(UnloadCheckpoint(), job(checkpoint, "gone"))
    events = [type(event) for event in engine.until(*ENDS)]
    assert events.index(CheckpointLoading) < events.index(CheckpointLoaded) < events.index(JobStarted)


def test_a_job_with_another_checkpoint_loads_it(
    engine: Conversation, checkpoint: CheckpointFile, other: CheckpointFile
) -> None:
    engine.send(LoadCheckpoint(checkpoint=checkpoint), job(other, "other"))
    loaded = of_kind(engine.until(*ENDS), CheckpointLoaded)
    assert loaded[-1].title == other.title


def test_a_broken_checkpoint_is_one_sentence_and_the_next_job_is_made(
    engine: Conversation, checkpoint: CheckpointFile, broken: CheckpointFile
) -> None:
    engine.send(LoadCheckpoint(checkpoint=broken))
    failed = engine.until(CheckpointFailed, CheckpointLoaded)[-1]
    assert isinstance(failed, CheckpointFailed) and failed.title == broken.title
    assert broken.title in failed.cause and "\n" not in failed.cause
    engine.send(job(broken, "broken"), job(checkpoint, "next"))
    events = engine.until(*ENDS)
    assert isinstance(events[-1], JobFailed) and events[-1].job_id == "broken"
    assert broken.title in events[-1].cause and "\n" not in events[-1].cause
    assert of_kind(events, CheckpointFailed) and not of_kind(events, JobStarted)
    assert indexes(engine.until(*ENDS), "next") == [0]


# A job's events.


def test_jobs_are_made_in_the_order_in_which_they_were_sent(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(*(job(checkpoint, name) for name in ("a", "b", "c")))
    ended = [engine.until(*ENDS)[-1] for _ in range(3)]
    assert [(type(event), event.job_id) for event in ended if isinstance(event, ENDS)] == [
        (JobFinished, "a"),
        (JobFinished, "b"),
        (JobFinished, "c"),
    ]


def test_a_job_reports_its_start_every_step_every_picture_and_its_end(
    engine: Conversation, checkpoint: CheckpointFile
) -> None:
    command = job(checkpoint, "events", n_iter=2, batch_size=2)
    engine.send(command)
    events = engine.until(*ENDS)
    of_job = [event for event in events if getattr(event, "job_id", "") == "events"]
    assert of_job[0] == JobStarted(job_id="events", images=4)
    assert not finished(of_job).interrupted and finished(of_job).seconds >= 0
    assert indexes(events, "events") == [0, 1, 2, 3]
    steps = of_kind(events, StepDone)
    assert {event.batch for event in steps} == {0, 1}
    assert all(1 <= event.step <= event.steps for event in steps)
    assert all(before <= after for before, after in pairwise(event.fraction for event in steps))
    assert steps[-1].fraction == pytest.approx(1.0)


def test_a_picture_is_a_whole_file_with_its_seed_and_infotext(engine: Conversation, checkpoint: CheckpointFile) -> None:
    command = job(checkpoint, "picture", n_iter=2, width=64, height=128)
    engine.send(command)
    pictures = [event for event in of_kind(engine.until(*ENDS), ImageReady) if event.kind == "image"]
    assert [event.seed for event in pictures] == list(command.resolved.seeds)
    assert [event.subseed for event in pictures] == list(command.resolved.subseeds)
    for event in pictures:
        image = Image.open(io.BytesIO(event.blobs[0]))
        image.load()
        assert image.size == (event.width, event.height) == (64, 128)
        assert event.extension == "png" and event.save
        assert event.infotext.startswith("sized\n") and f"Seed: {event.seed}" in event.infotext
        assert image.info["parameters"] == event.infotext


def test_previews_are_pictures_of_the_kind_they_say(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "previews", steps=20))
    previews = of_kind(engine.until(*ENDS), Preview)
    assert previews
    for event in previews:
        assert event.mime == Image.MIME[str(Image.open(io.BytesIO(event.blobs[0])).format)]


def test_pictures_of_an_earlier_run_are_not_made_again(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "rest", n_iter=4).model_copy(update={"done": (0, 2)}))
    events = engine.until(*ENDS)
    assert indexes(events, "rest") == [1, 3]
    assert not finished(events).interrupted


def test_a_job_makes_the_same_bytes_each_time(engine: Conversation, checkpoint: CheckpointFile) -> None:
    made = []
    for _ in range(2):
        engine.send(job(checkpoint, "same"))
        (picture,) = of_kind(engine.until(*ENDS), ImageReady)
        made.append(picture.blobs[0])
    assert made[0] == made[1]


# Interrupt and Skip.


def test_an_interrupt_before_the_job_begins_ends_it_without_a_picture(
    engine: Conversation, checkpoint: CheckpointFile, other: CheckpointFile
) -> None:
    engine.send(
        UnloadCheckpoint(),
        LoadCheckpoint(checkpoint=checkpoint),
        job(other, "early", n_iter=2),
        Interrupt(job_id="early"),
        job(checkpoint, "next"),
    )
    events = engine.until(*ENDS)
    assert indexes(events, "early") == []
    assert finished(events).job_id == "early" and finished(events).interrupted
    assert indexes(engine.until(*ENDS), "next") == [0]


@pytest.mark.parametrize("after_image", [False, True], ids=["at once", "after the picture"])
def test_an_interrupt_of_a_job_that_waits_leaves_the_one_before_it(
    engine: Conversation, checkpoint: CheckpointFile, after_image: bool
) -> None:
    engine.send(
        job(checkpoint, "first", steps=20),
        job(checkpoint, "second"),
        Interrupt(job_id="second", after_image=after_image),
    )
    first, second = engine.until(*ENDS), engine.until(*ENDS)
    assert indexes(first, "first") == [0] and not finished(first).interrupted
    assert indexes(second, "second") == [] and finished(second).interrupted


def test_a_skip_before_the_job_begins_leaves_out_its_first_picture(
    engine: Conversation, checkpoint: CheckpointFile
) -> None:
    engine.send(job(checkpoint, "first", steps=20), job(checkpoint, "second", n_iter=3), Skip(job_id="second"))
    engine.until(*ENDS)
    events = engine.until(*ENDS)
    assert indexes(events, "second") == [1, 2]
    assert not finished(events).interrupted


def test_an_interrupt_ends_the_job_between_two_steps(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "now", slow=True, n_iter=3))
    engine.until(StepDone)
    engine.send(Interrupt(job_id="now"))
    events = engine.until(*ENDS)
    assert indexes(events, "now") == [] and finished(events).interrupted


def test_an_interrupt_after_the_picture_lets_it_be_made(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "after", slow=True, steps=20, n_iter=3))
    engine.until(StepDone)
    engine.send(Interrupt(job_id="after", after_image=True))
    events = engine.until(*ENDS)
    assert indexes(events, "after") == [0] and finished(events).interrupted


def test_the_stronger_of_two_requests_counts_in_either_order(engine: Conversation, checkpoint: CheckpointFile) -> None:
    at_once, after = Interrupt(job_id="both"), Interrupt(job_id="both", after_image=True)
    for requests in ((after, at_once), (at_once, after), (at_once, Skip(job_id="both"))):
        engine.send(job(checkpoint, "both", slow=True, n_iter=2))
        engine.until(StepDone)
        engine.send(*requests)
        events = engine.until(*ENDS)
        assert indexes(events, "both") == [] and finished(events).interrupted


def test_a_skip_leaves_the_picture_under_way_and_no_other(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "skip", slow=True, steps=60, n_iter=2))
    engine.until(StepDone)
    engine.send(Skip(job_id="skip"))
    events = engine.until(*ENDS)
    assert indexes(events, "skip") == [1] and not finished(events).interrupted


def test_a_request_for_another_job_changes_nothing(engine: Conversation, checkpoint: CheckpointFile) -> None:
    engine.send(job(checkpoint, "mine", steps=20, n_iter=2))
    engine.until(StepDone)
    engine.send(Interrupt(job_id="other"), Skip(job_id="other"))
    events = engine.until(*ENDS)
    assert indexes(events, "mine") == [0, 1] and not finished(events).interrupted
    # Nor does it wait for a job of that id: one that is sent later is a new run.
    engine.send(job(checkpoint, "other"))
    events = engine.until(*ENDS)
    assert indexes(events, "other") == [0] and not finished(events).interrupted


@pytest.mark.parametrize("request_", [Interrupt(job_id="again"), Skip(job_id="again")], ids=["interrupt", "skip"])
def test_a_request_after_the_end_is_not_kept_for_the_next_run(
    engine: Conversation, checkpoint: CheckpointFile, request_: Message
) -> None:
    engine.send(job(checkpoint, "again"))
    engine.until(*ENDS)
    engine.send(request_, job(checkpoint, "again"))
    events = engine.until(*ENDS)
    assert indexes(events, "again") == [0] and not finished(events).interrupted


# Extras.


def extras(folder: Path, job_id: str, count: int = 2) -> RunExtras:
    """A job of the Extras tab over `count` pictures, with an upscaler that needs no model."""
    files = [folder / f"{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(file)
    names = tuple(file.name for file in files)
    wanted = ExtrasRequest(paths=tuple(map(str, files)), names=names, upscaler_1="Lanczos", upscaling_resize=2)
    resolved = resolve(extras_job(wanted), options={}, rng=random.Random(0))
    return RunExtras(job_id=job_id, resolved=resolved, files=tuple(map(str, files)))


def test_extras_are_delivered_in_order_and_done_ones_left_out(engine: Conversation, tmp_path: Path) -> None:
    engine.send(extras(tmp_path, "extras", 3).model_copy(update={"done": (1,)}))
    events = engine.until(*ENDS)
    assert JobStarted(job_id="extras", images=3) in events
    assert indexes(events, "extras") == [0, 2] and not finished(events).interrupted
    assert {(event.width, event.height) for event in of_kind(events, ImageReady)} == {(32, 32)}


def test_extras_that_wait_can_be_interrupted_and_skipped(
    engine: Conversation, checkpoint: CheckpointFile, tmp_path: Path
) -> None:
    engine.send(
        job(checkpoint, "before", slow=True, steps=20),
        extras(tmp_path, "stopped"),
        Interrupt(job_id="stopped"),
        extras(tmp_path, "skipped"),
        Skip(job_id="skipped"),
    )
    engine.until(*ENDS)
    stopped, skipped = engine.until(*ENDS), engine.until(*ENDS)
    assert indexes(stopped, "stopped") == [] and finished(stopped).interrupted
    assert indexes(skipped, "skipped") == [1] and not finished(skipped).interrupted
