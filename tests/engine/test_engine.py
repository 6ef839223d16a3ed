"""A real engine process: jobs, interrupts, bad files, and the end of the server."""

from __future__ import annotations

import hashlib
import io
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from modules.protocol import (
    CheckpointFailed,
    CheckpointLoaded,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    JobFinished,
    LoadCheckpoint,
    Notice,
    Preview,
    Skip,
    StepDone,
    UnloadCheckpoint,
)
from tests.amounts import some
from tests.checkpoints import Architecture, write_embedding, write_tiny_checkpoint
from tests.engine.conftest import RunningEngine, checkpoint_at, job

pytestmark = pytest.mark.server


def images_in(events: list[Any]) -> list[ImageReady]:
    return [event for event in events if isinstance(event, ImageReady)]


def test_a_job_gives_its_pictures_with_their_parameters_inside(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "a", n_iter=2, batch_size=2))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished)
    pictures = [event for event in images_in(events) if event.kind == "image"]
    assert [(picture.index, picture.seed) for picture in pictures] == [(0, 7), (1, 8), (2, 9), (3, 10)]
    for picture in pictures:
        image = Image.open(io.BytesIO(picture.blobs[0]))
        assert image.size == (64, 64)
        assert image.info["parameters"] == picture.infotext
        assert f"Seed: {picture.seed}" in picture.infotext
    assert [event.kind for event in images_in(events)][-1] == "grid"


def test_steps_are_reported_in_order_up_to_the_whole(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "steps", steps=5, n_iter=2))
    steps = [event for event in engine.until(JobFinished, JobFailed) if isinstance(event, StepDone)]
    fractions = [event.fraction for event in steps]
    assert fractions == sorted(fractions)
    assert [event.step for event in steps] == [1, 2, 3, 4, 5] * 2
    assert fractions[-1] == pytest.approx(1.0)


def test_steps_that_a_feature_takes_first_are_reported_among_those_of_the_pass(
    engine: RunningEngine, tiny: Any
) -> None:
    """Noise inversion of Tiled Diffusion: four steps back, then the picture's own, two pictures one after the other."""
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(picture, "PNG")
    inversion = {"enabled": True, "noise_inversion": True, "inversion_steps": 4}
    over: dict[str, Any] = {
        "mode": "img2img",
        "init_images": ("a",),
        "denoising_strength": 0.5,
        "steps": 4,
        "n_iter": 2,
    }
    command = job(tiny, "inverted", **over, scripts={"Tiled Diffusion": inversion})
    engine.send(command.model_copy(update={"inputs": ("a",), "blobs": (picture.getvalue(),)}))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    steps = [event for event in events if isinstance(event, StepDone)]
    own = steps[0].steps - 4
    assert own >= 2 and [event.step for event in steps] == [*range(1, own + 5)] * 2
    fractions = [event.fraction for event in steps]
    assert fractions == sorted(set(fractions)) and fractions[-1] == pytest.approx(1.0)


def previews_of(engine: Any, command: Any) -> list[tuple[Preview, Image.Image]]:
    engine.send(command)
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    return [(event, Image.open(io.BytesIO(event.blobs[0]))) for event in events if isinstance(event, Preview)]


@pytest.mark.long
@pytest.mark.parametrize("format_name", ["png", "jpeg", "webp"])
def test_previews_come_in_the_format_and_as_often_as_the_settings_say(
    engine: RunningEngine, tiny: Any, format_name: str
) -> None:
    pace = {"live_preview_refresh_period": 0, "show_progress_every_n_steps": 2}
    found = previews_of(
        engine, job(tiny, "preview", steps=5, options=pace | {"live_previews_image_format": format_name})
    )
    # Every second step, or later where the one before was still being made.
    shown = [0, *(event.step for event, _ in found)]
    assert shown[1] == 2
    assert all(after - before >= 2 for before, after in pairwise(shown))
    for event, image in found:
        assert (image.format, event.mime) == (format_name.upper(), f"image/{format_name}")


def test_previews_at_the_end_only_are_the_finished_picture(engine: RunningEngine, tiny: Any) -> None:
    options = {"live_preview_refresh_period": 0, "show_progress_every_n_steps": -1}
    ((event, image),) = previews_of(engine, job(tiny, "end", options=options))
    assert (event.step, image.size) == (4, (64, 64))


def test_full_previews_are_the_pictures_that_the_vae_makes(engine: RunningEngine, tiny: Any) -> None:
    options = {"live_preview_refresh_period": 0, "show_progress_every_n_steps": 1, "show_progress_type": "Full"}
    found = previews_of(engine, job(tiny, "full", options=options | {"live_preview_content": "Combined"}))
    assert found
    assert {image.size for _, image in found} == {(512, 512)}  # 64 x 64 enlarged, as small pictures are


def test_a_missing_tiny_autoencoder_is_reported_and_the_vae_is_used(engine: RunningEngine, tiny: Any) -> None:
    options = {"sd_vae_decode_method": "TAESD", "show_progress_type": "TAESD"}
    (plain,) = picture_events(engine, job(tiny, "plain"))
    engine.send(job(tiny, "missing", options=options))
    events = engine.until(JobFinished, JobFailed)
    (made,) = images_in(events)
    assert "taesd_decoder.pth" in " ".join(events[-1].notices)
    assert Image.open(io.BytesIO(made.blobs[0])).tobytes() == Image.open(io.BytesIO(plain.blobs[0])).tobytes()
    assert "VAE Decoder" not in made.infotext


def test_a_quick_interrupt_returns_what_previews_show(engine: RunningEngine, tiny: Any) -> None:
    common = {"save_incomplete_images": True, "live_previews_enable": False}
    for quick in (False, True):
        options = common | {"live_preview_fast_interrupt": quick, "show_progress_type": "Approx cheap"}
        engine.send(job(tiny, f"quick{quick}", steps=150, options=options))
        engine.until(StepDone)
        engine.send(Interrupt(job_id=f"quick{quick}"))
        (picture,) = images_in(engine.until(JobFinished))
        image = Image.open(io.BytesIO(picture.blobs[0]))
        assert image.size == (64, 64)
        # A corner of one latent cell, enlarged from cells, is of one colour.
        assert (len(image.crop((0, 0, 4, 4)).getcolors() or ()) == 1) == quick


def picture_events(engine: Any, command: Any) -> list[ImageReady]:
    engine.send(command)
    return images_in(engine.until(JobFinished))


def test_the_same_job_gives_the_same_bytes_alone_in_a_batch_and_after_a_restart(
    engine: RunningEngine, tiny: Any
) -> None:
    engine.send(job(tiny, "one", seed=8))
    alone = images_in(engine.until(JobFinished))[0].blobs[0]
    engine.send(job(tiny, "three", batch_size=3, options={"grid_save": False, "return_grid": False}))
    in_batch = images_in(engine.until(JobFinished))[1]
    assert Image.open(io.BytesIO(in_batch.blobs[0])).tobytes() == Image.open(io.BytesIO(alone)).tobytes()
    again = RunningEngine("--use-cpu", "all", "--no-half")
    again.send(job(tiny, "one", seed=8))
    assert images_in(again.until(JobFinished))[0].blobs[0] == alone
    again.end()


def test_pictures_that_are_done_are_not_made_again(engine: RunningEngine, tiny: Any) -> None:
    command = job(tiny, "rest", n_iter=3).model_copy(update={"done": (0, 1)})
    engine.send(command)
    events = engine.until(JobFinished)
    assert [event.index for event in images_in(events) if event.kind == "image"] == [2]


@pytest.mark.long
def test_a_grid_holds_the_pictures_of_an_earlier_run_too(engine: RunningEngine, tiny: Any, tmp_path: Path) -> None:
    whole = job(tiny, "whole", n_iter=4)
    engine.send(whole)
    first = images_in(engine.until(JobFinished))
    files = {event.index: tmp_path / f"{event.index}.png" for event in first[:2]}
    for event in first[:2]:
        files[event.index].write_bytes(event.blobs[0])
    saved = {index: str(file) for index, file in files.items()}
    rest = whole.model_copy(update={"done": (0, 1), "pictures": saved})
    engine.send(rest)
    second = images_in(engine.until(JobFinished))
    assert [event.index for event in second if event.kind == "image"] == [2, 3]
    assert second[-1].kind == "grid"
    assert second[-1].blobs == first[-1].blobs


@pytest.mark.long
def test_a_grid_above_the_largest_size_is_left_out_and_said(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "large", batch_size=5, width=512, height=512, steps=1, options={"img_max_size_mp": 1}))
    events = engine.until(JobFinished)
    assert [event.kind for event in images_in(events)] == ["image"] * 5
    assert "img_max_size_mp allows 1" in events[-1].notices[0]


def test_an_interrupt_ends_the_job_after_the_step_and_keeps_what_is_finished(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "long", steps=40, n_iter=3))
    seen = engine.until(ImageReady)
    engine.send(Interrupt(job_id="long"))
    events = seen + engine.until(JobFinished)
    assert events[-1].interrupted
    assert [event.index for event in images_in(events)] == [0]


def test_an_interrupt_before_the_first_step_is_not_lost(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "early", steps=1000, width=256, height=256))
    engine.until(StepDone)
    engine.send(Interrupt(job_id="early"))
    assert engine.until(JobFinished)[-1].interrupted


def test_a_skip_goes_on_with_the_next_picture(engine: RunningEngine, tiny: Any) -> None:
    engine.send(job(tiny, "skip", steps=40, n_iter=2))
    engine.until(StepDone)
    engine.send(Skip(job_id="skip"))
    events = engine.until(JobFinished)
    assert not events[-1].interrupted
    assert [event.index for event in images_in(events)] == [1]


def test_a_bad_checkpoint_is_one_sentence_and_the_next_job_works(
    engine: RunningEngine, tiny: Any, tmp_path: Path
) -> None:
    bad = tmp_path / "cut.safetensors"
    bad.write_bytes(b"\x10\x00\x00")
    engine.send(job(checkpoint_at(bad), "bad"))
    events = engine.until(JobFailed, JobFinished)
    assert isinstance(events[-1], JobFailed)
    assert any(isinstance(event, CheckpointFailed) for event in events)
    assert "cut.safetensors" in events[-1].cause
    assert "\n" not in events[-1].cause
    engine.send(job(tiny, "good"))
    assert isinstance(engine.until(JobFinished, JobFailed)[-1], JobFinished)


def test_a_checkpoint_that_cannot_be_loaded_on_its_own_is_said_so(engine: RunningEngine, tmp_path: Path) -> None:
    engine.send(LoadCheckpoint(checkpoint=checkpoint_at(tmp_path / "missing.safetensors")))
    assert "missing.safetensors" in engine.until(CheckpointFailed)[-1].cause


def test_unload_and_load_again(engine: RunningEngine, tiny: Any) -> None:
    engine.send(UnloadCheckpoint())
    engine.send(LoadCheckpoint(checkpoint=tiny))
    assert engine.until(CheckpointLoaded)[-1].title == "tiny.safetensors"


def test_a_checkpoint_without_size_says_none_and_one_with_size_says_it(engine: RunningEngine, tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "sized.safetensors", metadata={"modelspec.resolution": "128x192"})
    engine.send(LoadCheckpoint(checkpoint=checkpoint_at(path)))
    loaded = engine.until(CheckpointLoaded)[-1]
    assert (loaded.width, loaded.height) == (128, 192)


def test_the_engine_says_what_it_runs_on() -> None:
    running = RunningEngine("--use-cpu", "all")
    ready = running.until(EngineReady)[-1]
    assert ready.device == "cpu"
    assert "CPU" in ready.hardware
    running.end()
    assert running.process.returncode == 0


def test_the_engine_ends_when_the_server_is_gone(tiny: Any) -> None:
    running = RunningEngine("--use-cpu", "all", "--no-half")
    running.send(job(tiny, "long", steps=1000, width=256, height=256))
    running.until(StepDone)
    running.hang_up()
    running.process.wait(60)
    assert running.process.returncode not in (0, None)
    running.connection.close()


@pytest.mark.long
def test_textual_inversions_are_found_named_and_left_out_where_they_do_not_fit(tiny: Any, tmp_path: Path) -> None:
    running = RunningEngine("--use-cpu", "all", "--no-half", f"--embeddings-dir={tmp_path}")
    try:
        running.send(job(tiny, "before", prompt="a red ink circle"))
        before = running.until(JobFinished)
        write_embedding(tmp_path / "red ink.pt")
        write_embedding(tmp_path / "big.safetensors", width=768)
        running.send(job(tiny, "with", prompt="a (red ink:1.2) circle, big"))
        seen = running.until(JobFinished)
    finally:
        running.end()
    (plain,), (embedded,) = images_in(before), images_in(seen)
    assert "TI hashes" not in plain.infotext
    hash_of_file = hashlib.sha256((tmp_path / "red ink.pt").read_bytes()).hexdigest()[:12]
    assert f'TI hashes: "red ink: {hash_of_file}"' in embedded.infotext
    (notice,) = [event.text for event in seen if isinstance(event, Notice)]
    assert notice == "The embedding big is left out: it is for text encoders 768 wide, and this one is 64."


@pytest.mark.parametrize(
    ("options", "fields", "key", "written"),
    some(
        [
            ({"s_min_uncond": 3.0}, {"steps": 8}, "NGMS: 3", True),
            ({"s_min_uncond": 0.001}, {"steps": 8}, "NGMS", False),
            ({"skip_early_cond": 0.3}, {"steps": 8}, "Skip Early CFG: 0.3", True),
            ({"pad_cond_uncond": True}, {"negative_prompt": "blue BREAK dark"}, "Pad conds: True", True),
            ({"pad_cond_uncond": True}, {}, "Pad conds", False),
            ({"use_old_scheduling": True}, {"prompt": "a [red:blue:1.5] circle"}, "Old prompt editing timelines", True),
            (
                {"use_old_scheduling": True},
                {"prompt": "a [red:blue:0.5] circle"},
                "Old prompt editing timelines",
                False,
            ),
        ],
        3,
    ),
)
def test_what_acts_only_sometimes_is_recorded_only_then(
    engine: RunningEngine, tiny: Any, options: dict[str, Any], fields: dict[str, Any], key: str, written: bool
) -> None:
    engine.send(job(tiny, "effect", options=options, **fields))
    (picture,) = images_in(engine.until(JobFinished))
    assert (key in picture.infotext) is written


@pytest.mark.long
def test_merged_tokens_are_reported_where_the_model_has_any_to_merge(
    engine: RunningEngine, tiny: Any, tmp_path: Path
) -> None:
    coarse = Architecture(unet_attention=(False, True))
    without = checkpoint_at(write_tiny_checkpoint(tmp_path / "coarse.safetensors", architecture=coarse))
    for file, recorded in ((tiny, True), (without, False)):
        engine.send(job(file, "merging", options={"token_merging_ratio": 0.5}, enable_hr=True, hr_scale=1.5))
        (picture,) = images_in(engine.until(JobFinished))
        assert ("Token merging ratio: 0.5, Token merging ratio hr: 0.5" in picture.infotext) is recorded
        assert ("Token merging" in picture.infotext) is recorded


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="what glibc does")
def test_memory_that_was_kept_between_steps_goes_back_once_nothing_is_to_be_done(
    engine: RunningEngine, tiny: Any
) -> None:
    engine.send(job(tiny, "large", width=512, height=512, steps=1))
    engine.until(JobFinished, JobFailed)
    busy, waited = engine_memory(engine), time.monotonic()
    while engine_memory(engine) > busy - 20e6 and time.monotonic() < waited + 60:
        time.sleep(0.1)
    assert engine_memory(engine) <= busy - 20e6


def engine_memory(engine: RunningEngine) -> int:
    """Resident bytes of the engine."""
    return int(psutil.Process(engine.process.pid).memory_info().rss)
