"""Networks over HTTP: by the prompt's tag, by the hash in a picture's parameters, and what is not here."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from modules.catalogue.hashes import network_hash_of
from tests.endtoend.house import NO_TLS, PATIENCE, SMALL, House
from tests.networks import write_trained_lora

pytestmark = pytest.mark.server

GOOD = {"sd_model_checkpoint": "good.safetensors"}


def painted(house: House, **fields: Any) -> tuple[bytes, str]:
    """(pixels, infotext) of a small picture by A1111's API."""
    body = SMALL | {"override_settings": GOOD, "save_images": False} | fields
    answer = httpx.post(f"{house.server.url}/sdapi/v1/txt2img", json=body, timeout=PATIENCE, verify=NO_TLS)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
    return image.tobytes(), str(image.info["parameters"])


def test_a_pasted_picture_finds_its_lora_though_the_file_is_named_otherwise(house: House) -> None:
    folder = house.server.data_dir / "models" / "Lora"
    path = write_trained_lora(folder / "sub" / "Tinte [1]é.safetensors", metadata={"ss_output_name": "ink"})
    digits = network_hash_of(path)[:12]
    plain, _ = painted(house, prompt="a cat")
    by_stem, text = painted(house, prompt="a cat <lora:Tinte [1]é:0.8>")
    by_alias, _ = painted(house, prompt="a cat <lora:ink:0.8>")
    assert by_stem == by_alias != plain
    assert f"Tinte [1]é: {digits}" in text
    listed = house.get("/sdapi/v1/loras")
    assert [(one["name"], one["alias"]) for one in listed] == [("Tinte [1]é", "ink")]
    path.rename(folder / "brush.safetensors")
    # Its own alias is gone with a rewritten header; the tensors are the same.
    write_trained_lora(folder / "brush.safetensors")
    again, infotext = painted(house, infotext=text, prompt=None)
    assert again == by_stem
    assert re.search(r"<lora:brush:0\.8>", infotext), infotext
    (folder / "brush.safetensors").unlink()
    missing = house.made(prompt="a cat <lora:brush:0.8>", override_settings=GOOD)
    assert missing["state"] == "finished"
    assert missing["notices"] == ["LoRA not found: brush. The picture is made without it."]


@pytest.mark.long
def test_a_network_that_goes_away_while_its_job_waits_is_left_out(house: House) -> None:
    path: Path = write_trained_lora(house.server.data_dir / "models" / "Lora" / "gone.safetensors")
    long = house.ask(prompt="wait", steps=60, override_settings=GOOD)
    waiting = house.ask(prompt="a cat <lora:gone:1>", override_settings=GOOD)
    path.unlink()
    assert house.ended(long)["state"] == house.ended(waiting)["state"] == "finished"
    assert "Lora hashes" not in str(house.picture(waiting))
