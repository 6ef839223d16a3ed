"""Pictures that are decoded beside the next batch's steps: the same bytes in the same order, each once, whatever ends
the job.

No card is at hand: a stand-in for its stream says when its work is over as a test wants it, late or in any order.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image, ImageDraw

from modules.catalogue import ModelFolders
from modules.engine import job_models
from modules.engine import work as work_module
from modules.engine.control import JobControl, StopLevel
from modules.engine.decode_queue import DecodeQueue
from modules.engine.face_restoration import FaceRestoration
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.job_models import JobModels
from modules.engine.model_keeper import ModelKeeper
from modules.engine.upscalers import UpscalerKeeper
from modules.generation.codec import Codec, vae_retries
from modules.generation.decoding import VaeOverflow, decode_latent, to_image
from modules.generation.txt2img import txt2img
from modules.hardware.budget import MemoryPlan
from modules.hardware.streams import SingleStream, StreamEvent
from modules.parameters.job_options import VaeOptions
from modules.protocol import CheckpointFile, ImageReady, JobFinished, RunJob, StepDone
from modules.settings import Paths, parse_flags
from modules.settings.groups import read_options
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import CPU, Line, OnCard


@dataclass
class Moment:
    """The end of one decode: over after it was polled `late` times, or once somebody waits for it.

    What was fetched arrives then and not before: until then it is a white picture that claims to be a good one.
    """

    late: float
    fetched: list[tuple[torch.Tensor, torch.Tensor]]
    waited: bool = False

    def query(self) -> bool:
        self.late -= 1
        if self.late < 0:
            self._arrive()
        return self.late < 0

    def synchronize(self) -> None:
        self.waited = True
        self._arrive()

    def _arrive(self) -> None:
        for there, tensor in self.fetched:
            there.copy_(tensor)
        self.fetched.clear()


@dataclass
class LateStreams(SingleStream):
    """A second stream, whose work is over later: each decode as late as `late` says of its number."""

    late: Callable[[int], float]
    moments: list[Moment] = field(default_factory=list)
    fetched: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def fetch(self, tensor: torch.Tensor) -> torch.Tensor:
        there = torch.full_like(tensor, True if tensor.dtype == torch.bool else 255)
        self.fetched.append((there, tensor))
        return there

    def side_event(self) -> StreamEvent:
        self.moments.append(Moment(self.late(len(self.moments)), self.fetched))
        self.fetched = []
        return self.moments[-1]  # type: ignore[return-value]  # a fake of torch's event


NEVER = float("inf")
LATENESS: dict[str, Callable[[int], float]] = {
    "at once": lambda number: 0,
    "two steps later": lambda number: 2,
    "only when waited for": lambda number: NEVER,
    "the first one last": lambda number: 6 - 3 * number,
    "now and then": lambda number: (number * 7) % 5,
}


# The queue by itself.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    return load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


def work_of(model: Any, codec: Codec | None = None) -> SimpleNamespace:
    return SimpleNamespace(pipeline=SimpleNamespace(model=model, codec=codec or Codec()))


def latents(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(3))


class Delivered(list[tuple[int, bytes]]):
    def __call__(self, picture: Image.Image, index: int, batch: int) -> None:
        self.append((index, picture.tobytes()))

    @property
    def indexes(self) -> list[int]:
        return [index for index, _ in self]


@pytest.mark.parametrize("tiny", [False, True], ids=["VAE", "tiny decoder"])
@pytest.mark.parametrize("late", LATENESS.values(), ids=LATENESS)
def test_the_queue_gives_each_picture_once_and_in_order(model: Any, late: Any, tiny: bool) -> None:
    codec = Codec(decoder=AutoencoderTiny().decoder if tiny else None)
    plain, beside = Delivered(), Delivered()
    with DecodeQueue(work_of(model, codec), None, plain) as queue:
        for index, latent in enumerate(latents()):
            queue.add(latent, index, 0)
            assert plain.indexes == list(range(index + 1))  # without streams nothing is ever under way
    with DecodeQueue(work_of(model, codec), LateStreams(late), beside) as queue:
        for index, latent in enumerate(latents()):
            queue.add(latent, index, 0)
            queue.take_up()
    assert beside == plain
    assert beside.indexes == [0, 1, 2]


def test_nothing_is_taken_before_it_is_over_nor_before_what_came_first(model: Any) -> None:
    streams, seen = LateStreams(lambda number: (NEVER, 0, 1)[number]), Delivered()
    with DecodeQueue(work_of(model), streams, seen) as queue:
        for index, latent in enumerate(latents()):
            queue.add(latent, index, 0)
        queue.take_up()
        assert seen == []  # the second one is over, the first is not
        streams.moments[0].late = 0
        queue.take_up()
        assert seen.indexes == [0, 1]
        assert not any(moment.waited for moment in streams.moments)
    assert seen.indexes == [0, 1, 2]


def test_what_is_under_way_is_delivered_whatever_goes_wrong_meanwhile(model: Any) -> None:
    seen = Delivered()
    queue = DecodeQueue(work_of(model), LateStreams(lambda _: NEVER), seen)
    with pytest.raises(torch.OutOfMemoryError, match="steps"), queue:
        queue.add(latents()[0], 0, 0)
        queue.add(latents()[1], 1, 0)
        raise torch.OutOfMemoryError("in the next batch's steps")
    assert seen.indexes == [0, 1]


@pytest.mark.parametrize("broken", [0, 1])
def test_running_out_of_memory_is_not_hidden_by_a_picture_that_cannot_be_decoded(half: Any, broken: int) -> None:
    seen = Delivered()
    queue = DecodeQueue(work_of(half), LateStreams(lambda _: NEVER), seen)
    with pytest.raises(torch.OutOfMemoryError, match="steps"), queue:
        for index, latent in enumerate(latents(2)):
            queue.add(torch.full_like(latent, torch.nan) if index == broken else latent, index, 0)
        raise torch.OutOfMemoryError("in the next batch's steps")
    assert seen.indexes == [1 - broken]


@pytest.fixture
def half(model: Any) -> Any:
    """A VAE of 16 bits, in which latents of 1e5 come out as NaN."""
    return SimpleNamespace(vae=copy.deepcopy(model.vae).half(), latent_scaling=LatentScaling(1.0))


TOO_LARGE = torch.full((4, 8, 8), 1e5)


@pytest.mark.parametrize(
    "options",
    some([{}, {"auto_vae_precision_bfloat16": True, "auto_vae_precision": False}], 1),
    ids=some(["fp32", "bf16"], 1),
)
def test_a_picture_of_nan_is_decoded_again_in_its_place(half: Any, options: dict[str, Any]) -> None:
    retries, seen = vae_retries(read_options(VaeOptions, options)), Delivered()
    plain = [
        to_image(decode_latent(half.vae, one, LatentScaling(1.0), retries)).tobytes()
        for one in (TOO_LARGE, latents()[0])
    ]
    with DecodeQueue(work_of(half, Codec(retries)), LateStreams(lambda number: 2 * number), seen) as queue:
        queue.add(TOO_LARGE, 0, 0)
        queue.add(latents()[0], 1, 0)
        queue.take_up()
    assert seen == [(0, plain[0]), (1, plain[1])]
    assert half.vae.dtype == torch.float16


@pytest.mark.long
def test_what_is_no_picture_in_any_type_ends_the_job_and_the_others_are_delivered(half: Any) -> None:
    seen = Delivered()
    broken = torch.full((4, 8, 8), torch.nan)
    queue = DecodeQueue(work_of(half), LateStreams(lambda _: 2), seen)
    with pytest.raises(VaeOverflow, match="even at full precision"), queue:
        for index, latent in enumerate((latents()[0], broken, latents()[1])):
            queue.add(latent, index, 0)
        for _ in range(9):
            queue.take_up()
    assert seen.indexes == [0, 2]


def test_a_quick_decode_waits_for_those_before_it(model: Any) -> None:
    codec, seen = Codec(), Delivered()
    with DecodeQueue(work_of(model, codec), LateStreams(lambda _: NEVER), seen) as queue:
        queue.add(latents()[0], 0, 0)
        codec.quick = lambda latent: torch.zeros(1, 3, 64, 64)
        queue.add(latents()[1], 1, 0)
        assert seen.indexes == [0, 1]
        assert set(seen[1][1]) == {0}


# Whole jobs.


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return checkpoint_at(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


@pytest.fixture(scope="module")
def keeper() -> ModelKeeper:
    return ModelKeeper(CPU, Line().emit)


def upscalers() -> UpscalerKeeper:
    return UpscalerKeeper(CPU, ModelFolders.from_paths(Paths.from_flags(parse_flags([], {}))))


Made = list[tuple[str, int, bytes, str]]


def made(keeper: ModelKeeper, command: Any, control: JobControl | None = None, emit: Any = None) -> Made:
    """What a job sends, in that order."""
    line = Line()
    keeper._emit = line.emit
    control = control or JobControl()

    def tell(event: Any) -> None:
        line.emit(event)
        if emit is not None:
            emit(event)

    with FinishedPictures() as pictures:
        run_job(command, keeper, upscalers(), control, CPU, tell, pictures)
    assert isinstance(line.events[-1], JobFinished)
    return [(event.kind, event.index, event.blobs[0], event.infotext) for event in line.of(ImageReady)]


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def inpainting(checkpoint: Any, **values: Any) -> Any:
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((24, 24, 47, 47), fill=255)
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    options = {"img2img_color_correction": True, "save_mask": True, "return_mask": True, "save_mask_composite": True}
    command = job(
        checkpoint,
        "inpaint",
        options=options,
        mode="img2img",
        init_images=("picture",),
        mask="mask",
        steps=4,
        **values,
    )
    return command.model_copy(update={"inputs": ("picture", "mask"), "blobs": (png(picture), png(mask))})


HIRES: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
JOBS: dict[str, Callable[[CheckpointFile], RunJob]] = {
    "txt2img": lambda file: job(file, "a", n_iter=3, steps=3),
    "hires": lambda file: job(
        file, "a", n_iter=2, batch_size=2, steps=2, options={"save_images_before_highres_fix": True}, **HIRES
    ),
    "inpainting": lambda file: inpainting(file, n_iter=2, batch_size=2),
    "soft inpainting": lambda file: inpainting(file, n_iter=2, scripts={"Soft Inpainting": {"enabled": True}}),
    "finished previews": lambda file: job(file, "a", n_iter=2, options={"show_progress_every_n_steps": -1}),
    "some are done": lambda file: job(file, "a", n_iter=3).model_copy(update={"done": (1,)}),
}


@pytest.mark.parametrize("kind", some(JOBS, 1))
def test_a_job_sends_the_same_bytes_in_the_same_order(
    keeper: ModelKeeper, checkpoint: Any, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    command = JOBS[kind](checkpoint)
    plain = made(keeper, command)
    assert len([one for one in plain if one[0] == "image"]) > 1
    for late in LATENESS.values():
        monkeypatch.setattr(JobModels, "side_streams", lambda self, late=late: LateStreams(late))
        assert made(keeper, command) == plain


def test_a_picture_is_delivered_while_the_next_batch_is_made(
    keeper: ModelKeeper, checkpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over when the second batch has done its second step: taken up there, and nobody waited."""
    streams = LateStreams(lambda number: 1 if number == 0 else NEVER)
    monkeypatch.setattr(JobModels, "side_streams", lambda self: streams)
    said: list[str] = []
    real = DecodeQueue._take

    def take(self: DecodeQueue, one: Any) -> None:
        said.append(f"picture {one.index}")
        real(self, one)

    monkeypatch.setattr(DecodeQueue, "_take", take)

    def emit(event: Any) -> None:
        if isinstance(event, StepDone):
            said.append(f"step {event.step} of {event.batch}")

    made(keeper, job(checkpoint, "a", n_iter=2, steps=3), emit=emit)
    assert said[3:] == ["step 1 of 1", "step 2 of 1", "picture 0", "step 3 of 1", "picture 1"]
    assert [moment.waited for moment in streams.moments] == [False, True]


@pytest.mark.parametrize("level", [StopLevel.STOP, StopLevel.SKIP, StopLevel.STOP_AFTER_BATCH])
@pytest.mark.parametrize("incomplete", some([True, False], 1))
def test_an_interrupted_job_sends_what_it_would_have_sent(
    keeper: ModelKeeper, checkpoint: Any, monkeypatch: pytest.MonkeyPatch, level: Any, incomplete: bool
) -> None:
    command = job(checkpoint, "a", n_iter=3, steps=3, options={"save_incomplete_images": incomplete})

    def stopped_in_the_second_batch() -> Made:
        control = JobControl()

        def emit(event: Any) -> None:
            if isinstance(event, StepDone) and (event.batch, event.step) == (1, 2):
                control.request(level)

        return made(keeper, command, control, emit)

    plain = stopped_in_the_second_batch()
    monkeypatch.setattr(JobModels, "side_streams", lambda self: LateStreams(lambda number: NEVER))
    assert stopped_in_the_second_batch() == plain
    expected = {StopLevel.STOP: [0, 1], StopLevel.SKIP: [0, 1, 2], StopLevel.STOP_AFTER_BATCH: [0, 1]}[level]
    if not incomplete and level is not StopLevel.STOP_AFTER_BATCH:
        expected.remove(1)
    assert [index for kind, index, *_ in plain if kind == "image"] == expected


@pytest.mark.long
def test_memory_that_runs_out_in_the_next_batch_costs_no_picture(
    checkpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first picture is still under way then: it is delivered, and the rest of the job does not make it again."""
    line = Line()
    engine = OnCard(line)
    monkeypatch.setattr(ModelKeeper, "step_down", lambda self: "medvram")
    monkeypatch.setattr(JobModels, "side_streams", lambda self: LateStreams(lambda number: NEVER))
    begun: list[range] = []
    real = txt2img

    def runs_out_once(engine: Any, resolved: Any, images: Any, progress: Any) -> Any:
        begun.append(images)
        if len(begun) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(engine, resolved, images, progress)

    monkeypatch.setattr(work_module, "txt2img", runs_out_once)
    engine._run(job(checkpoint, "a", n_iter=3, steps=2), JobControl())
    assert [images.start for images in begun] == [0, 1, 1, 2]
    assert [event.index for event in line.of(ImageReady) if event.kind == "image"] == [0, 1, 2]
    assert "--medvram" in line.of(JobFinished)[-1].notices[0]


@pytest.mark.long
def test_pictures_stay_in_line_where_they_need_what_the_next_batch_needs(
    keeper: ModelKeeper, checkpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A face restorer computes on the device and another checkpoint replaces the VAE: no second stream is requested."""
    requested: list[str] = []
    monkeypatch.setattr(JobModels, "side_streams", lambda self: requested.append("streams"))
    made(keeper, job(checkpoint, "a"))
    assert requested == ["streams"]
    other = job(checkpoint, "a", hr_checkpoint_name="b", **HIRES)
    made(keeper, other.model_copy(update={"hires_checkpoint": checkpoint}))
    threads: list[str] = []

    def restore(image: Image.Image) -> Image.Image:
        threads.append(threading.current_thread().name)
        return image

    monkeypatch.setattr(
        work_module, "face_restoration_for", lambda resolved, faces: FaceRestoration("CodeFormer", restore)
    )
    made(keeper, job(checkpoint, "a"))
    assert requested == ["streams"]
    assert threads == [threading.main_thread().name]


@pytest.mark.parametrize(
    ("device", "plan", "beside"),
    [
        ("cuda", MemoryPlan("full", "", decodes_alongside=True), True),
        ("cuda", MemoryPlan("full", "", decodes_alongside=False), False),
        ("cuda", None, False),
        ("cpu", MemoryPlan("full", "", decodes_alongside=True), False),
    ],
)
def test_streams_are_for_a_card_with_room_for_both(
    checkpoint: Any, monkeypatch: pytest.MonkeyPatch, device: str, plan: Any, beside: bool
) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    keeper.placement.plan = plan
    streams = LateStreams(lambda _: 0)
    monkeypatch.setattr(job_models, "streams_for", lambda device: streams)
    hardware = replace(CPU, device=torch.device(device))
    found = JobModels(keeper, hardware, job(checkpoint, "a").resolved).side_streams()
    assert found is (streams if beside else None)
