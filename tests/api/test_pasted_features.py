"""What a picture says of the feature that it was made with makes it again, and another than without the feature."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from modules.features.guidance import GUIDANCE
from tests.amounts import some
from tests.api.conftest import SMALL, b64, opened, png
from tests.features.detail.planted import plant
from tests.features.test_guidance_arguments import other_than_default

pytestmark = pytest.mark.server

REQUEST = {"negative_prompt": "blue", "steps": 6, "sampler_name": "Euler", "cfg_scale": 7.5}
TWO = "a red circle BREAK a blue square"
# The mask says everywhere how much of the picture may change.
PICTURES = {"init_images": [b64(png())], "mask": b64(png(seed=1))}
PAINTED_OVER = {**PICTURES, "denoising_strength": 0.8}
# What a picture doesn't say again: it has been drawn of it.
TEMPLATE = re.compile(r", Template: .*?(?=, Version)")
# The arguments that programs send, and what else the request has.
Case = tuple[list[Any], dict[str, Any]]
# By title.
OTHERS: dict[str, Case] = {
    "Regional Prompter": ([True, False, "Matrix", "Columns"], {"prompt": TWO}),
    "Forge Couple": ([True], {"prompt": "a red circle\na blue square"}),
    "Latent Couple": ([True, "1:1,1:2,1:2", "0:0,0:0,0:1", "0.2,0.8,0.8", 4], {"prompt": "cat AND red AND blue"}),
    "Tiled Diffusion": ([True, "Mixture of Diffusers", False, True, 0, 0, 16, 16, 8], {"width": 192, "height": 128}),
    "Detail Daemon": ([True, True, False, "both", 0.0, 1.0, 0.5, 0.5], {}),
    "ADetailer": ([{"ad_model": "for_paste.onnx", "ad_prompt": "[PROMPT], blue[SEP][SKIP]", "ad_mask_blur": 0}], {}),
    "Soft Inpainting": ([True, 1, 0.5, 4, 0, 0.5, 2], PAINTED_OVER),
    "Dynamic Prompts": ([True, True], {"prompt": "a {red|blue|green} circle"}),
}
# Those of guidance that do nothing here with any other values than their defaults.
ACTING: dict[str, Case] = {
    "FreeU": ([True, 1.5, 1.6, 0.9, 0.2], {}),
    "Kohya HRFix": ([True, 1, 2, 0, 1], {}),
    "HyperTile": ([True, 64, 2, 3], {"width": 256, "height": 256, "steps": 2}),
    "NegPiP": ([True], {"prompt": "a red circle, (green:-1.2)"}),
    "Perp-Neg": ([True], {"prompt": "a red circle AND green square :-1"}),
    "Perturbed-attention guidance": ([True, 3], {}),
    "Smoothed-energy guidance": ([True, 11, 3], {}),
}
OWN: dict[str, Case] = {one.title: ([other_than_default(each) for each in one.valued], {}) for one in GUIDANCE}
CASES: dict[str, Case] = OWN | ACTING | OTHERS


@pytest.fixture(scope="module", autouse=True)
def detector(server: Any) -> None:
    plant(server.data_dir / "models" / "adetailer" / "for_paste.onnx", [(0.1, 0.1, 0.6, 0.6)])


def drawn(api: httpx.Client, **fields: Any) -> tuple[bytes, str]:
    """The first picture's pixels and its infotext, with the pictures that it was made over where there are any."""
    call = "img2img" if "mask" in fields else "txt2img"
    answer = api.post(f"/sdapi/v1/{call}", json=fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return opened(body["images"][0]).tobytes(), json.loads(body["info"])["infotexts"][0]


@pytest.mark.parametrize("title", some(CASES, 5))
def test_its_picture_pasted_is_drawn_again(api: httpx.Client, title: str) -> None:
    args, more = CASES[title]
    fields = SMALL | REQUEST | more
    pixels, text = drawn(api, **fields, alwayson_scripts={title: {"args": args}})
    pictures = {name: more[name] for name in PICTURES if name in more}
    assert drawn(api, infotext=text, **pictures) == (pixels, TEMPLATE.sub("", text))
    assert drawn(api, **fields)[0] != pixels, text
