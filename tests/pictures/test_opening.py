"""Pictures as people bring them: odd colours, odd headers, damage; and what is refused before it is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.pictures.opening import PictureError, is_animated, open_picture, picture_size


def encoded(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **more)
    return buffer.getvalue()


def header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels: decoding it would fail, looking at it does not."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + ihdr))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + ihdr + crc + struct.pack(">I", 0) + b"IDAT"


def sentence(data: bytes) -> str:
    with pytest.raises(PictureError) as refusal:
        open_picture(data, "The mask")
    message = str(refusal.value)
    assert message.startswith("The mask") and "\n" not in message and message.endswith(".") and len(message) < 200
    return message


def test_one_pixel_is_a_picture() -> None:
    image = open_picture(encoded(Image.new("RGB", (1, 1), (1, 2, 3))), "x")
    assert image.size == (1, 1) and image.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("size", [(20_000, 20_000), (8001, 8000), (1, 2**31 - 1)])
def test_a_huge_picture_is_refused_by_its_header(size: tuple[int, int]) -> None:
    data = header_only(*size)
    assert "megapixels" in sentence(data)
    with pytest.raises(PictureError, match="megapixels"):
        picture_size(data, "The picture")


def test_a_large_picture_is_looked_at_without_decoding() -> None:
    assert picture_size(header_only(8000, 8000), "x") == (8000, 8000)


def test_cmyk_becomes_rgb() -> None:
    image = open_picture(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"), "x")
    red, green, blue = image.getpixel((1, 1))  # type: ignore[misc]  # a tuple in RGB and RGBA
    assert image.mode == "RGB" and red > 200 and green < 60 and blue < 60


def test_16_bits_are_scaled_rather_than_cut_off() -> None:
    grey = np.array([[0, 0x0100, 0x7FFF, 0xFFFF]], dtype=np.uint16)
    image = open_picture(encoded(Image.fromarray(grey)), "x")
    assert image.mode == "RGB"
    assert [image.getpixel((x, 0))[0] for x in range(4)] == [0, 1, 127, 255]  # type: ignore[index]  # a tuple in RGB and RGBA


def test_floats_are_taken_as_shares_or_as_bytes() -> None:
    for top in (1.0, 255.0):
        image = open_picture(encoded(Image.fromarray(np.array([[0.0, top]], dtype=np.float32)), "TIFF"), "x")
        assert image.getpixel((1, 0)) == (255, 255, 255)


def test_of_an_animation_the_first_frame_is_used() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for form in ("GIF", "PNG", "WEBP"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert is_animated(data)
        red, _, blue = open_picture(data, "x").convert("RGB").getpixel((4, 4))  # type: ignore[misc]  # a tuple in RGB and RGBA
        assert red > 200 and blue < 60
    assert not is_animated(encoded(frames[0]))
    assert not is_animated(b"nothing")


def test_a_rotated_photograph_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    data = encoded(image, "JPEG", exif=exif, quality=95)
    assert picture_size(data, "x") == (20, 40)
    upright = open_picture(data, "x")
    assert upright.size == (20, 40)
    # Turned a quarter clockwise, the left half is the upper one.
    assert upright.getpixel((10, 4))[0] < 40 < 200 < upright.getpixel((10, 36))[0]  # type: ignore[index]  # a tuple in RGB and RGBA


@pytest.mark.parametrize("mode", ["P", "LA", "L", "1", "RGBA"])
def test_every_mode_ends_as_rgb_or_rgba(mode: str) -> None:
    image = Image.new("RGBA", (6, 6), (200, 10, 10, 0)).convert(mode)
    opened = open_picture(encoded(image), "x")
    assert opened.mode == ("RGBA" if mode in ("P", "LA", "RGBA") else "RGB")


def test_a_palette_with_transparency_keeps_it() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    opened = open_picture(encoded(image, transparency=0), "x")
    assert opened.getpixel((0, 0))[3] == 0 and opened.getpixel((1, 0)) == (0, 255, 0, 255)  # type: ignore[index]  # a tuple in RGB and RGBA


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_one_sentence(form: str) -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    data = encoded(noise, form)
    sentence(data[: len(data) // 2])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_picture_are_one_sentence(data: bytes) -> None:
    assert "can't be read as a picture" in sentence(data)


def test_no_format_that_runs_a_program_is_opened() -> None:
    assert "can't be read" in sentence(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
