"""The operations of Extras: what they make of one picture, in which order, and what they write about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from modules.parameters.extras_request import AutoCrop, ExtrasRequest, FocalCrop, SplitOversized
from modules.pictures.cropping import auto_crop, flipped, focal_crop, point_of_interest, split_oversized
from modules.pictures.opening import PictureError
from modules.pictures.postprocessing import Tools, postprocess

SIDES = st.integers(1, 700)


def spotted(width: int, height: int, x: int, y: int) -> Image.Image:
    """Grey with something to look at around (x, y)."""
    image = Image.new("RGB", (width, height), "#808080")
    draw = ImageDraw.Draw(image)
    for radius in range(20, 0, -4):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255 * (radius // 4 % 2),) * 3)
    return image


def test_a_long_picture_is_split_into_overlapping_parts() -> None:
    image = Image.linear_gradient("L").resize((100, 400)).convert("RGB")
    parts = split_oversized(image, (200, 200), SplitOversized())
    assert [part.size for part in parts] == [(200, 200)] * 5
    whole = image.resize((200, 800), Image.Resampling.LANCZOS)
    assert parts[0].tobytes() == whole.crop((0, 0, 200, 200)).tobytes()
    assert parts[-1].tobytes() == whole.crop((0, 600, 200, 800)).tobytes()
    lying = split_oversized(image.transpose(Image.Transpose.ROTATE_90), (200, 200), SplitOversized())
    assert len(lying) == 5
    assert split_oversized(image, (150, 400), SplitOversized()) == [image]


@given(SIDES, SIDES, st.integers(64, 300), st.integers(64, 300), st.floats(0, 0.9))
def test_parts_have_the_size(width: int, height: int, to_width: int, to_height: int, overlap: float) -> None:
    image = Image.new("RGB", (width, height))
    parts = split_oversized(image, (to_width, to_height), SplitOversized(overlap_ratio=overlap, threshold=1))
    assert parts == [image] or {part.size for part in parts} == {(to_width, to_height)}
    assert focal_crop(image, (to_width, to_height), FocalCrop()).size == (to_width, to_height)


def test_the_focal_point_is_where_something_is() -> None:
    x, y = point_of_interest(spotted(400, 200, 320, 60), FocalCrop())
    assert (x, y) == pytest.approx((0.8, 0.3), abs=0.05)
    assert point_of_interest(Image.new("RGB", (50, 50)), FocalCrop()) == pytest.approx((0.5, 0.5))
    crop = focal_crop(spotted(400, 200, 320, 60), (200, 200), FocalCrop())
    assert crop.tobytes() != Image.new("RGB", (200, 200), "#808080").tobytes()
    only_faces = FocalCrop(face_weight=1, entropy_weight=0, edges_weight=0)
    assert point_of_interest(spotted(400, 200, 320, 60), only_faces, [(0, 0, 40, 40)]) == pytest.approx((0.05, 0.1))


@given(SIDES, SIDES)
def test_the_best_size_lies_within_its_limits(width: int, height: int) -> None:
    settings = AutoCrop()
    result = auto_crop(Image.new("RGB", (width, height)), settings)
    if result is not None:
        assert all(side % 64 == 0 and settings.mindim <= side <= settings.maxdim for side in result.size)
        assert settings.minarea <= result.width * result.height <= settings.maxarea
        assert abs(result.width / result.height - width / height) <= 0.13 * width / height


def test_auto_sized_crop_says_when_it_found_nothing() -> None:
    square = postprocess(Image.new("RGB", (300, 300)), ExtrasRequest(auto_crop=AutoCrop()), Tools())
    assert square.pictures[0][1].size == (640, 640) and not square.notices
    long = postprocess(Image.new("RGB", (1000, 50)), ExtrasRequest(auto_crop=AutoCrop()), Tools())
    assert long.pictures[0][1].size == (1000, 50) and "no size within its limits" in long.notices[0]


def test_flipping() -> None:
    image = spotted(40, 30, 10, 8)
    assert flipped(image, "Both").tobytes() == ImageOps.flip(ImageOps.mirror(image)).tobytes()
    result = postprocess(image, ExtrasRequest(flips=("Horizontal", "Both")), Tools())
    assert [kind for kind, _ in result.pictures] == ["image", "horizontal", "both"]
    assert result.pictures[1][1].tobytes() == ImageOps.mirror(image).tobytes()
    assert result.note == ""


def test_split_then_flipped() -> None:
    settings = ExtrasRequest(upscaling_resize_w=64, upscaling_resize_h=64, split=SplitOversized(), flips=("Vertical",))
    kinds = [kind for kind, _ in postprocess(Image.new("RGB", (64, 160)), settings, Tools()).pictures]
    assert kinds == ["image", "part-2", "part-3", "vertical", "part-2-vertical", "part-3-vertical"]


def test_transparency_is_kept_or_falls_away() -> None:
    image = Image.new("RGBA", (16, 16), (200, 10, 10, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    settings = ExtrasRequest(upscaler_1="Nearest", upscaling_resize=2)
    transparent = postprocess(image, settings, Tools()).pictures[0][1]
    assert transparent.mode == "RGBA" and transparent.size == (32, 32)
    corner = transparent.getpixel((2, 2))
    assert isinstance(corner, tuple) and corner[3] == 0
    assert transparent.getpixel((30, 30)) == (200, 10, 10, 255)
    plain = postprocess(image, settings.model_copy(update={"transparency": False}), Tools()).pictures[0][1]
    assert plain.mode == "RGB"


def test_faces_come_after_enlarging_and_are_blended_in() -> None:
    seen = []

    def restore(name: str, image: Image.Image, weight: float) -> Image.Image:
        seen.append((name, image.size, weight))
        return Image.new("RGB", image.size, "white")

    settings = ExtrasRequest(
        upscaler_1="Nearest", upscaling_resize=2, gfpgan_visibility=0.5, codeformer_visibility=1, codeformer_weight=0.3
    )
    result = postprocess(Image.new("RGB", (8, 8)), settings, Tools(restore=restore))
    assert seen == [("GFPGAN", (16, 16), 0.3), ("CodeFormer", (16, 16), 0.3)]
    assert result.pictures[0][1].getpixel((0, 0)) == (255, 255, 255)
    assert result.note == (
        "Postprocess upscale by: 2, Postprocess upscaler: Nearest, GFPGAN visibility: 0.5, CodeFormer visibility: 1, "
        "CodeFormer weight: 0.3"
    )
    with pytest.raises(PictureError, match="put its file into models/Codeformer"):
        postprocess(Image.new("RGB", (8, 8)), ExtrasRequest(codeformer_visibility=1), Tools())
