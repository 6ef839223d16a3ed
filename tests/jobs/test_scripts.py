"""Scripts from the queue to the pictures on disk, with a real engine and a toy checkpoint."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.jobs import Job, SavedImage
from modules.jobs.services import Services, open_services
from modules.parameters import RequestError, parse_infotext, parse_request
from modules.settings import parse_flags
from tests.amounts import amount, some
from tests.checkpoints import (
    TINY_COSXL,
    TINY_PLAYGROUND,
    TINY_REFINER,
    TINY_SD2,
    TINY_SDXL,
    write_tiny_checkpoint,
)
from tests.features.detail.planted import plant
from tests.jobs.helpers import eventually, present

pytestmark = pytest.mark.server
STARTED = 180.0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models" / "Stable-Diffusion"
    models.mkdir(parents=True)
    write_tiny_checkpoint(models / "tiny.safetensors")
    write_tiny_checkpoint(models / "other.safetensors", seed=1)
    services = open_services(parse_flags(["--data-dir", str(folder), "--use-cpu", "all", "--no-half"], {}))
    services.options.update({"sd_model_checkpoint": "tiny.safetensors", "randn_source": "CPU"})
    yield services
    services.close()


def picture(width: int = 64, height: int = 64, seed: int = 3) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels, "RGB").resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make(services: Services, *pictures: bytes, script: str = "", arguments: Any = None, **values: Any) -> Job:
    defaults = {"prompt": "a red circle", "steps": 4, "width": 64, "height": 64, "sampler_name": "Euler", "seed": 7}
    start = {"mode": "img2img", "init_images": tuple(map(str, range(len(pictures))))} if pictures else {}
    scripts = {script: arguments or {}} if script else {}
    request = parse_request({**defaults, **start, "scripts": scripts, **values})
    return services.jobs.submit(request, inputs={str(number): data for number, data in enumerate(pictures)})


def made(services: Services, *pictures: bytes, **values: Any) -> Job:
    job = services.jobs.wait(make(services, *pictures, **values).id, STARTED)
    assert (job.state, job.cause) == ("finished", None)
    return job


def images(job: Job, kind: str = "image") -> list[Image.Image]:
    return [opened_image(image.path) for image in in_order(job, kind)]


def in_order(job: Job, kind: str = "image") -> list[SavedImage]:
    return sorted((image for image in job.images if image.kind == kind), key=lambda image: image.index)


def opened_image(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()


def infotexts(job: Job) -> list[dict[str, Any]]:
    return [parse_infotext(image.infotext) for image in in_order(job)]


@pytest.mark.long
def test_one_loop_is_plain_img2img(opened: Services) -> None:
    plain = made(opened, picture(), denoising_strength=0.6)
    looped = made(opened, picture(), script="Loopback", arguments={"loops": 1}, denoising_strength=0.6)
    assert images(looped)[0].tobytes() == images(plain)[0].tobytes()
    assert "Final denoising strength" not in infotexts(plain)[0]
    assert infotexts(looped)[0]["Denoising strength"] == "0.6"


@pytest.mark.long
def test_each_loop_starts_from_the_picture_before_it(opened: Services) -> None:
    arguments = {"loops": 3, "final_denoising_strength": 0.4}
    job = made(opened, picture(), script="Loopback", arguments=arguments, denoising_strength=0.8)
    start, by_hand = picture(), []
    for loop, strength in enumerate((0.8, 0.8 + (0.4 - 0.8) * 0.5, 0.4)):
        one = made(opened, start, denoising_strength=strength, seed=7 + loop)
        by_hand.append(images(one)[0])
        start = encoded(by_hand[-1])
    assert [image.tobytes() for image in images(job)] == [image.tobytes() for image in by_hand]
    assert [(found["Seed"], found["Denoising curve"]) for found in infotexts(job)] == [
        *[("7", "Linear"), ("8", "Linear"), ("9", "Linear")]
    ]
    (grid,) = images(job, "grid")
    assert grid.size == (192, 64)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("form", some(["png", "jpg"], 1))
def test_a_killed_engine_costs_a_script_nothing_but_time(opened: Services, form: str) -> None:
    fields: dict[str, Any] = {
        "script": "Loopback",
        "arguments": {"loops": 3},
        "steps": 30,
        "override_settings": {"samples_format": form},
    }
    whole = made(opened, picture(), **fields)
    job = make(opened, picture(), **fields)
    eventually(lambda: present(opened.jobs.progress(job.id)).images, STARTED)
    pid = opened.jobs.engine().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = opened.jobs.wait(job.id, STARTED)
    assert (again.state, again.attempts, again.cause) == ("finished", 1, None)
    assert [image.tobytes() for image in images(again)] == [image.tobytes() for image in images(whole)]


# One picture of two passes: the second lasts long enough to be killed in.
_INSIDE: dict[str, dict[str, Any]] = {
    "detail": {
        "scripts": {
            "ADetailer": {
                "ad_enable": True,
                "tabs": [{"ad_model": "planted.onnx", "ad_use_steps": True, "ad_steps": 400}],
            }
        },
        "steps": 2,
    },
    "upscale": {
        "script": "Ultimate SD upscale",
        "arguments": {"upscaler": "Nearest", "tile_width": 64, "padding": 8},
        **{"width": 128, "height": 64, "steps": 60},
    },
}


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kind", _INSIDE)
def test_an_engine_that_is_killed_inside_of_a_picture_makes_it_again(opened: Services, kind: str) -> None:
    """In the second pass of one picture, whose first is lost with the engine: the job begins again by itself."""
    plant(opened.paths.data_dir / "models" / "adetailer" / "planted.onnx", [(0.125, 0.125, 0.375, 0.375)])
    fields = dict(_INSIDE[kind])
    scripts = fields.pop("scripts", None)
    fields |= {} if scripts is None else {"scripts": scripts}
    start = [picture(64, 32)] if kind == "upscale" else []
    whole = made(opened, *start, **fields)
    job = make(opened, *start, **fields)

    def is_inside() -> bool:
        at = present(opened.jobs.progress(job.id))
        # Half of a picture's progress is left to the passes over it, whose steps are counted anew.
        return at.fraction > 0.6

    eventually(is_inside, STARTED)
    pid = opened.jobs.engine().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = opened.jobs.wait(job.id, STARTED)
    assert (again.state, again.attempts, again.cause) == ("finished", 1, None)
    assert [image.tobytes() for image in images(again)] == [image.tobytes() for image in images(whole)]


def test_an_interrupt_keeps_the_loops_that_are_finished(opened: Services) -> None:
    job = make(opened, picture(), script="Loopback", arguments={"loops": 30}, steps=60)
    eventually(lambda: present(opened.jobs.progress(job.id)).images, STARTED)
    opened.jobs.interrupt(job.id)
    ended = opened.jobs.wait(job.id, STARTED)
    assert ended.state == "interrupted"
    assert 1 <= len(ended.images) < 30


def test_sd_upscale_of_one_tile_at_scale_1_is_plain_img2img(opened: Services) -> None:
    plain = made(opened, picture(), denoising_strength=0.4)
    arguments = {"upscaler": "Lanczos", "scale_factor": 1, "overlap": 32}
    upscaled = made(opened, picture(), script="SD upscale", arguments=arguments, denoising_strength=0.4)
    assert images(upscaled)[0].tobytes() == images(plain)[0].tobytes()
    found = infotexts(upscaled)[0]
    assert (found["SD upscale overlap"], found["SD upscale upscaler"]) == ("32", "Lanczos")


def test_sd_upscale_joins_tiles_with_the_seeds_of_a1111s_batches(opened: Services) -> None:
    arguments = {"upscaler": "Nearest", "scale_factor": 2, "overlap": 16}
    job = made(opened, picture(64, 32), script="SD upscale", arguments=arguments, batch_size=2)
    (upscaled,) = images(job)
    assert upscaled.size == (128, 64)
    # Three tiles from the left; A1111 makes the third in a second batch, whose seed is the first one's next.
    larger = opened_picture(picture(64, 32)).resize((128, 64), Image.Resampling.NEAREST)
    first = made(opened, encoded(larger.crop((0, 0, 64, 64))), seed=7)
    last = made(opened, encoded(larger.crop((64, 0, 128, 64))), seed=8)
    assert upscaled.crop((0, 0, 32, 64)).tobytes() == images(first)[0].crop((0, 0, 32, 64)).tobytes()
    assert upscaled.crop((80, 0, 128, 64)).tobytes() == images(last)[0].crop((16, 0, 64, 64)).tobytes()


def test_ultimate_upscale_redraws_each_tile_as_only_masked_inpainting_over_the_tiles_before(opened: Services) -> None:
    arguments = {"upscaler": "Nearest", "tile_width": 64, "padding": 8, "mask_blur": 2}
    job = made(opened, picture(64, 32), script="Ultimate SD upscale", arguments=arguments, width=128, height=64)
    result = opened_picture(picture(64, 32)).resize((128, 64), Image.Resampling.NEAREST)
    for left in (0, 64):
        mask = Image.new("L", (128, 64))
        mask.paste(255, (left, 0, left + 64, 64))
        fields = {"inpaint_full_res": True, "inpaint_full_res_padding": 8, "mask_blur_x": 2, "mask_blur_y": 2}
        sources = {"init_images": ("0",), "mask": "1"}
        tile = made(opened, encoded(result), encoded(mask), width=128, height=128, **fields, **sources)
        result = images(tile)[0]
    assert images(job)[0].tobytes() == result.tobytes()
    assert [image.cached for image in job.images] == [False]


@pytest.mark.long
def test_ultimate_upscale_that_redraws_only_seams_leaves_every_bit_beside_them(opened: Services) -> None:
    arguments = {
        **{"upscaler": "Nearest", "target_size_type": "Scale of the picture", "custom_scale": 2, "tile_width": 64},
        **{"redraw_mode": "None", "seams_fix_type": "Band pass", "seams_fix_width": 16, "seams_fix_mask_blur": 1},
        "seams_fix_denoise": 1,
    }
    # Without the original laid over, a plain job would give the band alone.
    without = {"overlay_inpaint": False}
    job = made(opened, picture(96, 64), script="Ultimate SD upscale", arguments=arguments, override_settings=without)
    (result,), (before,) = images(job), images(job, "before-seams-fix")
    larger = opened_picture(picture(96, 64)).resize((192, 128), Image.Resampling.NEAREST)
    assert before.tobytes() == larger.tobytes()
    x, y = np.arange(192), np.arange(128)
    # Half of the band, and the three pixels that a blur of 1 reaches.
    beside = ((np.abs(x - 63.5) > 11) & (np.abs(x - 127.5) > 11))[None, :] & (np.abs(y - 63.5) > 11)[:, None]
    changed = (np.asarray(result) != np.asarray(larger)).any(axis=2)
    assert not changed[beside].any()
    assert changed[:, 62:66].mean() > 0.9 and changed[:, 126:130].mean() > 0.9 and changed[62:66].mean() > 0.9
    assert {image.kind: image.cached for image in job.images} == {"before-seams-fix": False, "image": True}


def opened_picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.long
@pytest.mark.parametrize("script", ["Outpaint", "Outpainting mk2", "Poor man's outpainting"])
def test_outpainting_grows_the_picture_and_keeps_its_bits_away_from_the_seam(opened: Services, script: str) -> None:
    arguments = {"pixels": 32, "mask_blur": 0, "direction": ["left", "down"]}
    if script == "Outpaint":
        arguments["overlap"] = 4
    start = opened_picture(picture(96, 96))
    job = made(opened, encoded(start), script=script, arguments=arguments, denoising_strength=1.0, width=64, height=64)
    (result,) = images(job)
    assert result.size == (128, 128)
    old, same_area = np.asarray(start), np.asarray(result)[:96, 32:]
    inside = np.s_[: 96 - 6, 6:]
    assert np.array_equal(old[inside], same_area[inside])
    assert np.asarray(result)[:, :32].std() > 1 and np.asarray(result)[96:].std() > 1


def test_a_picture_that_would_grow_too_large_is_a_sentence(opened: Services) -> None:
    arguments = {"upscaler": "Lanczos", "scale_factor": 16, "overlap": 0}
    job = opened.jobs.wait(make(opened, picture(1024, 1024), script="SD upscale", arguments=arguments).id, STARTED)
    assert job.state == "failed"
    assert job.cause is not None and "the result would be 16384x16384" in job.cause


def frames_of(image: Image.Image) -> list[Image.Image]:
    frames = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        frames.append(image.convert("RGB"))
    return frames


@pytest.mark.long
def test_between_two_prompts_the_ends_are_the_plain_pictures(opened: Services) -> None:
    arguments = {"second_prompt": "a blue square", "frames": 3, "and_back": True, "frames_per_second": 4}
    job = made(opened, script="Interpolate prompts", arguments=arguments, override_settings={"webp_lossless": True})
    ends = [images(made(opened, prompt=prompt))[0] for prompt in ("a red circle", "a blue square")]
    found = images(job)
    assert [found[0].tobytes(), found[2].tobytes()] == [end.tobytes() for end in ends]
    assert found[1].tobytes() not in (found[0].tobytes(), found[2].tobytes())
    assert infotexts(job)[1]["Prompt"] == "a red circle :0.5 AND a blue square :0.5"
    again = made(opened, prompt=infotexts(job)[1]["Prompt"])
    assert images(again)[0].tobytes() == found[1].tobytes()
    (animation,) = [image for image in job.images if image.kind == "animation"]
    assert animation.path.suffix == ".webp" and "Steps: 4" in animation.infotext
    with Image.open(animation.path) as shown:
        shown.load()
        assert shown.info["duration"] == 250
        assert [frame.tobytes() for frame in frames_of(shown)] == [found[n].tobytes() for n in (0, 1, 2, 1)]


@pytest.mark.long
def test_between_two_pictures_the_ends_are_plain_img2img(opened: Services) -> None:
    pair = picture(seed=1), picture(80, 64, seed=2)
    job = made(opened, *pair, script="Interpolate pictures", arguments={"frames": 3}, denoising_strength=0.4)
    ends = [images(made(opened, one, denoising_strength=0.4))[0] for one in pair]
    found = images(job)
    assert [found[0].tobytes(), found[2].tobytes()] == [end.tobytes() for end in ends]
    first, middle, last = (np.asarray(image, dtype=float) for image in found)
    apart = np.abs(first - last).mean()
    assert np.abs(middle - first).mean() < apart and np.abs(middle - last).mean() < apart
    assert infotexts(job)[1]["Script"] == "Interpolate pictures"
    assert len([image for image in job.images if image.kind == "animation"]) == 1


def test_a_prompt_matrix_makes_each_combination_and_a_grid_that_names_them(opened: Services) -> None:
    job = made(opened, script="Prompt matrix", prompt="a circle|red|big", styles=())
    assert [found["Prompt"] for found in infotexts(job)] == [
        *["a circle", "a circle, red", "a circle, big", "a circle, red, big"]
    ]
    plain = made(opened, prompt="a circle, red")
    assert images(job)[1].tobytes() == images(plain)[0].tobytes()
    (grid,) = images(job, "prompt_matrix")
    assert grid.width == 48 + 128 and grid.height > 128
    cells = [
        grid.crop((48 + x, grid.height - 128 + y, 112 + x, grid.height - 64 + y)) for y in (0, 64) for x in (0, 64)
    ]
    assert [cell.tobytes() for cell in cells] == [image.tobytes() for image in images(job)]


def test_pictures_with_prompts_of_their_own_each_start_from_their_own_picture(opened: Services) -> None:
    pair = picture(seed=1), picture(seed=2)
    arguments = {"is_enabled": True, "is_combinatorial": True}
    job = made(opened, *pair, script="Dynamic Prompts", arguments=arguments, prompt="a {dog|cat}")
    alone = [made(opened, pair[n], prompt=prompt, seed=7 + n) for n, prompt in enumerate(("a dog", "a cat"))]
    assert [image.tobytes() for image in images(job)] == [images(one)[0].tobytes() for one in alone]
    assert [found["Template"] for found in infotexts(job)] == ["a {dog|cat}"] * 2


def test_each_line_of_prompts_is_a_picture_with_what_it_changes(opened: Services) -> None:
    lines = "a dog\n--prompt a cat --steps 2 --height 128"
    job = made(opened, script="Prompts from file or textbox", arguments={"prompts": lines}, prompt="")
    assert [(found["Prompt"], found["Steps"]) for found in infotexts(job)] == [("a dog", "4"), ("a cat", "2")]
    assert [image.size for image in images(job)] == [(64, 64), (64, 128)]
    assert [image.path.name for image in job.images] == sorted(image.path.name for image in job.images)


def test_the_alternative_test_overrides_what_its_boxes_say_and_tells_it(opened: Services) -> None:
    arguments = {"original_prompt": "a red circle", "decode_steps": 5, "randomness": 0.5, "sigma_adjustment": True}
    titled = {"script": "img2img alternative test", "prompt": "something else", "sampler_name": "Heun"}
    job = made(opened, picture(), arguments=arguments, n_iter=2, **titled)
    found = infotexts(job)[0]
    assert (found["Prompt"], found["Sampler"], found["Steps"]) == ("a red circle", "Euler", "5")
    assert (found["Decode prompt"], found["Decode steps"], found["Decode CFG scale"]) == (
        "a red circle",
        "5",
        "1",
    )
    assert (found["Denoising strength"], found["Randomness"], found["Sigma Adjustment"]) == ("1", "0.5", "True")
    assert images(job)[0].tobytes() != images(job)[1].tobytes()
    arguments |= {"randomness": 0.0, "override_prompt": False, "override_steps": False}
    fixed = made(opened, picture(), arguments=arguments, n_iter=2, **titled)
    assert images(fixed)[0].tobytes() == images(fixed)[1].tobytes()
    assert (infotexts(fixed)[0]["Prompt"], infotexts(fixed)[0]["Steps"]) == ("something else", "4")


def test_a_plot_holds_the_pictures_that_its_values_make(opened: Services) -> None:
    axes = {
        **{"x_type": "Sampler", "x_values": "Euler, DPM++ 2M", "y_type": "Clip skip", "y_values": "1, 2"},
        **{"z_type": "Seed", "z_values": "-1, 5", "include_sub_grids": True},
    }
    job = made(opened, script="X/Y/Z plot", arguments=axes)
    texts = infotexts(job)
    assert [(one["Sampler"], one["Clip skip"]) for one in texts[:4]] == [
        *[("Euler", "1"), ("DPM++ 2M", "1"), ("Euler", "2"), ("DPM++ 2M", "2")]
    ]
    assert "Script" not in texts[0]
    plain = made(opened, sampler_name="DPM++ 2M", seed=5, override_settings={"CLIP_stop_at_last_layers": 2})
    assert images(job)[7].tobytes() == images(plain)[0].tobytes()
    assert texts[3]["Schedule type"] == "Karras"
    grids = [image for image in job.images if image.kind == "xyz_grid"]
    assert len(grids) == 3
    about = parse_infotext(grids[0].infotext)
    assert (about["Script"], about["X Type"], about["Z Type"]) == ("X/Y/Z plot", "Sampler", "Seed")
    assert about["Z Values"].split(", ")[0] == texts[0]["Seed"] != "-1"
    assert "Z Type" not in parse_infotext(grids[1].infotext)


@pytest.mark.long
def test_one_plot_goes_over_checkpoints_of_every_family_there_and_back(opened: Services) -> None:
    """Each cell is the picture that its checkpoint paints alone: with its own encoders, latents and levels of noise."""
    folder = opened.paths.checkpoint_dirs[0]
    toys = {"two": TINY_SD2, "xl": TINY_SDXL, "play": TINY_PLAYGROUND, "cos": TINY_COSXL, "refine": TINY_REFINER}
    for name, architecture in toys.items():
        write_tiny_checkpoint(folder / f"{name}.safetensors", architecture=architecture)
    opened.refresh_models()
    names = ["xl", "tiny", "play", "two", "cos", "refine"][: amount(3, 6)]
    axes = {"x_type": "Checkpoint name", "x_values": ", ".join(names), "y_type": "CFG Scale", "y_values": "4, 7"}
    for start in ((), (picture(),))[: amount(1, 2)]:
        job = made(opened, *start, script="X/Y/Z plot", arguments=axes)
        assert [one["Model"] for one in infotexts(job)] == names * 2
        cells = [image.tobytes() for image in images(job)]
        assert len(set(cells)) == len(cells)
        for index, name in enumerate(names, start=len(names)):
            alone = made(opened, *start, override_settings={"sd_model_checkpoint": name}, cfg_scale=7)
            assert cells[index] == images(alone)[0].tobytes(), name
        (grid,) = images(job, "xyz_grid")
        assert grid.width >= len(names) * 64


def test_a_plot_goes_over_checkpoints_and_each_picture_names_its_own(opened: Services) -> None:
    axes = {"x_type": "Checkpoint name", "x_values": "tiny, other", "y_type": "Steps", "y_values": "2, 3"}
    job = made(opened, script="X/Y/Z plot", arguments=axes)
    texts = infotexts(job)
    assert [(one["Model"], one["Steps"]) for one in texts] == [
        *[("tiny", "2"), ("other", "2"), ("tiny", "3"), ("other", "3")]
    ]
    plain = made(opened, override_settings={"sd_model_checkpoint": "other"}, steps=3)
    assert images(job)[3].tobytes() == images(plain)[0].tobytes()
    lines = "a dog -- odd\n--prompt a cat --sd_model other"
    listed = infotexts(made(opened, script="Prompts from file or textbox", arguments={"prompts": lines}, prompt=""))
    assert [(one["Prompt"], one["Model"]) for one in listed] == [("a dog -- odd", "tiny"), ("a cat", "other")]
    with pytest.raises(RequestError, match="nowhere"):
        made(opened, script="X/Y/Z plot", arguments={**axes, "x_values": "nowhere"})
