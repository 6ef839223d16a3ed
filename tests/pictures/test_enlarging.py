"""Sizes, cutting, blending and limits of enlarging, by A1111's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.parameters.extras_request import SCALE_TO, ExtrasRequest
from modules.pictures.enlarging import (
    PLAIN,
    eights,
    enlarged,
    enlarging_facts,
    plain,
    resize_to,
    target_size,
    upscaled,
)
from modules.pictures.opening import PictureError

SIDES = st.integers(1, 3000)
LANCZOS = Image.Resampling.LANCZOS


def noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


def by(scale: float, first: str = "Lanczos", **more: object) -> ExtrasRequest:
    return ExtrasRequest(upscaler_1=first, upscaling_resize=scale, **more)


def to(width: int, height: int, first: str = "Lanczos", **more: object) -> ExtrasRequest:
    size = {"resize_mode": SCALE_TO, "upscaling_resize_w": width, "upscaling_resize_h": height}
    return ExtrasRequest(upscaler_1=first, **size, **more)


@pytest.mark.parametrize(("name", "method"), [("Lanczos", LANCZOS), ("Nearest", Image.Resampling.NEAREST)])
def test_without_a_model_it_is_pillows_resampling(name: str, method: Image.Resampling) -> None:
    image = noise(24, 16)
    assert enlarged(image, by(3, name)).tobytes() == image.resize((72, 48), method).tobytes()
    # Sides that are no multiples of 8 are cut to them, by Lanczos, whatever the upscaler.
    odd = image.resize((60, 40), method).resize((56, 40), LANCZOS)
    assert enlarged(image, by(2.5, name)).tobytes() == odd.tobytes()


def test_none_leaves_the_picture() -> None:
    image = noise(8, 8)
    for settings in (by(4, "None"), by(4, "None", upscaler_2="Nearest", extras_upscaler_2_visibility=1)):
        assert enlarged(image, settings) is image and enlarging_facts(image.size, settings) == {}


@pytest.mark.parametrize(
    ("own", "scale", "times", "final"),
    [(2, 4, 2, (80, 40)), (4, 1.5, 1, (24, 8)), (2, 1, 1, (16, 8)), (2, 32, 3, (640, 320)), (1, 4, 1, (80, 40)),
     (4, 0.5, 0, (8, 5))],
)  # fmt: skip
def test_a_model_is_applied_until_the_picture_is_large_enough(
    own: int, scale: float, times: int, final: tuple[int, int]
) -> None:
    calls = []

    def once(image: Image.Image, wanted: float) -> Image.Image:
        calls.append(wanted)
        return image.resize((image.width * own, image.height * own))

    assert upscaled(noise(20, 10), scale, once).size == final
    assert calls == [scale] * times


def test_the_longest_side_holds_the_factor_down() -> None:
    settings = by(4, max_side_length=200)
    assert target_size((100, 50), settings) == (200, 96)
    assert enlarging_facts((100, 50), settings)["Postprocess upscale by"] == "2"
    assert target_size((100, 50), by(2, max_side_length=900)) == (200, 96)


@given(SIDES, SIDES, st.integers(64, 512), st.integers(64, 512))
def test_scaling_to_a_size_covers_it(width: int, height: int, to_width: int, to_height: int) -> None:
    size = target_size((width, height), to(to_width, to_height))
    assert size[0] >= to_width and size[1] >= to_height
    loose = target_size((width, height), to(to_width, to_height, upscaling_crop=False))
    assert max(abs(loose[0] - size[0]), abs(loose[1] - size[1])) <= 8


@given(st.integers(1, 4000), st.integers(8, 1000).map(lambda n: n * 8))
def test_rounding_errors_cost_no_cell(side: int, wanted: int) -> None:
    assert eights((side, side), wanted / side) == (wanted, wanted)


def test_scale_to_cuts_to_the_middle() -> None:
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (10, 0, 20, 10))
    square = enlarged(image, to(64, 64, "Nearest"))
    assert square.size == (64, 64)
    assert square.getextrema() == ((255, 255),) * 3
    assert enlarged(image, to(100, 100)).size == (100, 100)


def test_the_second_upscaler_is_blended_in() -> None:
    image = noise(16, 16)
    one, two = (enlarged(image, by(2, name)) for name in ("Lanczos", "Nearest"))
    settings = by(2, upscaler_2="Nearest", extras_upscaler_2_visibility=0.5)
    assert enlarged(image, settings).tobytes() == Image.blend(one, two, 0.5).tobytes()


def test_resizing_for_a_pass_is_exact() -> None:
    image = noise(32, 24)
    assert resize_to(image, (64, 48), PLAIN["Nearest"]).tobytes() == image.resize((64, 48), 0).tobytes()
    for size in ((70, 51), (32, 24), (16, 40), (8, 8)):
        assert resize_to(image, size, PLAIN["Nearest"]).size == resize_to(image, size, None).size == size
    assert resize_to(image, (16, 12), PLAIN["Nearest"]).tobytes() == image.resize((16, 12), LANCZOS).tobytes()


def test_what_cannot_be_done_is_a_sentence() -> None:
    image = Image.new("RGB", (1000, 1000))
    with pytest.raises(PictureError, match="'Unheard' is not here"):
        plain("Unheard")
    with pytest.raises(PictureError, match="64000x64000: more than 200 megapixels"):
        enlarged(image, by(64))
    assert enlarged(Image.new("RGB", (1, 1)), by(4)).size == (4, 4)


def test_the_facts_are_a1111s() -> None:
    facts = {"Postprocess upscale by": "2", "Postprocess upscaler": "Lanczos"}
    assert enlarging_facts((8, 8), by(2)) == facts
    settings = to(640, 320, upscaler_2="Nearest", extras_upscaler_2_visibility=0.3)
    assert list(enlarging_facts((8, 8), settings).items()) == [
        ("Postprocess upscale to", "640x320"),
        ("Postprocess crop to", "640x320"),
        ("Postprocess upscaler", "Lanczos"),
        ("Postprocess upscaler 2", "Nearest"),
    ]
