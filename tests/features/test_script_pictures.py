"""The pixels that scripts move: tiles, margins, noise after a picture, fillings."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.features.margins import Margins, margins
from modules.features.outpaint.run import filled_from_edges, grown
from modules.features.outpainting_mk2.matched_noise import matched_noise
from modules.features.overlapping_tiles import join_tiles, lay_tiles
from modules.features.poor_mans_outpainting.run import frame
from modules.parameters import RequestError


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small, "RGB").resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("tile", "count"), [((512, 512), 9), ((640, 640), 4)])
def test_a_doubled_picture_of_512_takes_the_tiles_that_a1111_says(tile: tuple[int, int], count: int) -> None:
    assert len(lay_tiles((1024, 1024), tile, 64).boxes) == count


@pytest.mark.parametrize("overlap", [0, 16, 63])
@pytest.mark.parametrize("size", [(64, 64), (200, 136), (65, 300), (40, 200)])
def test_untouched_tiles_join_to_the_picture_they_were_cut_from(size: tuple[int, int], overlap: int) -> None:
    whole = picture(*size)
    if overlap >= min(64, *size):
        with pytest.raises(RequestError, match="can't overlap by 63"):
            lay_tiles(size, (64, 64), overlap)
        return
    tiles = lay_tiles(size, (64, 64), overlap)
    joined = join_tiles(tiles, [whole.crop(box) for box in tiles.boxes])
    assert joined.tobytes() == whole.tobytes()


def test_a_tile_fades_in_over_its_left_neighbour_by_a_straight_ramp() -> None:
    tiles = lay_tiles((96, 64), (64, 64), 32)
    joined = join_tiles(tiles, [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")])
    row = np.asarray(joined)[0, :, 0].astype(int)
    assert (row[:32] == 0).all() and (row[64:] == 255).all()
    assert (abs(row[32:64] - np.arange(32) * 255 / 32) <= 1).all()


def test_what_it_takes_to_a_multiple_of_64_is_shared_by_the_sides_that_grow() -> None:
    assert margins((500, 512), 128, ("left", "right")) == Margins(134, 134)
    assert margins((512, 512), 128, ("left", "right", "up", "down")) == Margins(128, 128, 128, 128)
    assert margins((500, 300), 8, ("down",)) == Margins(down=20)
    with pytest.raises(RequestError, match="would grow to 12096x10048"):
        margins((8000, 8000), 2048, ("left", "right", "up"))


def test_the_frame_is_white_where_the_picture_is_new() -> None:
    mask = np.asarray(frame(Margins(left=16, down=8), (80, 72), 4))
    assert (mask[:, :20] == 255).all() and (mask[-12 + 1 :] == 255).all()
    assert (mask[:60, 20:] == 0).all()


def test_matched_noise_keeps_the_picture_and_takes_its_colours() -> None:
    pixels = np.asarray(picture(64, 64), dtype=np.float64) / 255
    unknown = np.zeros((64, 64))
    unknown[:, 32:] = 1
    filled = matched_noise(pixels * (1 - unknown[..., None]), unknown, 1.0, 0.05)
    assert np.array_equal(filled[:, :32], pixels[:, :32])
    new, known = filled[:, 32:], pixels[:, :32]
    for channel in range(3):
        quantiles = [np.quantile(part[..., channel], (0.05, 0.25, 0.5, 0.75, 0.95)) for part in (new, known)]
        assert np.abs(quantiles[0] - quantiles[1]).max() < 0.02
    assert np.abs(np.diff(new, axis=1)).mean() > 0.001
    again = matched_noise(pixels * (1 - unknown[..., None]), unknown, 1.0, 0.05)
    assert np.array_equal(filled, again)


def test_a_higher_exponent_gives_coarser_noise_and_black_pictures_do_no_harm() -> None:
    pixels = np.asarray(picture(64, 64), dtype=np.float64) / 255
    unknown = np.zeros((64, 64))
    unknown[:, 32:] = 1
    fine, coarse = (matched_noise(pixels * (1 - unknown[..., None]), unknown, q, 0.0)[:, 32:] for q in (0.0, 2.0))
    assert np.abs(np.diff(fine, axis=0)).mean() > np.abs(np.diff(coarse, axis=0)).mean()
    assert np.isfinite(matched_noise(np.zeros((64, 64, 3)), unknown, 1.0, 0.05)).all()
    assert np.isfinite(matched_noise(np.zeros((64, 64, 3)), np.ones((64, 64)), 1.0, 0.05)).all()


def test_edges_are_continued_and_the_picture_keeps_its_bits() -> None:
    inside = picture(40, 40)
    around = Margins(24, 100, 16, 8)
    filled = filled_from_edges(inside, around)
    assert filled.size == (164, 64)
    assert filled.crop(around.inner(inside.size)).tobytes() == inside.tobytes()
    values = np.asarray(filled, dtype=int)
    assert np.abs(values[16:56, 23] - values[16:56, 24]).max() <= 40
    assert np.abs(np.diff(values[20:50, 130:160], axis=1)).mean() < np.abs(np.diff(values[20:50, 30:60], axis=1)).mean()


def test_an_area_grows_by_a_square_around_each_of_its_points() -> None:
    area = np.zeros((9, 12), dtype=bool)
    area[4, 5] = True
    assert np.argwhere(grown(area, 2)).min(axis=0).tolist() == [2, 3]
    assert grown(area, 2).sum() == 25
    assert grown(area, 0).sum() == 1
    assert grown(area, 30).all()
