"""What the feature does with its passes: interrupts, seeds, strengths and sizes. The passes themselves are recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from modules.catalogue.folders import ModelFolders
from modules.features.detail.declare import TITLE
from modules.features.detail.plan import detail_passes
from modules.features.detail.run import DetailFeature
from modules.features.running import FeatureJob
from modules.features.shared import SharedCache, in_place
from modules.generation.finishing import Finished
from modules.generation.init_picture import InitPicture
from modules.generation.resizing import lanczos
from modules.parameters import RequestError, ResolvedRequest, Variant, parse_request, resolve
from modules.sampling import Interrupted
from tests.features.detail.planted import plant

BOXES = [(0.0, 0.0, 0.25, 0.25), (0.5, 0.5, 0.75, 0.75), (0.0, 0.5, 0.5, 1.0)]
PICTURE = Image.new("RGB", (64, 64), "white")


class Passes:
    """Stands for the engine: each pass makes the picture one shade darker, and may be interrupted."""

    def __init__(self, interrupted_at: int = 99, family: str = "SD1") -> None:
        self.done: list[tuple[ResolvedRequest, InitPicture]] = []
        self._interrupted_at = interrupted_at
        self._family = family

    def family(self, resolved: ResolvedRequest) -> Any:
        return SimpleNamespace(follows_sdxl_settings=self._family == "SDXL")

    def __call__(self, resolved: ResolvedRequest, source: InitPicture) -> Image.Image:
        if len(self.done) == self._interrupted_at:
            raise Interrupted
        self.done.append((resolved, source))
        return Image.new("RGB", (64, 64), (255 - len(self.done),) * 3)

    def values(self, name: str) -> list[Any]:
        return [getattr(resolved.request, name) for resolved, _ in self.done]


def job(
    folder: Path, *tabs: dict[str, Any], leave: Callable[[], bool] = lambda: False, **options: Any
) -> tuple[FeatureJob, list[str]]:
    plant(folder / "three.onnx", BOXES)
    whole = {"ad_enable": True, "tabs": [{"ad_model": "three.onnx", "ad_dilate_erode": 0, **tab} for tab in tabs]}
    request = parse_request({"prompt": "a", "width": 64, "height": 64, "seed": 7, "scripts": {TITLE: whole}})
    inner = tuple(
        Variant(fields={name: value for name, value in one.fields.items() if name != "init_images"})
        for one in detail_passes(request, options)
    )
    resolved = resolve(request, options=options, rng=random.Random(0), inner={TITLE: inner})
    said: list[str] = []
    made = FeatureJob(
        resolved,
        picture=lambda name: PICTURE,
        resampler=lambda name: lanczos,
        models=cast(Any, None),
        folders=ModelFolders(detectors=(folder,)),
        on_device=in_place,
        files={},
        shared=SharedCache(),
        leave=leave,
        notice=said.append,
    )
    return made, said


def run(work: FeatureJob, passes: Passes) -> Finished:
    return DetailFeature(work).after_decode(Finished(PICTURE, {}), 0, passes)


def test_masks_have_seeds_in_a_row_unless_a_setting_wants_one(tmp_path: Path) -> None:
    run(job(tmp_path, {}, {})[0], passes := Passes())
    assert passes.values("seed") == [7, 8, 9, 7, 8, 9]
    run(job(tmp_path, {}, ad_same_seed_for_each_tab=True)[0], same := Passes())
    assert same.values("seed") == [7, 7, 7]


def test_masks_have_the_prompts_of_their_parts_and_the_last_one_repeats(tmp_path: Path) -> None:
    run(job(tmp_path, {"ad_prompt": "one [SEP] two"}, {"ad_prompt": "[SKIP] [SEP] x"})[0], passes := Passes())
    assert passes.values("prompt") == ["one", "two", "two", "x", "x"]


def test_each_pass_goes_on_from_the_one_before(tmp_path: Path) -> None:
    made = run(job(tmp_path, {})[0], passes := Passes())
    starts = [source.original.getpixel((0, 0)) for _, source in passes.done if source.original is not None]
    assert starts == [(255,) * 3, (254,) * 3, (253,) * 3]
    assert made.picture.getpixel((0, 0)) == (252,) * 3


def test_an_interrupt_leaves_the_picture_as_far_as_it_has_come(tmp_path: Path) -> None:
    made = run(job(tmp_path, {}, {})[0], passes := Passes(interrupted_at=2))
    assert len(passes.done) == 2 and made.picture.getpixel((0, 0)) == (253,) * 3
    first = run(job(tmp_path, {})[0], Passes(interrupted_at=0))
    assert first.picture is PICTURE


def test_nothing_is_looked_for_once_the_job_is_left(tmp_path: Path) -> None:
    work, said = job(tmp_path, {"ad_confidence": 1}, leave=lambda: True)
    made = run(work, passes := Passes())
    assert made.picture is PICTURE and passes.done == [] and said == []


def test_nothing_found_and_arguments_without_meaning_are_reported_once(tmp_path: Path) -> None:
    work, said = job(tmp_path, {"ad_confidence": 0.95, "ad_controlnet_model": "Passthrough"})
    work.resolved.request.scripts[TITLE]["ignored"] = ["ad_new"]
    run(work, Passes())
    assert said == [
        "ADetailer: there are no units of ControlNet to pass through.",
        "ADetailer: ad_new means nothing here and was ignored.",
        "ADetailer: three.onnx found nothing to paint over in at least one picture.",
    ]


def test_the_strength_follows_the_share_that_is_found(tmp_path: Path) -> None:
    work, _ = job(tmp_path, {"ad_denoising_strength": 0.5}, ad_dynamic_denoise_power=1.0)
    run(work, passes := Passes())
    assert passes.values("denoising_strength") == pytest.approx([0.5 * 15 / 16, 0.5 * 15 / 16, 0.5 * 0.75])


def test_sizes_follow_the_setting_and_the_family(tmp_path: Path) -> None:
    wide = {"ad_mask_k": 1, "ad_inpaint_only_masked_padding": 0}

    def size(family: str, setting: str) -> tuple[int, int]:
        run(job(tmp_path, wide, ad_match_inpaint_bbox_size=setting)[0], passes := Passes(family=family))
        return passes.done[0][1].picture.size

    assert size("SDXL", "Off") == size("SD1", "Strict (SDXL only)") == (64, 64)
    assert size("SDXL", "Strict (SDXL only)") == (1024, 1024)
    assert size("SD1", "Free") == (64, 64)


def test_what_is_shown_beside_it(tmp_path: Path) -> None:
    made = run(job(tmp_path, {}, ad_save_previews=True, ad_save_images_before=True)[0], Passes())
    assert made.beside["ad-before"] is PICTURE
    shown = np.asarray(made.beside["ad-preview"])
    assert (shown[:16, 40:] == 255).all() and (shown[48:, 4:24, 1] < 255).any()
    missed = run(job(tmp_path, {"ad_confidence": 0.95}, ad_save_images_before=True)[0], Passes())
    assert missed.beside == {}


def test_a_detector_that_is_gone_is_refused_before_the_first_pass(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"ADetailer: The detector 'gone\.pt' is not here: put its file into"):
        DetailFeature(job(tmp_path, {"ad_model": "gone.pt"})[0])


def test_img2img_is_skipped_on_img2img_alone(tmp_path: Path) -> None:
    work, _ = job(tmp_path, {})
    work.resolved.request.scripts[TITLE]["ad_skip_img2img"] = True
    assert not DetailFeature(work).skips_passes
