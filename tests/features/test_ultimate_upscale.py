"""Ultimate SD upscale: its arguments, and which parts of a picture its passes redraw."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from modules.features.declaration import checked_arguments
from modules.features.infotext import script_values
from modules.features.ultimate_upscale.declare import ULTIMATE_UPSCALE, UltimateUpscaleArguments
from modules.features.ultimate_upscale.patches import Patch, pass_size, redrawn_tiles, seam_patches
from modules.features.ultimate_upscale.plan import ultimate_upscale
from modules.parameters import RequestError, parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.resolved import resolve

TITLE = ULTIMATE_UPSCALE.title


def arguments(**values: Any) -> UltimateUpscaleArguments:
    return UltimateUpscaleArguments.read(checked_arguments(ULTIMATE_UPSCALE, values))


def masks(patches: list[Patch], picture: tuple[int, int]) -> list[np.ndarray]:
    return [np.asarray(patch.mask(picture)) for patch in patches]


def test_arguments_stand_in_the_extensions_order_with_its_defaults() -> None:
    assert [(one.name, one.default) for one in ULTIMATE_UPSCALE.valued] == [
        *[("tile_width", 512), ("tile_height", 0), ("mask_blur", 8), ("padding", 32), ("seams_fix_width", 64)],
        *[("seams_fix_denoise", 0.35), ("seams_fix_padding", 16), ("upscaler", "None"), ("save_upscaled", True)],
        *[("redraw_mode", "Linear"), ("save_seams", False), ("seams_fix_mask_blur", 4), ("seams_fix_type", "None")],
        *[("target_size_type", "Width and Height of img2img"), ("custom_width", 2048), ("custom_height", 2048)],
        ("custom_scale", 2.0),
    ]
    assert ULTIMATE_UPSCALE.arguments[0].look == "note"
    by_number = arguments(redraw_mode=1, seams_fix_type=3, target_size_type=2)
    assert (by_number.redraw_mode, by_number.seams_fix_type) == ("Chess", "Half tile + intersections")
    assert by_number.target_size_type == "Scale of the picture"


def test_what_pictures_say_of_it_comes_back() -> None:
    given = {"upscaler": "Lanczos", "tile_width": 640, "tile_height": 768, "mask_blur": 12, "padding": 40}
    request = parse_request({"mode": "img2img", "seed": 3, "scripts": {TITLE: given}})
    assert dict(script_values(request.scripts)) == {f"{TITLE} {name}": value for name, value in given.items()}
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    pasted = request_from_infotext(parse_infotext(text), {})
    assert (pasted.fields["scripts"], pasted.notices) == (request.scripts, ())


@pytest.mark.parametrize("order", ["Linear", "Chess"])
@pytest.mark.parametrize("picture", [(256, 128), (200, 130), (64, 300), (40, 30)])
def test_the_tiles_cover_every_pixel_once(picture: tuple[int, int], order: str) -> None:
    tiles = redrawn_tiles(picture, arguments(tile_width=64, redraw_mode=order))
    covered = np.sum([mask.astype(int) for mask in masks(tiles, picture)], axis=0)
    assert covered.shape == picture[::-1] and (covered == 255).all()


def test_tiles_go_row_by_row_or_as_on_a_chess_board() -> None:
    picture = (192, 128)
    linear = [tile.start for tile in redrawn_tiles(picture, arguments(tile_width=64))]
    assert linear == [(0, 0), (64, 0), (128, 0), (0, 64), (64, 64), (128, 64)]
    chess = [tile.start for tile in redrawn_tiles(picture, arguments(tile_width=64, redraw_mode="Chess"))]
    assert chess == [(0, 0), (128, 0), (64, 64), (64, 0), (0, 64), (128, 64)]
    assert redrawn_tiles(picture, arguments(redraw_mode="None")) == []


def test_a_missing_side_of_a_tile_is_the_other_one() -> None:
    assert arguments(tile_width=512).tile == (512, 512)
    assert arguments(tile_width=0, tile_height=640).tile == (640, 640)
    assert arguments(tile_width=512, tile_height=768).tile == (512, 768)


def test_a_pass_is_as_large_as_the_patch_and_its_padding_in_blocks_of_64() -> None:
    assert pass_size((512, 512), 32) == (576, 576)
    assert pass_size((512, 768), 0) == (512, 768)
    assert pass_size((64, 1024), 16) == (128, 1088)


def test_bands_lie_along_the_whole_of_each_seam_white_in_the_middle() -> None:
    picture = (256, 160)
    found = masks(
        seam_patches(picture, arguments(tile_width=128, seams_fix_type="Band pass", seams_fix_width=32)), picture
    )
    upright, level = found
    assert (upright == upright[:1]).all() and (level == level[:, :1]).all()
    row, column = upright[0].astype(int), level[:, 0].astype(int)
    for line, seam in ((row, 128), (column, 128)):
        assert list(np.flatnonzero(line)) == list(range(seam - 16, seam + 16))
        assert line[seam - 1] == line[seam] == line.max() > 240
        assert (np.diff(line[seam - 16 : seam]) > 0).all() and (np.diff(line[seam : seam + 16]) < 0).all()


@pytest.mark.parametrize(
    ("kind", "count"), [("Half tile", 3 * 3 + 2 * 4), ("Half tile + intersections", 3 * 3 + 2 * 4 + 6)]
)
def test_half_tiles_have_each_seam_and_crossing_in_their_middle(kind: str, count: int) -> None:
    picture = (230, 140)
    patches = seam_patches(picture, arguments(tile_width=64, seams_fix_type=kind))
    found = masks(patches, picture)
    assert len(found) == count and {patch.size for patch in patches} == {(64, 64)}
    brightest = np.max(found, axis=0)
    for x in (64, 128, 192):
        assert (brightest[:, x] > 240).all()
    for y in (64, 128):
        assert (brightest[y] > 240).all()
    for mask, patch in zip(found, patches, strict=True):
        inside = np.zeros_like(mask, dtype=bool)
        (x, y), (width, height) = patch.start, patch.size
        inside[y : y + height, x : x + width] = True
        assert not mask[~inside].any()
    if kind != "Half tile":
        assert [patch.start for patch in patches[-6:]] == [(x, y) for y in (32, 96) for x in (32, 96, 160)]
        assert found[-6][64, 64] > 240 and found[-6][40, 64] < 80


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tile_width": 0}, "tiles of 0x0 are too small"),
        ({"tile_width": 512, "tile_height": 32}, "tiles of 512x32 are too small"),
        ({"seams_fix_type": "Band pass", "seams_fix_width": 0}, "bands over the seams must be 2 pixels wide or more"),
    ],
)
def test_what_cannot_be_cut_is_a_sentence(values: dict[str, Any], sentence: str) -> None:
    request = parse_request({"mode": "img2img", "init_images": ("0",), "scripts": {TITLE: values}})
    with pytest.raises(RequestError, match=sentence):
        ultimate_upscale(request)


def test_there_is_a_picture_for_each_of_batch_count() -> None:
    request = parse_request(
        {"mode": "img2img", "init_images": ("0",), "scripts": {TITLE: {}}, "n_iter": 3, "batch_size": 2}
    )
    assert [picture.seed for picture in ultimate_upscale(request)] == [0, 1, 2]
