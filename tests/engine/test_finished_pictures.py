"""A job's finished pictures take a bounded part of memory, however many there are."""

from __future__ import annotations

import gc
import io
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.catalogue import ModelFolders
from modules.engine import finished_pictures, picture_writer
from modules.engine.control import JobControl
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.engine.picture_writer import PictureWriter, size_in_bytes
from modules.engine.upscalers import UpscalerKeeper
from modules.generation.finishing import Finished
from modules.parameters.output_options import GridOptions, ImageFileOptions
from modules.pictures import encode_animation, encode_picture
from modules.pictures.grids import image_grid
from modules.protocol import ImageReady, JobFinished, RunJob
from modules.settings import Paths, parse_flags
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import CPU, Line


def noise(seed: int, mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((32, 32), 10 + seed).convert(mode)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_pictures_come_back_as_they_were_given(tmp_path: Path) -> None:
    made = [noise(seed, mode) for seed, mode in enumerate(("RGB", "RGBA", "L", "RGB"))]
    (tmp_path / "saved.png").write_bytes(png(made[3]))
    with FinishedPictures({3: str(tmp_path / "saved.png")}) as pictures:
        pictures.add(0, made[0])
        pictures.add(2, made[2], png(made[2]))
        assert pictures.first(4) is None  # the second is missing
        pictures.add(1, made[1])
        found = pictures.first(4)
        assert found is not None
        assert [one.tobytes() for one in found] == [one.tobytes() for one in made]
        assert [one.tobytes() for one in found[1::2]] == [made[1].tobytes(), made[3].tobytes()]
        assert image_grid(found, 2, GridOptions()).tobytes() == image_grid(made, 2, GridOptions()).tobytes()
        (tmp_path / "saved.png").unlink()
        assert pictures.first(4) is None and pictures.open(3) is None


def test_what_is_more_than_memory_may_hold_lies_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_pictures, "MEMORY_BYTES", 5_000)
    with FinishedPictures() as pictures:
        made = [noise(index) for index in range(20)]
        for index, picture in enumerate(made):
            pictures.add(index, picture)
        assert pictures.size > 5_000
        assert pictures._file._rolled  # type: ignore[attr-defined]  # private to tempfile
        found = pictures.first(20)
        assert found is not None
        assert [one.tobytes() for one in found] == [one.tobytes() for one in made]


def test_a_full_disk_costs_the_grid_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with FinishedPictures() as pictures:

        def full(data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pictures._file, "write", full)
        pictures.add(0, noise(0))
        assert pictures.first(1) is None
        assert pictures.trouble == "Nothing was made of all the pictures together: No space left on device."


def test_an_animation_decodes_one_frame_at_a_time() -> None:
    frames = [Image.new("RGB", (16, 16), (60 * index, 0, 255 - 60 * index)) for index in range(4)]
    options = ImageFileOptions(webp_lossless=True)
    whole, _ = encode_animation([*frames, *frames[-2:0:-1]], options, None, per_second=10)
    alive: list[weakref.ref[Image.Image]] = []
    most = 0

    class Opened(list[bytes]):
        def __getitem__(self, place: Any) -> Any:
            nonlocal most
            picture = Image.open(io.BytesIO(super().__getitem__(place)))
            alive.append(weakref.ref(picture))
            most = max(most, sum(one() is not None for one in alive))
            return picture

        def __iter__(self) -> Any:
            return (self[place] for place in range(len(self)))

    encoded, extension = encode_animation(
        Opened(png(one) for one in frames),  # type: ignore[arg-type]  # a fake of a list stands in
        options,
        None,
        per_second=10,
        and_back=True,
    )
    assert extension == "webp" and encoded == whole
    animation = Image.open(io.BytesIO(encoded))
    assert getattr(animation, "n_frames", 1) == 6
    assert most <= 2


def upscalers() -> UpscalerKeeper:
    return UpscalerKeeper(CPU, ModelFolders.from_paths(Paths.from_flags(parse_flags([], {}))))


def loopback(file: Path) -> RunJob:
    script: dict[str, Any] = {"scripts": {"Loopback": {"loops": 3}}}
    source: dict[str, Any] = {"mode": "img2img", "init_images": ("picture",), "denoising_strength": 0.5}
    command = job(checkpoint_at(file), "a", n_iter=2, **source, **script)
    seeds = {"seeds": tuple(range(7, 13)), "subseeds": (0,) * 6}
    command = command.model_copy(update={"resolved": command.resolved.model_copy(update=seeds)})
    return command.model_copy(update={"inputs": ("picture",), "blobs": (png(Image.new("RGB", (64, 64), "red")),)})


@pytest.mark.parametrize("script", some([False, True], 1))
def test_no_finished_picture_stays_decoded_while_a_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: bool
) -> None:
    """At each picture that is encoded, at most the one before it is still there."""
    file = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    command = loopback(file) if script else job(checkpoint_at(file), "a", n_iter=6)
    seen: list[weakref.ref[Image.Image]] = []
    alive: list[int] = []
    real = encode_picture

    def watched(image: Any, options: Any, infotext: Any, **more: Any) -> Any:
        gc.collect()
        if not more.get("grid"):
            seen.append(weakref.ref(image))
            alive.append(sum(one() is not None for one in seen))
        return real(image, options, infotext, **more)

    monkeypatch.setattr(picture_writer, "encode_picture", watched)
    line = Line()
    with FinishedPictures() as pictures:
        run_job(command, ModelKeeper(CPU, line.emit), upscalers(), JobControl(), CPU, line.emit, pictures)
    assert isinstance(line.events[-1], JobFinished)
    assert [event.kind for event in line.of(ImageReady)] == [*["image"] * 6, "grid"]
    assert len(alive) == 6 and max(alive) <= 3


def test_pictures_that_wait_for_being_encoded_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(0)
    monkeypatch.setattr(picture_writer, "WAITING_BYTES", 3 * size_in_bytes(picture))
    line, waiting, most = Line(), 0, 0

    def finish() -> Finished:
        nonlocal waiting
        time.sleep(0.01)
        waiting -= 1
        return Finished(picture, {})

    command = job(checkpoint_at(Path("none.safetensors")), "a", n_iter=12)
    with PictureWriter("a", command.resolved, lambda index: {}, line.emit) as writer:
        for index in range(12):
            writer.finished(finish, index, size=size_in_bytes(picture))
            waiting += 1
            most = max(most, waiting)
    assert [event.index for event in line.of(ImageReady)] == list(range(12))
    assert 2 <= most <= 3


def test_a_picture_that_fails_is_heard_of_at_the_next_one_and_not_at_the_end_of_the_job() -> None:
    def broken() -> Finished:
        raise ValueError("no picture")

    command = job(checkpoint_at(Path("none.safetensors")), "a", n_iter=2)
    with (
        pytest.raises(ValueError, match="no picture"),
        PictureWriter("a", command.resolved, lambda index: {}, Line().emit) as writer,
    ):
        writer.finished(broken, 0, size=0)
        while not writer._pending[0][0].done():
            time.sleep(0.001)
        writer.finished(broken, 1, size=0)
        pytest.fail("nothing was said")
