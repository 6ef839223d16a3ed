"""The queue with a fake engine on a thread: order, progress, stopping, and what page and API read."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.files import SaveError
from modules.jobs import ANYONE, EngineChanged, ImageSaved, Job, JobChanged, JobError, QueueFull, UnknownJob
from modules.jobs.collaborators import Limits
from modules.jobs.subscriptions import JobEvent
from modules.jobs.viewed import ViewedJobs
from modules.parameters import BatchFile, GenerationRequest, RequestError
from modules.protocol import Preview, StepDone
from tests.jobs.fake_engine import picture
from tests.jobs.helpers import PATIENCE, House, eventually, present


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as opened:
        yield opened


def ask(prompt: str = "a cat", **values: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": prompt, "steps": 4, "width": 64, "height": 64, **values})


def start(house: House, prompt: str = "slow", **values: object) -> Job:
    """Submit a job and wait until it runs and has taken a step."""
    job = house.jobs.submit(ask(prompt, **values))
    eventually(lambda: present(house.jobs.progress(job.id)).step > 0)
    return job


def test_a_job_is_made_and_saved(house: House) -> None:
    job = house.jobs.submit(ask(n_iter=2, batch_size=2, seed=7), client="page-1", task_id="task(1)")
    assert job.state == "waiting"
    done = house.jobs.wait(job.id, PATIENCE)
    assert done.state == "finished"
    assert [image.seed for image in done.images] == [7, 8, 9, 10]
    assert [image.index for image in done.images] == [0, 1, 2, 3]
    assert [image.path for image in done.images] == house.files
    text = "a cat\nSteps: 4, Seed: 7"
    assert done.images[0].path.read_bytes() == picture(7, text=text)
    assert done.images[0].infotext == text
    assert done.notices == ("made by a fake",)
    assert done.spent is not None and (done.spent.seconds, present(done.spent.memory).allocated) == (0.1, 1_230_000_000)
    assert house.jobs.of_task("task(1)") == done
    assert house.jobs.list(client="page-1") == [done]
    assert house.jobs.list(client="page-2") == []


def test_what_the_engine_warns_of_is_reported(house: House) -> None:
    warned: list[str] = []
    house.jobs.on_warning(warned.append)
    house.jobs.wait(house.jobs.submit(ask("warns")).id, PATIENCE)
    assert warned == ["UserWarning: the fake is only a fake"]


def test_jobs_run_in_the_order_of_the_queue(house: House) -> None:
    first = start(house, "slow", steps=1000)
    second, third, fourth = (house.jobs.submit(ask(f"job {n}")) for n in (2, 3, 4))
    assert [present(house.jobs.progress(job.id)).position for job in (first, second, third, fourth)] == [0, 1, 2, 3]
    house.jobs.move(fourth.id, 1)
    assert [job.id for job in house.jobs.list()] == [first.id, fourth.id, second.id, third.id]
    house.jobs.interrupt(first.id)
    assert house.jobs.wait(third.id, PATIENCE).state == "finished"
    ended = [house.jobs.wait(job.id, PATIENCE) for job in (first, second, third, fourth)]
    assert [job.id for job in sorted(ended, key=lambda job: job.finished or 0)] == [
        first.id,
        fourth.id,
        second.id,
        third.id,
    ]


def test_progress_counts_steps_and_guesses_the_end(house: House) -> None:
    job = start(house, "slow", steps=20, n_iter=2)
    eventually(lambda: present(house.jobs.progress(job.id)).eta_seconds is not None)
    progress = house.jobs.progress()
    assert progress is not None
    assert (progress.job_id, progress.state, progress.position, progress.steps) == (job.id, "running", 0, 20)
    assert 0 < progress.fraction < 1
    assert progress.eta_seconds is not None and 0 <= progress.eta_seconds < 60
    assert progress.preview is not None and progress.preview.startswith(b"\x89PNG")
    assert (progress.preview_mime, progress.preview_serial >= 1) == ("image/png", True)
    house.jobs.wait(job.id, PATIENCE)
    assert house.jobs.progress() is None
    assert present(house.jobs.progress(job.id)).fraction == 1.0
    assert present(house.jobs.progress(job.id)).position is None


def test_interrupt_keeps_what_is_finished(house: House) -> None:
    job = start(house, "slow", steps=3, n_iter=100)
    eventually(lambda: present(house.jobs.progress(job.id)).images)
    house.jobs.interrupt()
    done = house.jobs.wait(job.id, PATIENCE)
    assert done.state == "interrupted"
    assert 1 <= len(done.images) < 100
    assert house.files == [image.path for image in done.images]


def test_interrupt_after_the_image_finishes_the_batch_under_way(house: House) -> None:
    job = start(house, "slow", steps=20, n_iter=5)
    house.jobs.interrupt(job.id, after_image=True)
    done = house.jobs.wait(job.id, PATIENCE)
    assert (done.state, len(done.images)) == ("interrupted", 1)


def test_skip_leaves_one_batch_out(house: House) -> None:
    job = start(house, "slow", steps=10, n_iter=3)
    house.jobs.skip()
    done = house.jobs.wait(job.id, PATIENCE)
    assert (done.state, [image.index for image in done.images]) == ("finished", [1, 2])


def test_a_second_interrupt_ends_a_deaf_engine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.worker.FORCE_AFTER", 0.05)
    job = start(house, "slow deaf", steps=1000)
    house.jobs.interrupt(job.id)
    assert house.jobs.wait(job.id, 0.3).state == "running"
    house.jobs.interrupt(job.id)
    done = house.jobs.wait(job.id, PATIENCE)
    assert done.state == "interrupted"
    assert "did not react" in done.notices[0]
    assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_waiting_jobs_can_be_cancelled(house: House) -> None:
    first, second, third = start(house), house.jobs.submit(ask("two")), house.jobs.submit(ask("three"))
    house.jobs.cancel(second.id)
    house.jobs.interrupt(third.id)
    assert house.jobs.wait(second.id, 0).state == "cancelled"
    assert house.jobs.wait(third.id, 0).state == "cancelled"
    house.jobs.cancel(first.id)
    assert house.jobs.wait(first.id, PATIENCE).state == "interrupted"
    house.jobs.cancel(first.id)
    assert present(house.jobs.get(first.id)).state == "interrupted"
    assert len(house.files) == 0


def test_retry_repeats_the_seed_and_duplicate_draws_a_new_one(house: House) -> None:
    job = house.jobs.wait(house.jobs.submit(ask("oom", seed=-1)).id, PATIENCE)
    assert (job.state, job.cause) == ("failed", "The device ran out of memory.")
    again = house.jobs.retry(job.id)
    assert again.resolved == job.resolved
    assert again.id != job.id
    other = house.jobs.duplicate(job.id)
    assert other.request == job.request
    running = start(house)
    with pytest.raises(JobError, match="not ended"):
        house.jobs.retry(running.id)


def test_ids_that_nobody_knows(house: House) -> None:
    assert house.jobs.get("nobody") is None
    for act in (house.jobs.progress, house.jobs.cancel, house.jobs.interrupt, house.jobs.skip, house.jobs.retry):
        with pytest.raises(UnknownJob, match="no job 'nobody'"):
            act("nobody")
    with pytest.raises(UnknownJob):
        house.jobs.move("nobody", 1)
    house.jobs.interrupt()
    house.jobs.skip()


def test_only_waiting_jobs_move(house: House) -> None:
    job = start(house)
    with pytest.raises(JobError, match="Only a job that waits"):
        house.jobs.move(job.id, 1)


def test_the_queue_has_an_end(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(waiting=2)) as house:
        start(house)
        for _ in range(2):
            house.jobs.submit(ask())
        with pytest.raises(QueueFull, match="holds 2 waiting jobs"):
            house.jobs.submit(ask())


def test_pictures_to_start_from_come_with_the_job_once(house: House) -> None:
    pictures = {"cat.png": b"a cat", "mask": b"a mask"}
    request = ask("img", mode="img2img", init_images=("cat.png", "cat.png"), mask="mask")
    job = house.jobs.submit(request, inputs=pictures)
    house.jobs.wait(job.id, PATIENCE)
    command = house.engines[0].engine.jobs_run[0]
    assert command.blobs == (b"a cat", b"a mask")
    assert command.inputs == (command.resolved.request.init_images[0], command.resolved.request.mask)
    assert house.jobs.wait(house.jobs.retry(job.id).id, PATIENCE).state == "finished"
    with pytest.raises(RequestError, match="was not sent with it"):
        house.jobs.submit(ask(init_images=("dog.png",)))


def test_a_picture_that_vanished_fails_its_job_only(house: House) -> None:
    running = start(house)
    job = house.jobs.submit(ask(init_images=("cat.png",)), inputs={"cat.png": b"a cat"})
    house.inputs.prune(set())
    house.jobs.cancel(running.id)
    assert "is gone" in (house.jobs.wait(job.id, PATIENCE).cause or "")
    assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"


def test_a_disk_that_is_full_fails_the_job_and_nothing_else(house: House) -> None:
    house.picture_store.fail_with = SaveError("00000-1.png was not saved: the disk of /out is full; free some space.")
    job = house.jobs.wait(house.jobs.submit(ask("slow", n_iter=20)).id, PATIENCE)
    assert (job.state, job.images) == ("failed", ())
    assert job.cause is not None and "/out is full" in job.cause
    house.picture_store.fail_with = OSError(errno.EACCES, "Permission denied", "/out")
    job = house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE)
    assert job.cause is not None and "Permission denied" in job.cause
    house.picture_store.fail_with = None
    assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"
    assert house.store.reserved() == []


def test_a_picture_that_comes_twice_is_saved_once(house: House) -> None:
    job = house.jobs.wait(house.jobs.submit(ask("twice", n_iter=2)).id, PATIENCE)
    assert len(job.images) == len(house.files) == 2


def test_events_tell_the_whole_story(house: House) -> None:
    with house.jobs.subscribe() as events:
        job = house.jobs.submit(ask(n_iter=2))
        seen: list[JobEvent] = []
        while not (seen and isinstance(seen[-1], JobChanged) and seen[-1].job.ended):
            delivered = events.get(5)
            assert delivered is not None
            if delivered[0] == job.id:
                seen.append(delivered[1])
    states = [event.job.state for event in seen if isinstance(event, JobChanged)]
    assert states == ["waiting", "running", "finished"]
    assert [event.image.index for event in seen if isinstance(event, ImageSaved)] == [0, 1]
    assert [event.step for event in seen if isinstance(event, StepDone)] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert sum(isinstance(event, Preview) for event in seen) == 4


def test_checkpoints_load_without_a_job_and_fail_in_a_sentence(house: House) -> None:
    eventually(lambda: house.jobs.engine().state == "ready")
    assert house.jobs.engine().sentence == "Ready: a fake, int8."
    house.jobs.load_checkpoint("other.safetensors")
    eventually(lambda: house.jobs.engine().checkpoint_title == "other.safetensors")
    assert house.jobs.engine().width == 64
    house.jobs.load_checkpoint("bad.safetensors")
    eventually(lambda: house.jobs.engine().sentence == "bad.safetensors is not a checkpoint.")
    job = house.jobs.submit(ask(override_settings={"sd_model_checkpoint": "bad.safetensors"}))
    assert house.jobs.wait(job.id, PATIENCE).cause == "bad.safetensors is not a checkpoint."
    assert house.jobs.engine().state == "problem", "a refusal is nothing to be ready with"
    assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"
    assert (house.jobs.engine().state, house.jobs.engine().sentence) == ("ready", "Ready: a fake, int8.")
    house.jobs.unload_checkpoint()
    eventually(lambda: house.jobs.engine().checkpoint_title is None)
    house.jobs.load_checkpoint("bad.safetensors")
    eventually(lambda: house.jobs.engine().state == "problem")
    house.jobs.unload_checkpoint()
    eventually(lambda: house.jobs.engine().state == "ready")
    with pytest.raises(RequestError, match=r"no checkpoint missing\.safetensors"):
        house.jobs.load_checkpoint("missing.safetensors")


def test_a_checkpoint_that_left_the_disk_fails_its_job_only(house: House) -> None:
    job = house.jobs.submit(ask(override_settings={"sd_model_checkpoint": "missing.safetensors"}))
    assert house.jobs.wait(job.id, PATIENCE).cause == "There is no checkpoint missing.safetensors."


def test_a_checkpoint_that_kills_the_engine_is_not_loaded_again_and_again(house: House) -> None:
    house.jobs.load_checkpoint("deadly.safetensors")
    eventually(lambda: len(house.engines) == 2 and house.jobs.engine().state == "ready")
    assert house.jobs.wait(house.jobs.submit(ask()).id, PATIENCE).state == "finished"
    assert len(house.engines) == 2


def test_a_new_engine_loads_what_the_last_one_had(house: House) -> None:
    house.jobs.load_checkpoint("other.safetensors")
    eventually(lambda: house.jobs.engine().checkpoint_title == "other.safetensors")
    with house.jobs.subscribe() as events:
        house.engines[0].kill()
        sentences: list[str] = []
        while house.jobs.engine().checkpoint_title != "other.safetensors" or not sentences:
            delivered = events.get(5)
            assert delivered is not None
            if isinstance(delivered[1], EngineChanged):
                sentences.append(delivered[1].status.sentence)
    assert "it was killed (out of memory?)" in sentences[0]


def test_old_rows_are_cleared_away_with_what_was_kept_for_them(tmp_path: Path) -> None:
    with House(tmp_path, limits=Limits(ended=2)) as house:
        jobs = [
            house.jobs.submit(ask(init_images=(f"{n}.png",)), inputs={f"{n}.png": bytes([n])}, save=n != 0)
            for n in range(4)
        ]
        ended = [house.jobs.wait(job.id, PATIENCE) for job in jobs]
        house.jobs.prune()
        assert [house.jobs.get(job.id) is None for job in jobs] == [True, True, False, False]
        assert not ended[0].images[0].path.exists()
        assert ended[1].images[0].path.exists()
        assert len(list((tmp_path / "inputs").glob("*/*"))) == 2


@pytest.mark.long
def test_many_threads_submit_and_watch_at_once(house: House) -> None:
    answers: list[Job] = []

    def client(number: int) -> None:
        for _ in range(5):
            job = house.jobs.submit(ask(f"client {number}", seed=number))
            house.jobs.progress(job.id)
            answers.append(house.jobs.wait(job.id, PATIENCE))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 40
    for job in answers:
        assert job.state == "finished"
        assert job.images[0].seed == int(job.request.prompt.split()[1])


def test_who_waits_is_released_when_the_server_closes(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.jobs.start()
    job = start(house, "slow", steps=1000)
    answers: list[Job] = []
    waiting = threading.Thread(target=lambda: answers.append(house.jobs.wait(job.id)))
    waiting.start()
    house.close()
    waiting.join(5)
    assert [answer.ended for answer in answers] == [False]


def test_the_end_of_a_job_is_reported_to_who_watches_it_and_to_nobody_else(house: House) -> None:
    first, second = start(house, "slow", steps=20), house.jobs.submit(ask("two"))
    ends: list[tuple[str, Job | None]] = []
    done = threading.Event()

    def second_ended(job: Job | None) -> None:
        ends.append(("second", job))
        done.set()

    with (
        house.jobs.watched(first.id, lambda job: ends.append(("first", job))),
        house.jobs.watched(first.id, lambda job: ends.append(("first too", job))),
        house.jobs.watched(second.id, second_ended),
    ):
        assert done.wait(10)
    house.jobs.wait(house.jobs.submit(ask("three")).id, PATIENCE)
    assert [name for name, _ in ends] == ["first", "first too", "second"]
    assert [job.id for _, job in ends if job] == [first.id, first.id, second.id]
    assert all(job.state == "finished" and job.images for _, job in ends if job)


def test_the_running_job_is_known_without_a_look_into_the_database(house: House) -> None:
    assert house.jobs.now() is None
    job = start(house, "slow", steps=1000)
    house.jobs.interrupt(job.id, after_image=True)
    eventually(lambda: present(house.jobs.now())[1].stopping)
    running, live, _ = present(house.jobs.now())
    assert (running.id, live.step > 0, live.interrupted) == (job.id, True, False)
    house.jobs.interrupt(job.id)
    house.jobs.wait(job.id, PATIENCE)
    assert house.jobs.now() is None


def test_the_list_is_read_page_by_page(house: House) -> None:
    ended = [house.jobs.wait(house.jobs.submit(ask(f"job {n}")).id, PATIENCE) for n in range(3)]
    running = start(house, "slow", steps=1000)
    waiting = [house.jobs.submit(ask(), client="me") for _ in range(3)]
    everything = [running.id, *(job.id for job in waiting), *(job.id for job in reversed(ended))]
    assert [job.id for job in house.jobs.list()] == everything
    for limit in (1, 2, 3, 7, 9):
        pages = [house.jobs.list(limit=limit, offset=start) for start in range(0, 9, limit)]
        assert [job.id for page in pages for job in page] == everything
    assert [job.id for job in house.jobs.list(("finished",), limit=2, offset=1)] == everything[5:]
    assert [job.id for job in house.jobs.list(client="me", offset=1)] == everything[2:4]
    house.jobs.cancel(running.id)


def test_rows_are_cleared_away_while_the_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.jobs.service.PRUNE_EVERY", 3)
    with House(tmp_path, limits=Limits(ended=1)) as house:
        jobs = [house.jobs.submit(ask()) for _ in range(3)]
        house.jobs.wait(jobs[-1].id, PATIENCE)
        eventually(lambda: [job.id for job in house.jobs.list()] == [jobs[-1].id])


def test_to_interrupt_one_file_of_a_batch_is_to_interrupt_the_batch(house: House) -> None:
    def file(number: int) -> GenerationRequest:
        return ask("slow", steps=1000, batch=BatchFile(name=f"{number}.png", number=number))

    jobs = [house.jobs.submit(file(number), task_id="batch-1", notices=("one was skipped",)) for number in range(3)]
    other = house.jobs.submit(ask("of somebody else"))
    eventually(lambda: (now := house.jobs.progress(jobs[0].id)) is not None and now.step > 0)
    house.jobs.interrupt(jobs[0].id)
    assert house.jobs.wait(other.id, PATIENCE).state == "finished"
    assert [job.state for job in house.jobs.of_batch("batch-1")] == ["interrupted", "cancelled", "cancelled"]
    tally = house.jobs.tally("batch-1")
    assert (tally.count, tally.ended, tally.images, tally.failed) == (3, 3, 0, ())
    assert "one was skipped" in tally.notices
    assert jobs[0].notices[0] == "one was skipped"


@pytest.mark.parametrize("by", ["file", "batch"])
def test_an_interrupt_that_names_a_file_already_done_ends_the_batch(house: House, by: str) -> None:
    """The page names what it saw run last, which a fast batch has left by then."""
    files = [
        ask("quick" if number == 0 else "slow", steps=1000, batch=BatchFile(name=f"{number}.png", number=number))
        for number in range(4)
    ]
    jobs = [house.jobs.submit(file, task_id="batch-3") for file in files]
    assert house.jobs.wait(jobs[0].id, PATIENCE).state == "finished"
    eventually(lambda: (now := house.jobs.progress(jobs[1].id)) is not None and now.step > 0)
    if by == "file":
        house.jobs.interrupt(jobs[0].id)
    else:
        ViewedJobs(house.jobs, ANYONE).interrupt("batch-3")
    assert house.jobs.wait(jobs[1].id, PATIENCE).state == "interrupted"
    assert [job.state for job in house.jobs.of_batch("batch-3")] == [
        "finished",
        "interrupted",
        "cancelled",
        "cancelled",
    ]


def test_a_job_says_how_it_was_interrupted(house: House) -> None:
    job = house.jobs.submit(ask("slow", steps=60, n_iter=2))
    eventually(lambda: present(house.jobs.progress(job.id)).step > 0)
    assert present(house.jobs.progress(job.id)).stopping == ""
    house.jobs.interrupt(job.id, after_image=True)
    eventually(lambda: present(house.jobs.progress(job.id)).stopping == "after_image")
    house.jobs.interrupt(job.id)
    assert house.jobs.wait(job.id, PATIENCE).state == "interrupted"


def test_a_batch_tells_its_pictures_and_what_failed_by_name(house: House) -> None:
    prompts = {"a.png": "a cat", "b.png": "oom", "c.png": "a dog"}
    jobs = [
        house.jobs.submit(ask(prompt, seed=5, batch=BatchFile(name=name)), task_id="batch-2")
        for name, prompt in prompts.items()
    ]
    house.jobs.wait(jobs[-1].id, PATIENCE)
    tally = house.jobs.tally("batch-2")
    assert (tally.count, tally.ended, tally.images) == (3, 3, 2)
    ((name, cause),) = tally.failed
    assert name == "b.png" and cause == house.jobs.wait(jobs[1].id).cause
    images = house.jobs.images_of_batch("batch-2")
    assert [image.infotext.split("\n")[0] for image in images] == ["a cat", "a dog"]
    assert house.jobs.images_of_batch("batch-2", 1) == images[:1]
