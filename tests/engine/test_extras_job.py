"""Extras jobs in a real engine process: models from files, bad pictures, interrupts, and upscalers of the passes."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.parameters import resolve
from modules.parameters.extras_request import ExtrasRequest
from modules.parameters.request import extras_job
from modules.protocol import ImageReady, Interrupt, JobFailed, JobFinished, RunExtras, StepDone
from modules.upscaling.model import load_upscaler
from modules.upscaling.model_tiles import Tiling
from modules.upscaling.upscale import upscale
from tests.engine.conftest import RunningEngine, job
from tests.pictures.test_opening import header_only
from tests.upscaling.models import write_upscaler

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "models"
    write_upscaler(folder / "ESRGAN" / "2x_tiny.pth", "Compact", "params_ema")
    write_upscaler(folder / "RealESRGAN" / "RealESRGAN_x4plus.pth", "ESRGAN", "params")
    (folder / "ESRGAN" / "broken.pth").write_bytes(b"PK\x03\x04 no model")
    torch.save({"a": torch.zeros(3)}, folder / "ESRGAN" / "odd.pth")
    return folder


@pytest.fixture(scope="module")
def upscaling_engine(models: Path) -> Iterator[RunningEngine]:
    running = RunningEngine("--use-cpu", "all", "--no-half", "--data-dir", str(models.parent))
    yield running
    running.end()


def picture(path: Path, size: tuple[int, int] = (40, 24), **saving: Any) -> Path:
    noise = Image.effect_noise((size[0] // 2, size[1] // 2), 80).convert("RGB").resize(size)
    noise.save(path, **saving)
    return path


def extras(job_id: str, files: list[Path], options: dict[str, Any] | None = None, **given: object) -> RunExtras:
    request = extras_job(ExtrasRequest(paths=tuple(map(str, files)), names=tuple(p.name for p in files), **given))
    return RunExtras(
        job_id=job_id,
        resolved=resolve(request, options=options or {}, rng=random.Random(0)),
        files=tuple(map(str, files)),
    )


def worked(engine: RunningEngine, command: RunExtras) -> tuple[list[ImageReady], JobFinished | JobFailed]:
    engine.send(command)
    events = engine.until(JobFinished, JobFailed)
    fractions = [event.fraction for event in events if isinstance(event, StepDone)]
    assert fractions == sorted(fractions)
    return [event for event in events if isinstance(event, ImageReady)], events[-1]


def opened(event: ImageReady) -> Image.Image:
    image = Image.open(io.BytesIO(event.blobs[0]))
    image.load()
    return image


def test_a_picture_goes_through_a_model_and_keeps_its_parameters(
    upscaling_engine: RunningEngine, models: Path, tmp_path: Path
) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 40x24")
    source = picture(tmp_path / "cat.png", pnginfo=info)
    # By file name too, as another program may know it.
    (event,), end = worked(
        upscaling_engine, extras("one", [source], {"ESRGAN_tile": 32}, upscaler_1="2x_tiny", upscaling_resize=2)
    )
    assert isinstance(end, JobFinished) and not end.notices and not end.interrupted
    expected = upscale(
        Image.open(source), load_upscaler(models / "ESRGAN" / "2x_tiny.pth"), Tiling(32, 8), lambda *_: None
    )
    result = opened(event)
    assert result.size == (80, 48) and np.array_equal(np.asarray(result), np.asarray(expected))
    assert result.info["parameters"].endswith("Size: 40x24")
    assert result.info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: 2x_tiny"
    assert event.infotext.endswith("Size: 40x24, Postprocess upscale by: 2, Postprocess upscaler: 2x_tiny")


def test_two_models_and_a_size(upscaling_engine: RunningEngine, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "upscaler_1": "R-ESRGAN 4x+",
        "upscaler_2": "2x_tiny",
        "extras_upscaler_2_visibility": 0.5,
    }
    (event,), _ = worked(
        upscaling_engine,
        extras(
            "two", [picture(tmp_path / "a.png")], resize_mode=1, upscaling_resize_w=64, upscaling_resize_h=64, **given
        ),
    )
    assert opened(event).size == (64, 64)
    assert "Postprocess upscaler 2: 2x_tiny" in opened(event).info["postprocessing"]


def test_bad_files_are_named_and_the_others_go_on(upscaling_engine: RunningEngine, tmp_path: Path) -> None:
    good = [picture(tmp_path / f"good{n}.png") for n in range(2)]
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture(tmp_path / "whole.png", (200, 200)).read_bytes()[:5000])
    text, huge, gone = tmp_path / "text.png", tmp_path / "huge.png", tmp_path / "gone.png"
    text.write_text("no picture")
    huge.write_bytes(header_only(20_000, 20_000))
    files = [text, good[0], cut, huge, gone, good[1]]
    events, end = worked(upscaling_engine, extras("batch", files, upscaler_1="2x_tiny", upscaling_resize=2))
    assert [event.index for event in events] == [1, 5]
    assert isinstance(end, JobFinished)
    for name, words in (("text.png", "can't be read as a picture"), ("cut.png", "damaged or cut short"),
                        ("huge.png", "more than 64 megapixels"), ("gone.png", "can't be read")):  # fmt: skip
        assert any(notice.startswith(name) and words in notice for notice in end.notices), end.notices
    # What an engine before has delivered is not made again.
    rest = extras("batch", files, upscaler_1="Nearest").model_copy(update={"done": (1,)})
    assert [event.index for event in worked(upscaling_engine, rest)[0]] == [5]
    _, failed = worked(upscaling_engine, extras("bad", [text, cut]))
    assert isinstance(failed, JobFailed) and failed.cause.startswith("None of the 2 pictures could be used. text.png")


def test_pictures_of_every_form(upscaling_engine: RunningEngine, tmp_path: Path) -> None:
    files = [
        picture(tmp_path / "a.jpg"),
        tmp_path / "cmyk.jpg",
        tmp_path / "deep.png",
        tmp_path / "moving.webp",
        tmp_path / "turned.jpg",
        tmp_path / "clear.png",
        tmp_path / "dot.png",
    ]
    Image.new("CMYK", (40, 24), (0, 200, 200, 0)).save(files[1])
    Image.fromarray(np.full((24, 40), 40_000, np.uint16)).save(files[2])
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("red", "blue")]
    frames[0].save(files[3], save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 40), "red").save(files[4], exif=exif)
    Image.new("RGBA", (40, 24), (9, 9, 9, 0)).save(files[5])
    Image.new("L", (1, 1), 9).save(files[6])
    events, end = worked(upscaling_engine, extras("forms", files, upscaler_1="2x_tiny", upscaling_resize=2))
    assert isinstance(end, JobFinished) and not end.notices
    assert [opened(event).size for event in events] == [(80, 48)] * 6 + [(2, 2)]
    assert [opened(event).mode for event in events] == ["RGB"] * 5 + ["RGBA", "RGB"]


@pytest.mark.parametrize(
    ("upscaler", "words"),
    [
        ("Remacri", "'Remacri' is not here"),
        ("broken", "broken.pth is truncated"),
        ("odd", "odd.pth is not an upscaler"),
    ],
)
def test_an_upscaler_that_cannot_be_used_fails_the_job_with_a_sentence(
    upscaling_engine: RunningEngine, tmp_path: Path, upscaler: str, words: str
) -> None:
    files = [picture(tmp_path / "a.png"), picture(tmp_path / "b.png")]
    _, end = worked(upscaling_engine, extras("none", files, upscaler_1=upscaler))
    assert isinstance(end, JobFailed) and words in end.cause and "\n" not in end.cause


def test_an_interrupt_ends_between_two_tiles_and_keeps_what_is_finished(
    upscaling_engine: RunningEngine, tmp_path: Path
) -> None:
    files = [picture(tmp_path / "a.png", (32, 32)), picture(tmp_path / "b.png", (1600, 1600))]
    options = {"ESRGAN_tile": 16, "ESRGAN_tile_overlap": 0}
    upscaling_engine.send(extras("stop", files, options, upscaler_1="R-ESRGAN 4x+"))
    seen = upscaling_engine.until(ImageReady)
    seen += upscaling_engine.until(StepDone)
    upscaling_engine.send(Interrupt(job_id="stop"))
    events = upscaling_engine.until(JobFinished, JobFailed)
    assert events[-1].interrupted and not any(isinstance(event, ImageReady) for event in events)


@pytest.mark.long
def test_hires_and_img2img_use_the_same_upscalers(
    upscaling_engine: RunningEngine, models: Path, tiny: Any, tmp_path: Path
) -> None:
    hires: dict[str, Any] = {"enable_hr": True, "hr_upscaler": "2x_tiny", "denoising_strength": 0.0, "steps": 1}
    upscaling_engine.send(job(tiny, "hires", **hires))
    (event,) = [e for e in upscaling_engine.until(JobFinished, JobFailed) if isinstance(e, ImageReady)]
    assert opened(event).size == (128, 128) and "Hires upscaler: 2x_tiny" in event.infotext
    upscaling_engine.send(job(tiny, "plain", **(hires | {"hr_upscaler": "Lanczos"})))
    (plain,) = [e for e in upscaling_engine.until(JobFinished, JobFailed) if isinstance(e, ImageReady)]
    assert opened(plain).tobytes() != opened(event).tobytes()
    source = picture(tmp_path / "a.png", (64, 64))
    results = []
    for upscaler in ("2x_tiny", "None"):
        command = job(
            tiny, f"img2img-{upscaler}", mode="img2img", init_images=("a",), width=128, height=128, steps=1,
            denoising_strength=0.0, options={"upscaler_for_img2img": upscaler},
        )  # fmt: skip
        upscaling_engine.send(command.model_copy(update={"inputs": ("a",), "blobs": (source.read_bytes(),)}))
        results += [e for e in upscaling_engine.until(JobFinished, JobFailed) if isinstance(e, ImageReady)]
    assert len(results) == 2 and opened(results[0]).tobytes() != opened(results[1]).tobytes()
    upscaling_engine.send(job(tiny, "gone", **(hires | {"hr_upscaler": "Remacri"})))
    assert "'Remacri' is not here" in upscaling_engine.until(JobFinished, JobFailed)[-1].cause
