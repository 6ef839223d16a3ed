"""Reading back what we wrote, what others wrote, and what is no picture."""

import io
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import piexif
import piexif.helper
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.parameters import parse_infotext
from modules.parameters.output_options import ImageFileOptions as Files
from modules.pictures import ImageMetadata, PictureError, encode_picture, read_metadata

INFOTEXT = "a cät, 猫\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7"


def png(texts: dict[str, str] | None = None, size: Any = (64, 96)) -> bytes:
    info = PngInfo()
    for key, value in (texts or {}).items():
        info.add_text(key, value)
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "avif"])
def test_what_we_write_comes_back(form: str, tmp_path: Path) -> None:
    data, extension = encode_picture(Image.new("RGB", (64, 32)), Files(samples_format=form), INFOTEXT)
    read = read_metadata(data)
    assert (read.infotext, read.width, read.height) == (INFOTEXT, 64, 32)
    (tmp_path / f"a.{extension}").write_bytes(data)
    assert read_metadata(tmp_path / f"a.{extension}") == read


def test_a_megabyte_of_prompt_comes_back() -> None:
    prompt = "ein Hündchen, " * 80_000 + "\nSteps: 20, Sampler: Euler a, CFG scale: 7"
    for form in ("png", "jpg", "webp"):
        assert (
            read_metadata(encode_picture(Image.new("RGB", (8, 8)), Files(samples_format=form), prompt)[0]).infotext
            == prompt
        )


def test_other_texts_are_kept_as_items() -> None:
    read = read_metadata(png({"parameters": INFOTEXT, "postprocessing": "Postprocess upscale by: 4", "Title": "x"}))
    assert read == ImageMetadata(INFOTEXT, {"postprocessing": "Postprocess upscale by: 4", "Title": "x"}, 64, 96, "PNG")


def test_the_user_comment_wins_over_the_png_text() -> None:
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(INFOTEXT, "unicode")}})
    info = PngInfo()
    info.add_text("parameters", "older")
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info, exif=exif)
    read = read_metadata(file.getvalue())
    assert read.infotext == INFOTEXT and read.items == {"exif comment": INFOTEXT}


def test_gif_comments() -> None:
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF", comment=INFOTEXT.encode())
    assert read_metadata(file.getvalue()).infotext == INFOTEXT


def test_a_text_behind_the_pixels_is_found() -> None:
    data = png()
    body = b"tEXtparameters\0late"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = data.rindex(b"\0\0\0\0IEND")
    assert read_metadata(data[:end] + chunk + data[end:]).infotext == "late"


def test_a_picture_without_texts() -> None:
    assert read_metadata(png()) == ImageMetadata("", {}, 64, 96, "PNG")


def test_a_truncated_picture_still_tells_its_infotext() -> None:
    data = encode_picture(Image.effect_noise((64, 64), 99), Files(), INFOTEXT)[0]
    assert read_metadata(data[: len(data) // 2]).infotext == INFOTEXT


def test_a_text_that_inflates_without_end_is_refused() -> None:
    body = b"zTXtparameters\0\0" + zlib.compress(bytes(50_000_000))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = png()
    with pytest.raises(PictureError):
        read_metadata(data[:33] + chunk + data[33:])


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF", b"GIF89a", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_said_in_one_sentence(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"^The file can't be read as a picture"):
        read_metadata(data)
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(PictureError, match=r"^x\.png can't be read as a picture"):
        read_metadata(tmp_path / "x.png")


def test_novelai() -> None:
    comment = {
        "steps": 28,
        "sampler": "k_euler_ancestral",
        "seed": 123,
        "strength": 0.7,
        "scale": 11.0,
        "uc": "lowres, bad",
    }
    read = read_metadata(png({"Software": "NovelAI", "Description": "1girl, {garden}", "Comment": json.dumps(comment)}))
    assert read.infotext == (
        "1girl, {garden}\nNegative prompt: lowres, bad\n"
        "Steps: 28, Sampler: Euler a, CFG scale: 11.0, Seed: 123, Size: 64x96, Clip skip: 2, ENSD: 31337"
    )
    assert parse_infotext(read.infotext)["Sampler"] == "Euler a"


def test_invokeai() -> None:
    metadata = {
        "positive_prompt": "a fox",
        "negative_prompt": "blur",
        "steps": 30,
        "scheduler": "dpmpp_2m_k",
        "cfg_scale": 7.5,
        "seed": 9,
        "model": {"name": "Dreamy", "hash": "blake3:x"},
        "loras": [{"model": {"name": "ink"}, "weight": 0.75}],
    }
    said = parse_infotext(read_metadata(png({"invokeai_metadata": json.dumps(metadata)})).infotext)
    assert said["Prompt"] == "a fox <lora:ink:0.75>" and said["Negative prompt"] == "blur"
    assert (said["Sampler"], said["Schedule type"], said["Model"], said["CFG scale"]) == (
        "DPM++ 2M",
        "Karras",
        "Dreamy",
        "7.5",
    )


@pytest.mark.parametrize("metadata", ['{"seed": {"a": [1]}, "model": "x"}', '{"app_version": "3.0"}'])
def test_a_size_alone_is_no_parameters(metadata: str) -> None:
    assert read_metadata(png({"invokeai_metadata": metadata})).infotext == ""


def test_old_invokeai() -> None:
    old = {
        "model_weights": "sd-1.5",
        "image": {
            "prompt": [{"prompt": "a fox", "weight": 1}],
            "steps": 50,
            "seed": 3,
            "cfg_scale": 7.5,
            "sampler": "k_lms",
        },
    }
    said = parse_infotext(read_metadata(png({"sd-metadata": json.dumps(old)})).infotext)
    assert (said["Prompt"], said["Sampler"], said["Steps"], said["Model"]) == ("a fox", "LMS", "50", "sd-1.5")


def test_the_first_invokeai() -> None:
    line = '"a fox in \\"snow\\" [blurry] at dawn [fog]" -s 50 -S 3 -W 512 -H 640 -C7.5 -A k_dpm_2_a'
    said = parse_infotext(read_metadata(png({"Dream": line})).infotext)
    assert (said["Prompt"], said["Negative prompt"]) == ('a fox in "snow" at dawn', "blurry, fog")
    assert (said["Steps"], said["Seed"], said["CFG scale"], said["Size-2"]) == ("50", "3", "7.5", "640")
    assert said["Sampler"] == "DPM2 a"
    assert parse_infotext(read_metadata(png({"Dream": "bare words -s9 -S1 -C2"})).infotext)["Prompt"] == "bare words"
    # Brackets hold negative words in the JSON of that time as well.
    old = {"image": {"prompt": [{"prompt": "a fox [fog]", "weight": 1}], "steps": 5, "seed": 3, "cfg_scale": 7.5}}
    said = parse_infotext(read_metadata(png({"sd-metadata": json.dumps(old)})).infotext)
    assert (said["Prompt"], said["Negative prompt"]) == ("a fox", "fog")


GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": ["20", 0],
            "cfg": 8.0,
            "sampler_name": "dpmpp_2m_sde_gpu",
            "scheduler": "karras",
            "denoise": 1.0,
            "model": ["10", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub\\dreamshaper_8.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 512, "batch_size": 1}},
    "6": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["8", 0], "conditioning_2": ["8", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["4", 1]}},
    "8": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["4", 1]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "a bottle, (glass:1.2)"}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.6, "model": ["4", 0]},
    },
    "20": {"class_type": "PrimitiveInt", "inputs": {"value": 25}},
}

COMFY_SAID = (
    "a bottle, (glass:1.2) <lora:ink:0.6>\nNegative prompt: watermark\n"
    "Steps: 25, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 8.0, Seed: 42, Size: 768x512, "
    "Model: dreamshaper_8, RNG: CPU, Version: ComfyUI"
)


def test_comfyui_png() -> None:
    read = read_metadata(png({"prompt": json.dumps(GRAPH), "workflow": "{}"}))
    assert read.infotext == COMFY_SAID and read.items["workflow"] == "{}"


def test_comfyui_webp() -> None:
    exif = piexif.dump({"0th": {0x0110: f"prompt:{json.dumps(GRAPH)}".encode(), 0x010F: b"workflow:{}"}})
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP", exif=exif)
    assert read_metadata(file.getvalue()).infotext == COMFY_SAID


def test_an_infotext_wins_over_a_graph() -> None:
    assert read_metadata(png({"parameters": INFOTEXT, "prompt": json.dumps(GRAPH)})).infotext == INFOTEXT


@pytest.mark.parametrize(
    "graph",
    [
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"1": 5}',
        '{"1": {"inputs": []}}',
        "{}",
        json.dumps({"1": {"inputs": {"steps": ["1", 0], "positive": ["1", 0], "model": ["1", 0], "seed": ["2", 0]}}}),
        json.dumps(
            {
                "1": {
                    "inputs": {
                        "steps": 1e999,
                        "positive": [["x"], 0],
                        "width": "w",
                        "latent_image": ["1", 0],
                        "height": 0,
                    }
                }
            }
        ),
        json.dumps(
            {str(n): {"inputs": {"steps": 1, "positive": [str(n + 1), 0], "x": [str(n), 0]}} for n in range(3000)}
        ),
        '{"1": {"inputs": {"steps": 1, "positive": 2, "seed": ' + "9" * 5000 + "}}}",
    ],
)
def test_odd_graphs_do_no_harm(graph: Any) -> None:
    for key in ("prompt", "invokeai_metadata", "sd-metadata"):
        read_metadata(png({key: graph}))
    read_metadata(png({"Software": "NovelAI", "Comment": graph}))


@pytest.mark.filterwarnings("ignore")  # a header that claims more pixels than Pillow likes
def test_mutated_files_never_raise_anything_else() -> None:
    rng = random.Random(7)
    seeds = [
        encode_picture(Image.effect_noise((16, 16), 50).convert("RGB"), Files(samples_format=form), INFOTEXT)[0]
        for form in ("png", "jpg", "webp", "avif")
    ]
    seeds.append(png({"prompt": json.dumps(GRAPH)}))
    read = 0
    for _ in range(10_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(data))
            if rng.random() < 0.3:
                del data[place : place + rng.randrange(1, 20)]
            else:
                data[place] = rng.randrange(256)
            if not data:
                break
        try:
            read_metadata(bytes(data)).infotext.encode()
            read += 1
        except PictureError:
            pass
    assert read > 100
