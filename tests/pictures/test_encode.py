"""Encoded pictures, read back by Pillow and by piexif (the library that A1111 reads with; a test dependency only)."""

import io
import zlib
from typing import Any

import piexif
import piexif.helper
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.parameters.output_options import ImageFileOptions as Files
from modules.pictures import encode_picture, shareable_copy
from modules.pictures.exif import decode_user_comment, exif_texts, user_comment_exif
from modules.settings.groups import read_options

INFOTEXT = "a cät, 猫 \U0001f408\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7"


def gradient(size: Any = (64, 48), mode: Any = "RGB") -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (ramp, ramp.rotate(90, expand=False), ramp)).convert(mode)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def piexif_comment(exif: bytes) -> str:
    comment: str = piexif.helper.UserComment.load(piexif.load(exif)["Exif"][piexif.ExifIFD.UserComment])
    return comment


def test_png_carries_the_parameters_and_the_same_pixels() -> None:
    data, extension = encode_picture(gradient(), Files(), INFOTEXT)
    with opened(data) as image:
        assert (extension, image.format, image.info["parameters"]) == ("png", "PNG", INFOTEXT)
        assert image.tobytes() == gradient().tobytes()


def test_latin_text_is_a_text_chunk_and_other_text_an_international_one() -> None:
    assert b"tEXtparameters\0a c\xe4t" in encode_picture(gradient(), Files(), "a cät")[0]
    assert b"iTXtparameters\0" in encode_picture(gradient(), Files(), "猫")[0]


def test_png_is_deflated_at_level_one() -> None:
    data, _ = encode_picture(gradient(), Files(), None)
    start = data.index(b"IDAT") + 4
    assert data[start : start + 2] == zlib.compress(b"", 1)[:2]


@pytest.mark.parametrize(("form", "pillow"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("avif", "AVIF")])
def test_other_formats_carry_it_as_user_comment(form: str, pillow: str) -> None:
    data, extension = encode_picture(gradient(), Files(samples_format=form), INFOTEXT)
    with opened(data) as image:
        assert (extension, image.format, image.size) == (form, pillow, (64, 48))
        assert piexif_comment(image.info["exif"]) == INFOTEXT
        assert image.getexif().get_ifd(0x8769)[0x9286].startswith(b"UNICODE\0")


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "avif"])
def test_no_infotext_where_it_is_switched_off_or_missing(form: str) -> None:
    for options, text in (({"enable_pnginfo": False}, INFOTEXT), ({}, None), ({}, "")):
        with opened(
            encode_picture(gradient(), read_options(Files, {"samples_format": form, **options}), text)[0]
        ) as image:
            assert "parameters" not in image.info and not image.info.get("exif")


def test_lossless_webp_keeps_every_pixel() -> None:
    data, _ = encode_picture(gradient(), Files(samples_format="webp", webp_lossless=True), None)
    with opened(data) as image:
        assert image.tobytes() == gradient().tobytes()


def test_quality_changes_the_size() -> None:
    sizes = [len(encode_picture(gradient(), Files(samples_format="jpg", jpeg_quality=q), None)[0]) for q in (20, 95)]
    assert sizes[0] < sizes[1]


def test_a_grid_has_its_own_format() -> None:
    assert encode_picture(gradient(), Files(samples_format="webp", grid_format="jpg"), None, grid=True)[1] == "jpg"


def test_a_picture_too_large_for_the_format_becomes_png() -> None:
    wide = Image.new("L", (16384, 1))
    assert encode_picture(wide, Files(samples_format="webp"), INFOTEXT)[1] == "png"
    assert encode_picture(Image.new("L", (65501, 1)), Files(samples_format="jpg"), None)[1] == "png"
    assert encode_picture(wide, Files(samples_format="jpg"), None)[1] == "jpg"


def test_an_infotext_too_long_for_jpeg_is_kept_in_a_png() -> None:
    long = "word " * 200_000
    data, extension = encode_picture(gradient(), Files(samples_format="jpg"), long)
    with opened(data) as image:
        assert extension == "png" and image.info["parameters"] == long
    data, extension = encode_picture(gradient(), Files(samples_format="webp"), long)
    with opened(data) as image:
        assert extension == "webp" and piexif_comment(image.info["exif"]) == long


def test_an_unknown_format_becomes_png() -> None:
    assert encode_picture(gradient(), Files(samples_format="exe"), None)[1] == "png"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "CMYK", "YCbCr", "F"])
@pytest.mark.parametrize("form", ["png", "jpg", "webp", "avif"])
def test_every_mode_can_be_saved_in_every_format(mode: str, form: str) -> None:
    image = Image.new(mode, (16, 16))
    data, extension = encode_picture(image, Files(samples_format=form), INFOTEXT)
    assert extension == form
    with opened(data) as read:
        read.load()


def test_further_png_texts() -> None:
    data, _ = encode_picture(gradient(), Files(), INFOTEXT, chunks={"postprocessing": "Postprocess upscale by: 4"})
    with opened(data) as image:
        assert image.info["postprocessing"] == "Postprocess upscale by: 4"


def test_lone_surrogates_do_not_stop_a_picture() -> None:
    for form in ("png", "jpg"):
        data, _ = encode_picture(gradient(), Files(samples_format=form), "a \ud800 b")
        with opened(data) as image:
            text = image.info.get("parameters") or piexif_comment(image.info["exif"])
        assert text == "a \ufffd b"


def test_a_shareable_copy_only_when_it_is_requested_and_needed() -> None:
    small = gradient()
    assert shareable_copy(small, 1000, Files(), None) is None
    assert shareable_copy(small, 10**9, Files(export_for_4chan=False), None) is None
    assert shareable_copy(small, 4 * 1024 * 1024, Files(), None) is None
    copy = shareable_copy(small, 4 * 1024 * 1024 + 1, Files(), INFOTEXT)
    assert copy is not None
    with opened(copy) as image:
        assert image.size == small.size and piexif_comment(image.info["exif"]) == INFOTEXT


@pytest.mark.parametrize(
    "raw",
    [
        b"UNICODE\0" + INFOTEXT.encode("utf-16-be"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16-le"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16"),
        b"UNICODE\0" + INFOTEXT.encode("utf-8"),
        b"ASCII\0\0\0" + INFOTEXT.encode("utf-8"),
        b"\0" * 8 + INFOTEXT.encode("utf-8"),
        INFOTEXT.encode("utf-8"),
        INFOTEXT.encode("utf-8") + b"\0\0",
        INFOTEXT.encode("utf-16-le"),
    ],
)
def test_user_comments_as_they_are_found(raw: Any) -> None:
    assert decode_user_comment(raw) == INFOTEXT


def test_piexif_writes_what_we_read() -> None:
    block = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(INFOTEXT, "unicode")}})
    assert decode_user_comment(exif_texts(block)[0x9286]) == INFOTEXT
    japanese = piexif.helper.UserComment.dump("日本", "jis")
    assert decode_user_comment(japanese)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: "\0" not in t))
def test_every_text_can_be_read_by_the_oracle(text: Any) -> None:
    assert piexif_comment(user_comment_exif(text)) == text


@given(st.binary(max_size=200))
def test_reading_exif_never_raises(tail: bytes) -> None:
    good = user_comment_exif("a cat, Steps: 20")
    for block in (tail, b"Exif\0\0II*\0" + tail, b"MM\0*" + tail, good[: len(tail)] + tail, good[:40] + tail):
        for raw in exif_texts(block).values():
            decode_user_comment(raw)
