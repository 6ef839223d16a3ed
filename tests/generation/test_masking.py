"""Masks: what is repainted, what is kept to the bit, and boxes that stay within the picture."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modules.generation.masking import (
    box_of_ratio,
    fill_masked,
    latent_mask,
    overlay_of,
    padded_box,
    whole_picture_overlay_mask,
)
from modules.pictures.masks import binary_mask, blur_mask


def square(size: tuple[int, int] = (64, 64), box: tuple[int, int, int, int] = (16, 16, 48, 48)) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def test_a_mask_comes_from_alpha_where_alpha_says_something() -> None:
    drawn = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    drawn.putpixel((3, 3), (0, 0, 0, 255))
    assert binary_mask(drawn, rounded=True).getpixel((3, 3)) == 255
    assert binary_mask(drawn, rounded=True).getpixel((0, 0)) == 0
    opaque = Image.new("RGBA", (8, 8), (255, 255, 255, 255))
    assert binary_mask(opaque, rounded=True).getpixel((0, 0)) == 255


def test_rounding_cuts_a_drawn_mask_at_half_and_leaves_a_grey_one() -> None:
    drawn = Image.new("RGBA", (2, 1))
    drawn.putpixel((0, 0), (0, 0, 0, 128))
    drawn.putpixel((1, 0), (0, 0, 0, 129))
    assert list(binary_mask(drawn, rounded=True).tobytes()) == [0, 255]
    assert list(binary_mask(drawn, rounded=False).tobytes()) == [128, 129]
    grey = Image.new("L", (1, 1), 100)
    assert list(binary_mask(grey, rounded=True).tobytes()) == [100]


def test_blur_is_a_gaussian_of_the_stated_width() -> None:
    """Against the closed form of a blurred step, within two grey levels."""
    step = Image.new("L", (101, 3), 0)
    step.paste(255, (50, 0, 101, 3))
    blurred = np.asarray(blur_mask(step, 4, 0), dtype=float)[1]
    positions = np.arange(101) + 0.5 - 50
    expected = 255 * 0.5 * (1 + np.vectorize(lambda v: float(torch.erf(torch.tensor(v / 4 / 2**0.5))))(positions))
    assert np.abs(blurred - expected).max() < 4


@pytest.mark.parametrize(
    ("length", "white", "blur", "first"),
    [
        (16, (6, 10), 1, [0, 0, 0, 1, 15, 77, 178, 239, 239, 178, 77, 15, 1, 0, 0, 0]),
        (16, (6, 10), 4, [40, 41, 48, 58, 70, 83, 93, 99, 99, 93, 83, 70, 58, 48, 41, 40]),
        (40, (10, 22), 16, [96, 98, 97, 96, 96, 96, 96, 96, 95, 95, 93, 93, 93, 90, 91, 90, 88, 86, 85, 83, 81, 79]),
    ],
)
def test_blur_rounds_as_opencv_does(length: int, white: tuple[int, int], blur: int, first: list[int]) -> None:
    """Recorded from cv2.GaussianBlur of OpenCV 5.0 on 8-bit rows."""
    row = Image.new("L", (length, 1))
    row.paste(255, (white[0], 0, white[1], 1))
    assert list(blur_mask(row, blur, 0).tobytes())[: len(first)] == first


@pytest.mark.parametrize("corner", [(0, 0), (3, 12), (100, 20), (195, 35)])
def test_a_large_mask_is_blurred_where_it_is_not_black_as_if_it_were_blurred_whole(corner: tuple[int, int]) -> None:
    small = Image.new("L", (200, 40))
    small.paste(255, (*corner, corner[0] + 5, corner[1] + 5))
    whole = small.copy()
    for speck in ((0, 0), (199, 0), (0, 39), (199, 39)):
        # Too faint to be seen once it is blurred.
        if not small.getpixel(speck):
            whole.putpixel(speck, 1)
    assert blur_mask(small, 4, 3).tobytes() == blur_mask(whole, 4, 3).tobytes()


def test_no_blur_changes_nothing() -> None:
    assert blur_mask(square(), 0, 0).tobytes() == square().tobytes()


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), blur=st.integers(1, 64))
def test_any_blur_on_any_size_keeps_flat_masks_flat(size: Any, blur: int) -> None:
    assert blur_mask(Image.new("L", size, 255), blur, blur).getextrema() == (255, 255)


def test_the_box_is_padded_within_the_picture() -> None:
    assert padded_box(square(), 8) == (8, 8, 56, 56)
    assert padded_box(square(), 100) == (0, 0, 64, 64)
    assert padded_box(Image.new("L", (64, 64)), 8) is None


@given(
    picture=st.tuples(st.integers(8, 500), st.integers(8, 500)),
    ratio=st.tuples(st.integers(64, 512), st.integers(64, 512)),
    data=st.data(),
)
def test_a_widened_box_holds_the_box_and_stays_inside(picture: Any, ratio: Any, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, picture[0] - 1))
    top = data.draw(st.integers(0, picture[1] - 1))
    right = data.draw(st.integers(left + 1, picture[0]))
    bottom = data.draw(st.integers(top + 1, picture[1]))
    wide = box_of_ratio((left, top, right, bottom), ratio, picture)
    assert 0 <= wide[0] <= left
    assert 0 <= wide[1] <= top
    assert right <= wide[2] <= picture[0]
    assert bottom <= wide[3] <= picture[1]


def test_a_box_takes_the_proportions_of_the_pass() -> None:
    left, top, right, bottom = box_of_ratio((100, 100, 150, 120), (512, 512), (400, 400))
    assert (right - left, bottom - top) == (50, 50)


def test_fill_takes_its_colour_from_around() -> None:
    picture = Image.new("RGB", (64, 64), (10, 200, 30))
    ImageDraw.Draw(picture).rectangle((16, 16, 47, 47), fill=(255, 0, 0))
    filled = fill_masked(picture, square())
    red, green, blue = cast(tuple[int, int, int], filled.getpixel((32, 32)))
    assert abs(red - 10) < 12
    assert abs(green - 200) < 12
    assert abs(blue - 30) < 12
    assert filled.getpixel((2, 2)) == (10, 200, 30)


def test_the_overlay_gives_back_the_original_bits_outside_the_mask() -> None:
    rng = np.random.default_rng(1)
    original = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "RGB")
    mask = blur_mask(square(), 4, 4)
    result = Image.new("RGBA", (64, 64), (1, 2, 3, 255))
    result.alpha_composite(overlay_of(original, mask))
    black = np.asarray(mask) == 0
    assert black.any()
    assert (np.asarray(result.convert("RGB"))[black] == np.asarray(original)[black]).all()


def test_half_covered_pixels_are_wholly_repainted_when_the_whole_picture_is() -> None:
    assert whole_picture_overlay_mask(Image.new("L", (1, 1), 128)).getpixel((0, 0)) == 255
    assert whole_picture_overlay_mask(Image.new("L", (1, 1), 20)).getpixel((0, 0)) == 40


def test_the_latent_mask_is_one_where_repainted() -> None:
    mask = latent_mask(square(), (8, 8), rounded=True)
    assert mask[4, 4] == 1
    assert mask[0, 0] == 0
    assert set(mask.flatten().tolist()) <= {0.0, 1.0}


def test_half_clear_white_on_opaque_black_paints_the_white() -> None:
    mask = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    mask.putpixel((1, 0), (255, 255, 255, 128))
    assert list(binary_mask(mask, rounded=True).tobytes()) == [0, 255]
    # Black strokes of any strength on nothing are what A1111's canvas sends.
    strokes = Image.new("RGBA", (2, 1), (0, 0, 0, 200))
    strokes.putpixel((1, 0), (0, 0, 0, 20))
    assert list(binary_mask(strokes, rounded=True).tobytes()) == [255, 0]
