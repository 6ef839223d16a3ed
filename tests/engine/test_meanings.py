"""What the engine makes of pictures and texts for searches by meaning, beside jobs."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPModel

from modules.engine.meanings import MeaningWorker
from modules.prompt import clip_tokenizer
from modules.protocol import CheckpointFile, EncodePictures, EncodeText, JobFinished, Meanings
from modules.protocol.messages import Message
from modules.weights.control.image_encoder import normalised
from tests.clips import SIDE, make_clip, write_clip
from tests.engine.conftest import RunningEngine, job


class Worker:
    """A worker in this process. `jobs` are the answers to whether a job is there; the last one stays."""

    def __init__(self) -> None:
        self.jobs = [False]
        self.answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.made = MeaningWorker(self._busy, lambda event: self.answers.put(event))
        self.made.start()

    def _busy(self) -> bool:
        return self.jobs.pop(0) if len(self.jobs) > 1 else self.jobs[0]

    def ask(self, command: EncodePictures | EncodeText) -> Meanings:
        self.made.ask(command)
        answer = self.answers.get(timeout=60)
        assert isinstance(answer, Meanings) and answer.request == command.request
        return answer


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture(scope="module")
def clip() -> CLIPModel:
    return make_clip()


@pytest.fixture(scope="module")
def file(clip: CLIPModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield str(write_clip(tmp_path_factory.mktemp("clips") / "whole.safetensors", clip))


def write_pictures(folder: Path, count: int = 3) -> tuple[str, ...]:
    sizes = [(28, 28), (56, 112), (64, 64)]
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (*sizes[number % 3][::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tuple(str(folder / f"{number}.png") for number in range(count))


def features(found: object) -> np.ndarray:
    vectors = found if isinstance(found, Tensor) else getattr(found, "pooler_output")  # noqa: B009 - of several versions
    assert isinstance(vectors, Tensor)
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def test_vectors_are_those_of_transformers(worker: Worker, clip: CLIPModel, file: str, tmp_path: Path) -> None:
    names = write_pictures(tmp_path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 50)
    seen = worker.ask(EncodePictures(request=1, encoder=file, files=(*names, str(broken), str(tmp_path / "gone.png"))))
    assert [len(one) for one in seen.blobs] == [96, 96, 96, 0, 0] and not seen.failure
    for name, vector in zip(names, seen.blobs, strict=False):
        with Image.open(name) as image:
            scale = SIDE / min(image.size)
            small = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None].float() / 255
        expected = features(clip.get_image_features(pixel_values=normalised(pixels, SIDE)))[0]
        assert np.abs(np.frombuffer(vector, np.float32) - expected).max() < 1e-4
    read = worker.ask(EncodeText(request=2, encoder=file, text="a red car"))
    ids = torch.tensor([[49406, *clip_tokenizer().encode("a red car"), 49407]])
    expected = features(clip.get_text_features(input_ids=ids))[0]
    assert np.abs(np.frombuffer(read.blobs[0], np.float32) - expected).max() < 1e-4


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are a thread's own on Linux alone")
def test_looking_has_the_lowest_priority_and_no_other_thread_with_it(file: str, tmp_path: Path) -> None:
    before, answers = os.getpriority(os.PRIO_PROCESS, 0), queue.SimpleQueue[Message]()
    known = set(threading.enumerate())
    looking = MeaningWorker(lambda: False, lambda event: answers.put(event), idly=True)
    looking.start()
    looking.ask(EncodePictures(request=1, encoder=file, files=write_pictures(tmp_path)))
    assert answers.get(timeout=60).blobs
    (thread,) = set(threading.enumerate()) - known
    assert thread.native_id is not None and os.getpriority(os.PRIO_PROCESS, thread.native_id) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_job_ends_the_looking_after_the_picture_under_way(worker: Worker, file: str, tmp_path: Path) -> None:
    names = write_pictures(tmp_path)
    worker.jobs = [False, False, True]
    assert len(worker.ask(EncodePictures(request=1, encoder=file, files=names)).blobs) == 2
    assert worker.ask(EncodePictures(request=2, encoder=file, files=names)).blobs == ()
    # A text is read all the same: somebody waits for it.
    assert len(worker.ask(EncodeText(request=3, encoder=file, text="a car")).blobs[0]) == 96


def test_a_file_of_no_use_is_named_and_the_next_question_answered(worker: Worker, file: str, tmp_path: Path) -> None:
    names = write_pictures(tmp_path, 1)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(file).read_bytes()[:-1000])
    assert "cut.safetensors" in worker.ask(EncodePictures(request=1, encoder=str(cut), files=names)).failure
    assert "cut.safetensors" in worker.ask(EncodeText(request=2, encoder=str(cut), text="a")).failure
    gone = worker.ask(EncodePictures(request=3, encoder=str(tmp_path / "gone.safetensors"), files=names))
    assert "gone.safetensors" in gone.failure and not gone.blobs
    assert worker.ask(EncodePictures(request=4, encoder=file, files=names)).blobs


def test_a_file_that_was_replaced_is_read_anew(worker: Worker, clip: CLIPModel, tmp_path: Path) -> None:
    names, path = write_pictures(tmp_path, 1), write_clip(tmp_path / "clip.safetensors", clip)
    before = worker.ask(EncodePictures(request=1, encoder=str(path), files=names)).blobs
    # Another length too: a clock may be too coarse to tell two moments.
    write_clip(path, make_clip(seed=6, width=32))
    after = worker.ask(EncodePictures(request=2, encoder=str(path), files=names)).blobs
    assert (len(before[0]), len(after[0])) == (96, 128)


def test_a_real_engine_starts_a_job_at_once(
    engine: RunningEngine, tiny: CheckpointFile, file: str, tmp_path: Path
) -> None:
    names = write_pictures(tmp_path)
    engine.send(EncodePictures(request=7, encoder=file, files=names * 300))
    engine.send(job(tiny, "between", steps=2))
    events = engine.until(JobFinished)
    # The job doesn't wait for the answer, which may come behind its end.
    if not any(isinstance(event, Meanings) for event in events):
        events += engine.until(Meanings)
    answers = [event for event in events if isinstance(event, Meanings)]
    assert len(answers) == 1 and len(answers[0].blobs) < 900
    # A job is there for a moment after its end was said.
    for request in range(8, 100):
        engine.send(EncodePictures(request=request, encoder=file, files=names))
        if (found := engine.until(Meanings)[-1]).blobs:
            break
    assert len(found.blobs) == 3
