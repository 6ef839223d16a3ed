"""JSON of other programs where A1111's infotext stands, and what lies where in a PNG."""

from __future__ import annotations

import html
import io
import json
import struct
import zlib
from typing import Any

import piexif
import piexif.helper
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.parameters import parse_infotext
from modules.pictures import read_metadata
from modules.pictures.opening import PictureError
from modules.pictures.png_texts import png_texts

INFOTEXT = "a fox\nSteps: 20, Sampler: Euler a, CFG scale: 7"

SWARM = {
    "sui_image_params": {
        "prompt": "a fox",
        "negativeprompt": "fog",
        "model": "folder/xl_base_1.0",
        "seed": 3,
        "steps": 30,
        "cfgscale": 6.5,
        "width": 832,
        "height": 1216,
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "loras": ["ink"],
        "loraweights": ["0.8"],
        "swarm_version": "0.9.4.0",
    },
    "sui_extra_data": {"date": "2025-01-01"},
}
FOOOCUS = {
    "prompt": "a fox",
    "negative_prompt": "fog",
    "base_model": "xl_base_1.0.safetensors",
    "base_model_hash": "31e35c80fc4829d1",
    "guidance_scale": 6.5,
    "resolution": "(832, 1216)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "3",
    "steps": 30,
    "loras": [["ink.safetensors", 0.8, "0123456789"]],
    "metadata_scheme": "fooocus",
    "version": "Fooocus v2.5.5",
}
RUINED = {
    "Prompt": "a fox",
    "Negative": "fog",
    "steps": 30,
    "cfg": 6.5,
    "width": 832,
    "height": 1216,
    "seed": 3,
    "sampler_name": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "base_model_name": "xl_base_1.0.safetensors",
    "loras": [["0.8", "ink.safetensors"]],
    "software": "RuinedFooocus",
}
DRAW_THINGS = {
    "c": "a fox",
    "uc": "fog",
    "model": "xl_base_1.0.ckpt",
    "sampler": "DPM++ 2M SDE Karras",
    "scale": 6.5,
    "seed": 3,
    "size": "832x1216",
    "steps": 30,
    "strength": 1,
    "lora": [{"model": "ink.ckpt", "weight": 0.8}],
}


def png(texts: dict[str, str]) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    file = io.BytesIO()
    Image.new("RGB", (64, 96)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def xmp(comment: dict[str, Any]) -> str:
    text = html.escape(json.dumps(comment))
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><exif:UserComment><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF>'
    )


@pytest.mark.parametrize(
    "texts",
    [
        {"parameters": json.dumps(SWARM)},
        {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
        {"parameters": json.dumps(RUINED)},
        {"XML:com.adobe.xmp": xmp(DRAW_THINGS)},
    ],
)
def test_other_programs_json_is_read_as_parameters(texts: dict[str, str]) -> None:
    read = read_metadata(png(texts))
    said = parse_infotext(read.infotext)
    assert (said["Prompt"], said["Negative prompt"]) == ("a fox <lora:ink:0.8>", "fog")
    assert (said["Steps"], said["Seed"], said["CFG scale"]) == ("30", "3", "6.5")
    assert (said["Sampler"], said["Schedule type"]) == ("DPM++ 2M SDE", "Karras")
    assert (said["Size-1"], said["Size-2"], said["Model"]) == ("832", "1216", "xl_base_1.0")
    # What the program wrote stays to be seen.
    assert texts.items() <= read.items.items()


def test_the_same_in_a_jpeg() -> None:
    comment = piexif.helper.UserComment.dump(json.dumps(SWARM), "unicode")
    file = io.BytesIO()
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}})
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    assert parse_infotext(read_metadata(file.getvalue()).infotext)["Seed"] == "3"


def test_easy_diffusion_writes_each_value_by_itself() -> None:
    texts = {
        "prompt": "a fox",
        "negative_prompt": "fog",
        "num_inference_steps": "30",
        "guidance_scale": "6.5",
        "seed": "3",
        "sampler_name": "euler_a",
        "use_stable_diffusion_model": "sub/xl_base_1.0",
    }
    said = parse_infotext(read_metadata(png(texts)).infotext)
    assert (said["Prompt"], said["Negative prompt"], said["Steps"]) == ("a fox", "fog", "30")
    assert (said["Sampler"], said["Model"]) == ("Euler a", "xl_base_1.0")


@pytest.mark.parametrize("odd", ['{"a": 1}', '{"prompt": 5, "steps": {}}', '{"seed": 1}'])
def test_json_that_holds_no_parameters_is_no_prompt(odd: str) -> None:
    read = read_metadata(png({"parameters": odd}))
    assert parse_infotext(read.infotext)["Prompt"] == ""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def inserted(data: bytes, chunks: bytes, *, behind: bool) -> bytes:
    """`data` with `chunks` before or behind its pixels."""
    place = data.index(b"IEND" if behind else b"IDAT") - 4
    return data[:place] + chunks + data[place:]


def test_utf8_in_a_text_chunk_that_should_be_latin1() -> None:
    infotext = "Füchse, 狐\nSteps: 20, Sampler: Euler a, CFG scale: 7"
    read = read_metadata(inserted(png({}), chunk(b"tEXt", b"parameters\0" + infotext.encode()), behind=False))
    assert read.infotext == infotext
    latin = "Füchse\nSteps: 20, Sampler: Euler a, CFG scale: 7"
    read = read_metadata(inserted(png({}), chunk(b"tEXt", b"parameters\0" + latin.encode("latin-1")), behind=False))
    assert read.infotext == latin


@pytest.mark.parametrize(
    "content",
    [
        chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode()),
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(INFOTEXT.encode())),
        chunk(b"iTXt", b"parameters\0\0\0\0\0" + INFOTEXT.encode()),
        chunk(b"iTXt", b"parameters\0\1\0en\0Parameter\0" + zlib.compress(INFOTEXT.encode())),
        chunk(
            b"eXIf",
            piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(INFOTEXT, "unicode")}})[
                6:
            ],
        ),
    ],
)
def test_texts_behind_the_pixels_count_where_no_infotext_is_before(content: bytes) -> None:
    other = png({"Software": "Paint"})
    read = read_metadata(inserted(other, content, behind=True))
    assert read.infotext == INFOTEXT and read.items["Software"] == "Paint"
    before = png({"parameters": "older\nSteps: 1, Seed: 2, CFG scale: 3"})
    assert read_metadata(inserted(before, content, behind=True)).infotext.startswith("older")


@pytest.mark.parametrize("side", [9000, 60_000])
def test_texts_are_read_at_any_size(side: int) -> None:
    """Nothing is decoded: the pixels aren't even there."""
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    text = chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode())
    for chunks in (text + chunk(b"IDAT", b"x"), chunk(b"IDAT", b"x") + text):
        read = read_metadata(b"\x89PNG\r\n\x1a\n" + ihdr + chunks + chunk(b"IEND", b""))
        assert (read.infotext, read.width) == (INFOTEXT, side)


def test_texts_behind_the_pixels_that_inflate_without_end_are_refused() -> None:
    packed = zlib.compress(b"a" * 2**20)
    texts = b"".join(chunk(b"zTXt", b"k%d\0\0" % number + packed) for number in range(80))
    with pytest.raises(PictureError):
        read_metadata(inserted(png({}), texts, behind=True))


def test_odd_chunks_end_the_search_quietly() -> None:
    odd = [b"tEXt", b"tEXt\0", b"iTXt", b"iTXtx\0\1", b"zTXtx\0\0nothing", b"eXIfMM"]
    for start in odd:
        data = inserted(png({"a": "b"}), chunk(start[:4], start[4:]), behind=True)
        assert png_texts(io.BytesIO(data))[0] == {"a": "b"}
    assert png_texts(io.BytesIO(png({"a": "b"})[:-30] + b"\xff" * 40))[0] == {"a": "b"}
    assert png_texts(io.BytesIO(b"no PNG")) == ({}, {}, b"")
