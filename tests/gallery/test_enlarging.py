"""Sizes, cutting, blending and limits of enlarging without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.gallery.enlarging import SCALE_TO, Enlargement, enlarge, target_size
from modules.gallery.metadata import PictureError

SIDES = st.integers(1, 3000)


def test_by_a_factor() -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((30, 20))
    assert enlarge(image, Enlargement("Lanczos", scale=2.5)).size == (75, 50)
    doubled = enlarge(image, Enlargement("Nearest", scale=2))
    assert doubled.resize((30, 20), Image.Resampling.NEAREST).tobytes() == image.tobytes()


def test_none_leaves_the_picture() -> None:
    image = Image.new("RGB", (8, 8), "red")
    assert enlarge(image, Enlargement(scale=4)) is image
    assert Enlargement(scale=4).note == ""


def test_the_longest_side_holds_the_factor_down() -> None:
    assert target_size((100, 50), Enlargement("Lanczos", scale=4, longest_side=200)) == (200, 100)
    assert target_size((100, 50), Enlargement("Lanczos", scale=2, longest_side=900)) == (200, 100)


@given(SIDES, SIDES, st.integers(64, 512), st.integers(64, 512))
def test_covering_and_fitting(width: int, height: int, to_width: int, to_height: int) -> None:
    covering = target_size((width, height), Enlargement("Lanczos", mode=SCALE_TO, width=to_width, height=to_height))
    fitting = target_size(
        (width, height), Enlargement("Lanczos", mode=SCALE_TO, width=to_width, height=to_height, crop=False)
    )
    assert covering[0] >= to_width and covering[1] >= to_height
    assert fitting[0] <= to_width and fitting[1] <= to_height
    assert to_width in (covering[0], fitting[0]) or to_height in (covering[1], fitting[1])


def test_scale_to_cuts_to_the_middle() -> None:
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (10, 0, 20, 10))
    square = enlarge(image, Enlargement("Nearest", mode=SCALE_TO, width=64, height=64))
    assert square.size == (64, 64)
    assert square.getextrema() == ((255, 255),) * 3


def test_the_second_upscaler_is_blended_in() -> None:
    image = Image.effect_noise((16, 16), 60).convert("RGB")
    one, two = (enlarge(image, Enlargement(name, scale=2)) for name in ("Lanczos", "Nearest"))
    mixed = enlarge(image, Enlargement("Lanczos", "Nearest", 0.5, scale=2))
    assert mixed.tobytes() == Image.blend(one, two, 0.5).tobytes()
    assert enlarge(image, Enlargement("None", "Nearest", 1.0, scale=2)).size == (32, 32)


def test_what_cannot_be_done_is_a_sentence() -> None:
    image = Image.new("RGB", (100, 100))
    with pytest.raises(PictureError, match="'Unheard' is not here"):
        enlarge(image, Enlargement("Unheard"))
    with pytest.raises(PictureError, match="100000x100000"):
        enlarge(image, Enlargement("Lanczos", scale=1000))


def test_the_note_says_what_was_done() -> None:
    assert Enlargement("Lanczos", scale=2).note == "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
    note = Enlargement("Lanczos", "Nearest", 0.3, mode=SCALE_TO, width=640, height=320).note
    assert note.startswith("Postprocess upscale to: 640x320, Postprocess crop to fit: True")
    assert note.endswith("Postprocess upscaler 2: Nearest")
