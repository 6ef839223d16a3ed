"""Jobs of several passes, or of a picture and a mask, in a real engine: what they give, and what beside it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from modules.protocol import (
    CheckpointFile,
    CheckpointLoaded,
    ImageReady,
    JobFailed,
    JobFinished,
    LoadCheckpoint,
    RunJob,
)
from modules.protocol.messages import Message
from tests.amounts import some
from tests.checkpoints import TINY_PLAYGROUND, TINY_REFINER, TINY_SDXL, Architecture, write_tiny_checkpoint
from tests.engine.conftest import RunningEngine, checkpoint_at, job

pytestmark = pytest.mark.server

SOFT = {"Soft Inpainting": {"enabled": True}}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFile:
    return checkpoint_at(write_tiny_checkpoint(tmp_path_factory.mktemp("other") / "other.safetensors", seed=5))


@pytest.fixture(scope="module", autouse=True)
def _loaded(engine: RunningEngine, tiny: CheckpointFile) -> None:
    engine.send(LoadCheckpoint(checkpoint=tiny))
    engine.until(CheckpointLoaded)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def picture(size: tuple[int, int] = (64, 64)) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels, "RGB")


def mask(size: tuple[int, int] = (64, 64)) -> Image.Image:
    drawn = Image.new("L", size, 0)
    ImageDraw.Draw(drawn).rectangle((24, 24, 47, 47), fill=255)
    return drawn


def inpainting(tiny: CheckpointFile, options: dict[str, Any] | None = None, **values: object) -> RunJob:
    command = job(
        tiny, "inpaint", options=options, mode="img2img", init_images=("picture",), mask="mask", mask_blur_x=2, **values
    )
    return command.model_copy(update={"inputs": ("picture", "mask"), "blobs": (png(picture()), png(mask()))})


def made(engine: RunningEngine, command: Message) -> dict[str, list[ImageReady]]:
    """The pictures of a job by kind."""
    engine.send(command)
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    found: dict[str, list[ImageReady]] = {}
    for event in events:
        if isinstance(event, ImageReady):
            found.setdefault(event.kind, []).append(event)
    return found


def opened(event: ImageReady) -> Image.Image:
    return Image.open(io.BytesIO(event.blobs[0]))


@pytest.mark.long
def test_a_hires_pass_from_the_finished_picture_gives_what_both_passes_give(
    engine: RunningEngine, tiny: CheckpointFile
) -> None:
    hires: dict[str, Any] = {
        "hr_upscaler": "Lanczos",
        "hr_scale": 1.5,
        "denoising_strength": 0.5,
        "hr_second_pass_steps": 3,
    }
    (both,) = made(engine, job(tiny, "both", enable_hr=True, **hires))["image"]
    (first,) = made(engine, job(tiny, "first"))["image"]
    command = job(tiny, "second", enable_hr=True, firstpass_image="first", **hires)
    command = command.model_copy(update={"inputs": ("first",), "blobs": (first.blobs[0],)})
    (second,) = made(engine, command)["image"]
    assert opened(second).size == (96, 96)
    assert opened(second).tobytes() == opened(both).tobytes()
    assert second.infotext == both.infotext


@pytest.mark.long
@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_the_picture_before_the_hires_pass_is_saved_on_request(
    engine: RunningEngine, tiny: CheckpointFile, upscaler: str
) -> None:
    fields: dict[str, Any] = {"enable_hr": True, "hr_upscaler": upscaler, "hr_scale": 1.5}
    found = made(engine, job(tiny, "before", options={"save_images_before_highres_fix": True}, **fields))
    (before,), (plain,) = found["before-highres-fix"], made(engine, job(tiny, "plain"))["image"]
    assert opened(before).tobytes() == opened(plain).tobytes()
    assert before.save
    assert "before-highres-fix" not in made(engine, job(tiny, "without", **fields))


@pytest.mark.parametrize("upscaler", some(["Latent", "Lanczos"], 1))
def test_a_hires_pass_with_another_checkpoint_switches_and_comes_back(
    engine: RunningEngine, tiny: CheckpointFile, other: CheckpointFile, upscaler: str
) -> None:
    fields: dict[str, Any] = {
        "enable_hr": True,
        "hr_upscaler": upscaler,
        "hr_scale": 1.5,
        "n_iter": 2,
        "hr_checkpoint_name": other.title,
    }
    engine.send(job(tiny, "two", **fields).model_copy(update={"hires_checkpoint": other}))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    titles = [event.title for event in events if isinstance(event, CheckpointLoaded)]
    assert titles in ([other.title, tiny.title, other.title], [tiny.title, other.title, tiny.title, other.title])
    pictures = [event for event in events if isinstance(event, ImageReady) and event.kind == "image"]
    same = made(engine, job(tiny, "same", **fields | {"hr_checkpoint_name": "Use same checkpoint"}))["image"]
    for switched, stayed in zip(pictures, same, strict=True):
        assert opened(switched).tobytes() != opened(stayed).tobytes()
        assert "Model: tiny" in switched.infotext and "Hires checkpoint: other" in switched.infotext
        assert "Hires checkpoint" not in stayed.infotext


@pytest.mark.long
def test_a_hires_checkpoint_whose_latents_turn_out_to_differ_is_refused_but_for_pixels(
    engine: RunningEngine, tiny: CheckpointFile, tmp_path: Path
) -> None:
    """The head of a pickle says nothing: its family is known once it is loaded. Playground 2.5 paints what it gets."""
    playground = checkpoint_at(write_tiny_checkpoint(tmp_path / "playground.ckpt", architecture=TINY_PLAYGROUND))
    fields: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "hr_checkpoint_name": playground.title}
    ends = {}
    for upscaler in ("Latent", "Lanczos"):
        wanted = job(tiny, upscaler, hr_upscaler=upscaler, **fields)
        engine.send(wanted.model_copy(update={"hires_checkpoint": playground}))
        ends[upscaler] = engine.until(JobFinished, JobFailed)
    failed = ends["Latent"][-1]
    assert isinstance(failed, JobFailed)
    assert "Playground 2.5 can't go on with latents of Stable Diffusion 1" in failed.cause and not failed.retry
    assert isinstance(ends["Lanczos"][-1], JobFinished), ends["Lanczos"][-1]


@pytest.mark.parametrize(
    "values",
    [{}, {"inpaint_full_res": True, "inpaint_full_res_padding": 4}, {"scripts": SOFT}, {"inpainting_fill": 2}],
    ids=str,
)
def test_no_bit_changes_where_the_blurred_mask_is_black(
    engine: RunningEngine, tiny: CheckpointFile, values: dict[str, Any]
) -> None:
    options = {"return_mask": True, "save_mask_composite": True}
    found = made(engine, inpainting(tiny, options, denoising_strength=1.0, **values))
    (result,), (shown,), (composite,) = found["image"], found["mask"], found["mask-composite"]
    unmasked = np.asarray(opened(shown).convert("L")) == 0
    assert unmasked.sum() > 1500
    assert (np.asarray(opened(result))[unmasked] == np.asarray(picture())[unmasked]).all()
    assert (np.asarray(opened(result))[36, 30:40] != np.asarray(picture())[36, 30:40]).any()
    # The mask is only shown, the composite also saved: transparent where the picture was kept.
    assert (shown.save, composite.save) == (False, True)
    assert opened(composite).mode == "RGBA"
    assert not np.asarray(opened(composite))[..., 3][unmasked].any()


def test_without_overlay_the_whole_result_is_the_models(engine: RunningEngine, tiny: CheckpointFile) -> None:
    (laid,) = made(engine, inpainting(tiny))["image"]
    (bare,) = made(engine, inpainting(tiny, {"overlay_inpaint": False}))["image"]
    assert (np.asarray(opened(bare))[:8, :8] != np.asarray(opened(laid))[:8, :8]).any()


def test_soft_inpainting_is_recorded_with_its_numbers_and_changes_the_picture(
    engine: RunningEngine, tiny: CheckpointFile
) -> None:
    (hard,), (soft,) = made(engine, inpainting(tiny))["image"], made(engine, inpainting(tiny, scripts=SOFT))["image"]
    assert opened(soft).tobytes() != opened(hard).tobytes()
    for entry in ("Soft inpainting enabled: True", "Soft inpainting schedule bias: 1", "contrast boost: 4"):
        assert entry in soft.infotext
    assert "Soft inpainting" not in hard.infotext


UPSCALE = {"enabled": True, "upscale_by": 2, "upscaler_1_name": "Lanczos"}


def test_extras_work_on_each_finished_picture_and_on_the_grid_of_them(
    engine: RunningEngine, tiny: CheckpointFile
) -> None:
    plain = made(engine, job(tiny, "plain", n_iter=2))
    larger = made(engine, job(tiny, "larger", n_iter=2, scripts={"Upscale": UPSCALE}))
    for before, after in zip(plain["image"], larger["image"], strict=True):
        wanted = opened(before).resize((128, 128), Image.Resampling.LANCZOS)
        assert opened(after).tobytes() == wanted.tobytes()
        entries = "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
        assert entries in after.infotext and "Size: 64x64" in after.infotext and "Postprocess" not in before.infotext
    assert opened(larger["grid"][0]).size == (256, 128)


def test_a_script_goes_on_from_the_picture_as_it_was_made(engine: RunningEngine, tiny: CheckpointFile) -> None:
    loops = {"Loopback": {"loops": 2}}
    command = job(tiny, "loop", mode="img2img", init_images=("picture",), scripts=loops | {"Upscale": UPSCALE})
    larger = made(engine, command.model_copy(update={"inputs": ("picture",), "blobs": (png(picture()),)}))["image"]
    command = job(tiny, "loop", mode="img2img", init_images=("picture",), scripts=loops)
    plain = made(engine, command.model_copy(update={"inputs": ("picture",), "blobs": (png(picture()),)}))["image"]
    for before, after in zip(plain, larger, strict=True):
        assert opened(after).tobytes() == opened(before).resize((128, 128), Image.Resampling.LANCZOS).tobytes()


def test_what_extras_cannot_do_leaves_the_picture_and_is_reported(engine: RunningEngine, tiny: CheckpointFile) -> None:
    scripts = {"Upscale": UPSCALE | {"upscaler_1_name": "Gone"}, "GFPGAN": {"enabled": True}}
    engine.send(job(tiny, "left", scripts=scripts))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    (made_anyway,) = [event for event in events if isinstance(event, ImageReady)]
    assert opened(made_anyway).size == (64, 64) and "Postprocess" not in made_anyway.infotext
    assert any(text.startswith("Upscaling was left out. ") and "Gone" in text for text in events[-1].notices)
    assert any(text.startswith("GFPGAN was left out. ") for text in events[-1].notices)


def test_colour_correction_keeps_a_copy_of_what_it_corrected(engine: RunningEngine, tiny: CheckpointFile) -> None:
    options = {"img2img_color_correction": True, "save_images_before_color_correction": True}
    found = made(engine, inpainting(tiny, options))
    (corrected,), (before,) = found["image"], found["before-color-correction"]
    (plain,) = made(engine, inpainting(tiny))["image"]
    assert opened(before).tobytes() == opened(plain).tobytes()
    assert opened(corrected).tobytes() != opened(plain).tobytes()


def test_the_input_is_kept_with_its_own_parameters_and_named_by_its_pixels(
    engine: RunningEngine, tiny: CheckpointFile
) -> None:
    found = made(engine, inpainting(tiny, {"save_init_img": True}))
    (saved,), (result,) = found["init"], found["image"]
    assert opened(saved).tobytes() == picture().tobytes()
    assert f"Init image hash: {hashlib.md5(picture().tobytes()).hexdigest()}" in result.infotext
    assert saved.infotext == ""


@pytest.mark.parametrize("channels", some([9, 8], 1))
def test_checkpoints_with_more_channels_make_pictures_of_every_kind(
    engine: RunningEngine, tmp_path: Path, channels: int
) -> None:
    file = write_tiny_checkpoint(tmp_path / f"{channels}.safetensors", architecture=Architecture(in_channels=channels))
    wide = checkpoint_at(file)
    (plain,) = made(engine, job(wide, "plain"))["image"]
    (latent,) = made(engine, job(wide, "latent", enable_hr=True, hr_scale=1.5))["image"]
    (pixels,) = made(
        engine,
        job(
            wide,
            "pixels",
            options={"inpainting_mask_weight": 0.5},
            enable_hr=True,
            hr_upscaler="Lanczos",
            hr_resize_x=96,
            hr_resize_y=64,
        ),
    )["image"]
    (painted,) = made(engine, inpainting(wide, image_cfg_scale=1.5))["image"]
    assert [opened(one).size for one in (plain, latent, pixels, painted)] == [(64, 64), (96, 96), (96, 64), (64, 64)]
    assert ("Conditional mask weight: 0.5" in pixels.infotext) == (channels == 9)
    assert ("Image CFG scale: 1.5" in painted.infotext) == (channels == 8)


@pytest.mark.parametrize("values", some([{"scripts": SOFT}, {"inpaint_full_res": True}], 1))
def test_several_pictures_are_a_batch_in_which_each_is_what_it_is_alone(
    engine: RunningEngine, tiny: CheckpointFile, values: dict[str, Any]
) -> None:
    blobs = {"one": png(picture()), "two": png(ImageOps.mirror(picture((96, 64)))), "mask": png(mask())}

    def command(*names: str, **more: Any) -> RunJob:
        several = job(tiny, "several", mode="img2img", init_images=names, mask="mask", **values, **more)
        return several.model_copy(update={"inputs": tuple(blobs), "blobs": tuple(blobs.values())})

    together = made(engine, command("one", "two", n_iter=2))["image"]
    assert len(together) == 4
    for number, name in ((1, "two"), (2, "one")):
        (alone,) = made(engine, command(name, seed=7 + number))["image"]
        assert opened(together[number]).tobytes() == opened(alone).tobytes()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[CheckpointFile, CheckpointFile]:
    """A tiny SDXL and its tiny refiner."""
    folder = tmp_path_factory.mktemp("pair")
    base = write_tiny_checkpoint(folder / "base.safetensors", architecture=TINY_SDXL)
    return checkpoint_at(base), checkpoint_at(
        write_tiny_checkpoint(folder / "refiner.safetensors", architecture=TINY_REFINER)
    )


def refined(pair: tuple[CheckpointFile, CheckpointFile], job_id: str, **values: object) -> RunJob:
    base, refiner = pair
    fields: dict[str, Any] = {"refiner_checkpoint": refiner.title, "refiner_switch_at": 0.5, "steps": 2, "cfg_scale": 1}
    return job(base, job_id, **fields | values).model_copy(update={"refiner_checkpoint": refiner})


def test_the_refiner_goes_on_with_every_picture_and_the_first_checkpoint_begins_the_next(
    engine: RunningEngine, pair: tuple[CheckpointFile, CheckpointFile]
) -> None:
    base, refiner = pair
    engine.send(refined(pair, "refined", n_iter=2))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    titles = [event.title for event in events if isinstance(event, CheckpointLoaded)]
    assert titles == [base.title, refiner.title, base.title, refiner.title]
    pictures = [event for event in events if isinstance(event, ImageReady) and event.kind == "image"]
    for event in pictures:
        assert "Model: base" in event.infotext and "Refiner: refiner, Refiner switch at: 0.5" in event.infotext
    (alone,) = made(engine, refined(pair, "never", refiner_switch_at=1.0))["image"]
    assert "efiner" not in alone.infotext
    assert opened(alone).tobytes() != opened(pictures[0]).tobytes()
    # The first of two is what it is by itself, the second as well.
    (second,) = made(engine, refined(pair, "second", seed=8))["image"]
    assert opened(second).tobytes() == opened(pictures[1]).tobytes()


@pytest.mark.long
def test_with_a_hires_pass_the_refiner_works_in_the_pass_that_a_setting_names(
    engine: RunningEngine, pair: tuple[CheckpointFile, CheckpointFile]
) -> None:
    base, refiner = pair
    hires: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "refiner_switch_at": 0.1, "denoising_strength": 0.9}
    orders = {
        "second pass": [base.title, refiner.title],
        "first pass": [base.title, refiner.title, base.title],
        "both passes": [base.title, refiner.title, base.title, refiner.title],
    }
    for which, order in orders.items():
        # A job of the refiner alone leaves it loaded: what the next one loads is all said.
        made(engine, job(refiner, f"before {which}", steps=1))
        engine.send(refined(pair, which, **hires, options={"hires_fix_refiner_pass": which}))
        events = engine.until(JobFinished, JobFailed)
        assert isinstance(events[-1], JobFinished), events[-1]
        assert [event.title for event in events if isinstance(event, CheckpointLoaded)] == order
        (picture,) = (event for event in events if isinstance(event, ImageReady))
        assert (f"Hires refiner: {which}" in picture.infotext) == (which != "second pass")


@pytest.mark.long
def test_a_refiner_of_other_latents_ends_the_job_with_a_sentence_and_the_next_one_runs(
    engine: RunningEngine, tiny: CheckpointFile, pair: tuple[CheckpointFile, CheckpointFile]
) -> None:
    engine.send(refined(pair, "odd").model_copy(update={"refiner_checkpoint": tiny}))
    failed = engine.until(JobFinished, JobFailed)[-1]
    assert isinstance(failed, JobFailed) and "their latents differ" in failed.cause
    assert made(engine, job(pair[0], "after", steps=1))["image"]
