"""Resize modes: exact sizes, proportions kept, borders filled with the edge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.generation.resizing import CROP_AND_RESIZE, JUST_RESIZE, RESIZE_AND_FILL, flatten, resize_image
from modules.parameters import RequestError


def halves(size: tuple[int, int], left: str, right: str) -> Image.Image:
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, size[0], size[1]))
    return image


sides = st.integers(1, 300)


@given(mode=st.sampled_from([0, 1, 2]), have=st.tuples(sides, sides), want=st.tuples(sides, sides))
def test_every_mode_gives_the_exact_size(mode: int, have: Any, want: Any) -> None:
    assert resize_image(mode, Image.new("RGB", have, "red"), want).size == want


def test_just_resize_stretches() -> None:
    wide = resize_image(JUST_RESIZE, halves((64, 64), "red", "blue"), (128, 64))
    assert wide.getpixel((32, 32)) == (255, 0, 0)
    assert wide.getpixel((96, 32)) == (0, 0, 255)


def test_crop_and_resize_covers_and_cuts_the_middle() -> None:
    picture = halves((128, 64), "red", "blue")
    cropped = resize_image(CROP_AND_RESIZE, picture, (64, 64))
    assert cropped.getpixel((2, 32)) == (255, 0, 0)
    assert cropped.getpixel((61, 32)) == (0, 0, 255)


@pytest.mark.parametrize("size", [(64, 128), (128, 64)])
def test_resize_and_fill_draws_the_edges_out(size: tuple[int, int]) -> None:
    filled = resize_image(RESIZE_AND_FILL, Image.new("RGB", (64, 64), "green"), size)
    assert filled.getcolors() == [(size[0] * size[1], (0, 128, 0))]


def test_fill_keeps_the_picture_in_proportion_in_the_middle() -> None:
    filled = resize_image(RESIZE_AND_FILL, halves((64, 64), "red", "blue"), (128, 64))
    assert filled.getpixel((5, 30)) == (255, 0, 0)
    assert filled.getpixel((122, 30)) == (0, 0, 255)
    assert filled.getpixel((40, 30)) == (255, 0, 0)


def test_a_strip_is_not_enlarged_beyond_measure() -> None:
    """To cover a square of 512 it would take 23 gigabytes."""
    strip = Image.new("RGB", (1, 30_000))
    with pytest.raises(RequestError, match=r"1x30000 would be enlarged to 512x15360000, more than 64 megapixels"):
        resize_image(CROP_AND_RESIZE, strip, (512, 512))
    for mode in (JUST_RESIZE, RESIZE_AND_FILL):
        assert resize_image(mode, strip, (512, 512)).size == (512, 512)


def test_transparent_parts_get_the_background_colour() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert flatten(clear, "#00ff00").getpixel((0, 0)) == (0, 255, 0)
    assert flatten(Image.new("L", (8, 8), 7), "#00ff00").getpixel((0, 0)) == (7, 7, 7)
