"""Passes over a finished picture change what they may and no other pixel: the detail pass, and tiled upscaling."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from modules.features.detail.run import DetailFeature
from modules.features.ultimate_upscale.declare import ULTIMATE_UPSCALE
from modules.features.ultimate_upscale.run import ultimate_upscale
from modules.generation.finishing import Finished
from modules.generation.init_picture import InitPicture
from modules.generation.resizing import lanczos
from modules.parameters import ResolvedRequest
from tests.demo.conftest import Artist, resolved
from tests.features.detail.test_detail_run import BOXES, job

QUICK = {"ad_use_steps": True, "ad_steps": 4, "ad_prompt": "a red circle", "ad_denoising_strength": 0.8}


class Passes:
    """Paints each pass, and stores the picture before it and after it."""

    def __init__(self, artist: Artist) -> None:
        self._artist = artist
        self.done: list[tuple[Image.Image, Image.Image]] = []

    def family(self, resolved: ResolvedRequest) -> Any:
        return self._artist.engine.model.family

    def __call__(self, resolved: ResolvedRequest, source: InitPicture, *_place: int) -> Image.Image:
        assert source.original is not None
        made = self._artist.over(resolved, source)
        self.done.append((source.original.convert("RGB"), made))
        return made


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    return np.asarray((np.asarray(before) != np.asarray(after)).any(axis=2))


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_the_detail_pass_changes_what_was_found_alone(artist: Artist, tmp_path: Path) -> None:
    picture = noise(64)
    work, _ = job(tmp_path, {**QUICK, "ad_mask_blur": 0, "ad_inpaint_only_masked_padding": 8})
    made = DetailFeature(work).after_decode(Finished(picture, {}), 0, Passes(artist))
    inside = np.zeros((64, 64), dtype=bool)
    for left, top, right, bottom in BOXES:
        inside[round(top * 64) : round(bottom * 64), round(left * 64) : round(right * 64)] = True
    found = changed(picture, made.picture)
    assert not found[~inside].any()
    assert found[inside].mean() > 0.9


def upscaled(artist: Artist, **values: Any) -> tuple[Image.Image, list[tuple[Image.Image, Image.Image]]]:
    scripts = {ULTIMATE_UPSCALE.title: {"tile_width": 64, "mask_blur": 0, "seams_fix_mask_blur": 0, **values}}
    request = resolved(
        mode="img2img", prompt="a red circle", steps=2, denoising_strength=0.5, width=128, height=128, scripts=scripts
    )
    passes = Passes(artist)
    stage: Any = SimpleNamespace(
        **{"resolved": request, "read": lambda kind: kind.of(request.request.scripts), "start": noise(128)},
        **{"resampler": lambda name: lanczos, "resize": lanczos, "over": passes, "beside": {}},
    )
    return ultimate_upscale(stage, 0), passes.done


def test_each_tile_of_an_upscaled_picture_changes_itself_alone(artist: Artist) -> None:
    made, passes = upscaled(artist)
    assert len(passes) == 4
    for number, (before, after) in enumerate(passes):
        top, left = number // 2 * 64, number % 2 * 64
        found = changed(before, after)
        inside = found[top : top + 64, left : left + 64].copy()
        found[top : top + 64, left : left + 64] = False
        assert not found.any() and inside.mean() > 0.9
    assert not changed(passes[-1][1], made).any()


def test_a_band_along_a_seam_changes_the_band_alone(artist: Artist) -> None:
    values = {"redraw_mode": "None", "seams_fix_type": "Band pass", "seams_fix_width": 16, "seams_fix_denoise": 0.5}
    made, passes = upscaled(artist, **values)
    start = passes[0][0]
    outside = np.ones((128, 128), dtype=bool)
    outside[56:72] = outside[:, 56:72] = False
    found = changed(start, made)
    assert not found[outside].any() and found[~outside].any()
