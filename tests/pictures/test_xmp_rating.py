"""Ratings in files: read back by Pillow, with every other byte of pixels and texts as it was."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.pictures.metadata import read_metadata
from modules.pictures.opening import PictureError
from modules.pictures.xmp_rating import rating_in, with_rating

LIGHTROOM = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="x" xmp:Rating="2">'
    b"<xmp:Label>Red</xmp:Label></rdf:Description></rdf:RDF></x:xmpmeta>"
)
ELEMENT = LIGHTROOM.replace(b' xmp:Rating="2"', b"").replace(b"<xmp:Label>", b"<xmp:Rating>2</xmp:Rating><xmp:Label>")
UNRATED = LIGHTROOM.replace(b' xmp:Rating="2"', b"")


def written(form: str, mode: str = "RGB", xmp: bytes | None = None, **how: Any) -> bytes:
    image = Image.effect_noise((37, 21), 60).convert(mode)
    file = io.BytesIO()
    if form == "PNG":
        info = PngInfo()
        info.add_text("parameters", "a cat, 猫\nSteps: 20, Seed: 5")
        if xmp is not None:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=how.pop("zip", False))
        image.save(file, form, pnginfo=info, **how)
    else:
        if how.pop("texts", True):
            how["exif"] = Image.Exif()
            how["exif"][0x9286] = b"UNICODE\0" + "a cat\nSteps: 20, Seed: 5".encode("utf-16-be")
        if xmp is not None:
            how["xmp"] = xmp
        image.save(file, form, **how)
    return file.getvalue()


CASES = {
    "png": written("PNG"),
    "png with xmp": written("PNG", xmp=LIGHTROOM),
    "png with zipped xmp": written("PNG", xmp=ELEMENT, zip=True),
    "png with transparency": written("PNG", "RGBA", UNRATED),
    "jpeg": written("JPEG"),
    "jpeg without texts": written("JPEG", texts=False),
    "jpeg with xmp": written("JPEG", xmp=LIGHTROOM),
    "progressive jpeg": written("JPEG", xmp=UNRATED, progressive=True),
    "webp": written("WEBP"),
    "simple webp": written("WEBP", texts=False),
    "simple lossless webp": written("WEBP", texts=False, lossless=True),
    "simple lossless webp with transparency": written("WEBP", "RGBA", texts=False, lossless=True, exact=True),
    "webp with xmp": written("WEBP", xmp=ELEMENT, lossless=True),
}


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("case", CASES)
def test_a_rating_is_read_back_and_nothing_else_changes(case: str) -> None:
    data = CASES[case]
    rated = with_rating(data, 4)
    before, after = opened(data), opened(rated)
    assert (after.mode, after.size, after.tobytes()) == (before.mode, before.size, before.tobytes())
    assert after.getexif().tobytes() == before.getexif().tobytes()
    assert read_metadata(rated).infotext == read_metadata(data).infotext
    assert rating_in(after.info["xmp"]) == read_metadata(rated).rating == 4
    if "xmp" in before.info:
        assert b"Red" in after.info["xmp"] and after.info["xmp"].count(b"Rating") in (1, 2)
    # Once more, and taken away: the file does not grow.
    assert read_metadata(with_rating(rated, 1)).rating == 1
    none = with_rating(rated, 0)
    assert (read_metadata(none).rating, len(none)) == (0, len(rated))
    assert with_rating(none, 4) == rated


def test_what_can_not_hold_a_rating_is_said() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "BMP")
    with pytest.raises(PictureError, match="only PNG, JPEG and WebP"):
        with_rating(file.getvalue(), 3)
    mpf = written("JPEG")[:2] + b"\xff\xe2" + struct.pack(">H", 6) + b"MPF\0" + written("JPEG")[2:]
    with pytest.raises(PictureError, match="several pictures"):
        with_rating(mpf, 3)
    with pytest.raises(PictureError, match="XMP can't be read"):
        with_rating(written("JPEG", xmp=b"<nothing/>"), 3)
    full = UNRATED.replace(b"Red", b"R" * (65_500 - len(UNRATED)))
    with pytest.raises(PictureError, match="no room"):
        with_rating(written("JPEG", xmp=full), 3)


@given(st.sampled_from(sorted(CASES)), st.data())
def test_damaged_files_are_refused_or_changed_and_never_anything_else(case: str, data: st.DataObject) -> None:
    whole = CASES[case]
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    place = data.draw(st.integers(0, max(0, len(cut) - 1)))
    broken = cut[:place] + data.draw(st.binary(max_size=3)) + cut[place:]
    try:
        with_rating(broken, 5)
    except PictureError:
        return
