"""Pictures of every program whose metadata is read: found by prompt, model and settings, and named by their program."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import piexif
import piexif.helper
import pytest
from PIL import Image

from modules.gallery.index.service import PictureIndex
from modules.settings import Flags, OptionStore, Paths
from tests.pictures import test_foreign_json as foreign
from tests.pictures.test_metadata import GRAPH, png

A1111 = "a fox\nNegative prompt: fog\nSteps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 6.5, Seed: 3"
FORGE = f"{A1111}, Size: 64x96, Model: flux, Version: f2.0.1v1.10.1-previous-659"
SD_NEXT = f"{A1111}, Size: 64x96, App: SD.Next, Version: 4a4b5ec, Backend: Diffusers"
NOVELAI = {"steps": 30, "sampler": "k_euler", "seed": 3, "scale": 6.5, "uc": "fog"}
INVOKE = {"positive_prompt": "a fox", "negative_prompt": "fog", "steps": 30, "cfg_scale": 6.5, "seed": 3}
OLD_INVOKE = {"image": {"prompt": [{"prompt": "a fox [fog]", "weight": 1}], "steps": 30, "seed": 3, "cfg_scale": 6.5}}
EASY = {"prompt": "a fox", "negative_prompt": "fog", "num_inference_steps": "30", "guidance_scale": "6.5", "seed": "3"}


def jpeg(text: str, form: str = "JPEG") -> bytes:
    comment = piexif.helper.UserComment.dump(text, "unicode")
    file = io.BytesIO()
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}})
    Image.new("RGB", (64, 96)).save(file, form, exif=exif)
    return file.getvalue()


# File name, what is in it, and who made it.
FILES: dict[str, tuple[bytes, str]] = {
    "a1111.png": (png({"parameters": f"{A1111}, Size: 64x96, Version: v1.10.1"}), "AUTOMATIC1111"),
    "old.png": (png({"parameters": f"{A1111}, Size: 64x96"}), "AUTOMATIC1111"),
    "a1111.jpg": (jpeg(f"{A1111}, Size: 64x96, Version: v1.10.1"), "AUTOMATIC1111"),
    "a1111.webp": (jpeg(f"{A1111}, Size: 64x96, Version: v1.10.1", "WEBP"), "AUTOMATIC1111"),
    "own.png": (png({"parameters": f"{A1111}, Size: 64x96, Version: v1.10.1-1-w0.2.0"}), "Web UI"),
    "forge.png": (png({"parameters": FORGE}), "Forge"),
    "sdnext.png": (png({"parameters": SD_NEXT}), "SD.Next"),
    "novelai.png": (
        png({"Software": "NovelAI", "Description": "a fox", "Comment": json.dumps(NOVELAI)}),
        "NovelAI",
    ),
    "invoke.png": (png({"invokeai_metadata": json.dumps(INVOKE)}), "InvokeAI"),
    "old-invoke.png": (png({"sd-metadata": json.dumps(OLD_INVOKE)}), "InvokeAI"),
    "dream.png": (png({"Dream": '"a fox [fog]" -s 30 -S 3 -C6.5 -A k_euler'}), "InvokeAI"),
    "swarm.png": (png({"parameters": json.dumps(foreign.SWARM)}), "SwarmUI"),
    "fooocus.png": (png({"parameters": json.dumps(foreign.FOOOCUS), "fooocus_scheme": "fooocus"}), "Fooocus"),
    "ruined.png": (png({"parameters": json.dumps(foreign.RUINED)}), "RuinedFooocus"),
    "draw-things.png": (png({"XML:com.adobe.xmp": foreign.xmp(foreign.DRAW_THINGS)}), "Draw Things"),
    "easy.png": (png(EASY | {"use_stable_diffusion_model": "sub/xl"}), "Easy Diffusion"),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureIndex]:
    data = tmp_path_factory.mktemp("foreign")
    paths = Paths.from_flags(Flags(data_dir=data))
    folder = data / "outputs" / "others"
    folder.mkdir(parents=True)
    for name, (content, _) in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "comfy.png").write_bytes(png({"prompt": json.dumps(GRAPH), "workflow": "{}"}))
    made = PictureIndex(paths, OptionStore(paths.config_file))
    made.start()
    assert made.wait_until_settled()
    yield made
    made.close()


def names(index: PictureIndex, q: str) -> set[str]:
    return {Path(picture.name).name for picture in index.search.page(q).pictures}


def test_every_programs_pictures_are_found_by_what_they_say(index: PictureIndex) -> None:
    assert names(index, "prompt:fox negative:fog steps:30 seed:3 cfg:6.5") == set(FILES)
    assert names(index, "model:xl lora:ink") == {"swarm.png", "fooocus.png", "ruined.png", "draw-things.png"}
    assert names(index, "bottle lora:ink model:dreamshaper seed:42 sampler:sde") == {"comfy.png"}


def test_they_are_named_by_their_program(index: PictureIndex) -> None:
    said = {picture.name: picture.program for picture in index.search.page().pictures}
    assert said == {name: program for name, (_, program) in FILES.items()} | {"comfy.png": "ComfyUI"}
    assert names(index, "program:invoke") == {"invoke.png", "old-invoke.png", "dream.png"}
