"""From a request body to a request, without a server: sizes of 2022, and the models that an infotext names."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.api.bodies import Img2ImgBody, Txt2ImgBody
from modules.api.extras_routes import extras_routes
from modules.api.submission import generation_request
from modules.catalogue import Catalogue, ModelFolders, network_hash_of, sha256_of
from modules.parameters import RequestError
from modules.settings import OptionStore
from tests.catalogue.files import write_model


@pytest.fixture
def services(tmp_path: Path) -> Any:
    models = tmp_path / "models"
    folders = ModelFolders(checkpoints=(models / "Stable-diffusion",), vaes=(models / "VAE",), loras=(models / "Lora",))
    catalogue = Catalogue(folders, tmp_path / "hashes.json")
    options = OptionStore(tmp_path / "config.json")
    return SimpleNamespace(options=options, catalogue=catalogue, models=models, upscalers=lambda: ())


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({"width": 1024, "height": 768, "firstphase_width": 512, "firstphase_height": 384}, (512, 384, 1024, 768)),
        ({"width": 1024, "height": 768, "firstphase_width": 512}, (512, 384, 1024, 768)),
        ({"width": 1024, "height": 768, "firstphase_height": 512}, (680, 512, 1024, 768)),
        ({"firstphase_width": 256, "firstphase_height": 256, "hr_resize_x": 640}, (256, 256, 640, 0)),
        ({"width": 1024, "firstphase_width": 512, "enable_hr": False}, (1024, 512, 0, 0)),
        ({"width": 1024, "firstphase_width": 0, "firstphase_height": None}, (1024, 512, 0, 0)),
    ],
)
def test_a_first_phase_has_its_own_size(services: Any, fields: dict[str, Any], sizes: tuple[int, ...]) -> None:
    request = generation_request(services, Txt2ImgBody(**{"enable_hr": True} | fields), "txt2img").request
    assert (request.width, request.height, request.hr_resize_x, request.hr_resize_y) == sizes


def test_a_first_phase_too_small_is_named(services: Any) -> None:
    body = Txt2ImgBody(enable_hr=True, firstphase_width=8, firstphase_height=8)
    with pytest.raises(RequestError, match="Width is 8"):
        generation_request(services, body, "txt2img")


def test_an_infotext_finds_its_models_by_hash_and_names_those_that_are_missing(services: Any) -> None:
    pen = network_hash_of(write_model(services.models / "Lora" / "pen.safetensors", content=b"l" * 12))[:12]
    vae = sha256_of(write_model(services.models / "VAE" / "mine.safetensors", content=b"v" * 12))[:10]
    for name in ("ant", "cat"):
        write_model(services.models / "Stable-diffusion" / f"{name}.safetensors", content=name.encode() * 4)
    services.catalogue.refresh()
    infotext = (
        "a <lora:renamed:0.7>\nSteps: 5, Sampler: Euler a, Seed: 1, Size: 64x64, VAE hash: {vae}, VAE: other.pt, "
        'Model: {model}, Lora hashes: "renamed: {pen}, gone: 0123456789ab"'
    )
    filled = infotext.format(vae=vae, pen=pen, model="cat")
    submission = generation_request(services, Txt2ImgBody(infotext=filled), "txt2img")
    assert submission.request.prompt == "a <lora:pen:0.7>"
    assert submission.request.override_settings == {"sd_vae": "mine.safetensors"}
    assert "The LoRA gone (0123456789ab) is not here" in submission.notices[0]
    services.options.update({"disable_weights_auto_swap": False})
    submission = generation_request(services, Txt2ImgBody(infotext=filled), "txt2img")
    assert str(submission.request.override_settings["sd_model_checkpoint"]).startswith("cat.safetensors")
    mine = Txt2ImgBody(infotext=filled, override_settings={"sd_model_checkpoint": "dog"}, prompt="mine")
    request = generation_request(services, mine, "txt2img").request
    assert (request.prompt, request.override_settings["sd_model_checkpoint"]) == ("mine", "dog")


def test_an_upscaler_whose_name_begins_like_a_latent_one_is_looked_for(services: Any) -> None:
    with pytest.raises(RequestError, match="LatentSR_x4"):
        generation_request(services, Txt2ImgBody(enable_hr=True, hr_upscaler="LatentSR_x4"), "txt2img")
    latent = generation_request(services, Txt2ImgBody(enable_hr=True, hr_upscaler="Latent (nearest)"), "txt2img")
    assert latent.request.hr_upscaler == "Latent (nearest)"


@pytest.mark.parametrize("saved", [False, True])
def test_a_program_that_saves_nothing_gets_no_grid(services: Any, saved: bool) -> None:
    submission = generation_request(services, Txt2ImgBody(batch_size=2, save_images=saved), "txt2img")
    assert submission.request.makes_grid is saved


@pytest.mark.parametrize("form", ["PPM", "TGA", "ICO", "PCX"])
def test_only_pictures_of_the_listed_formats_are_opened(services: Any, form: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, form)
    text = base64.b64encode(buffer.getvalue()).decode()
    with pytest.raises(RequestError, match=r"^init_images can't be read as a picture"):
        generation_request(services, Img2ImgBody(init_images=[text]), "img2img")


@pytest.mark.parametrize("side", [8192, 60_000])
def test_texts_are_read_from_pictures_of_any_size(services: Any, side: int) -> None:
    """png-info refused what has more than 64 megapixels, of which it needs none."""
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(
        buffer, "PNG", pnginfo=with_infotext("a cat\nSteps: 5, Sampler: Euler, Seed: 3, Size: 64x64")
    )
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    app = FastAPI()
    app.include_router(extras_routes(services))
    client = TestClient(app)
    body = {"image": base64.b64encode(data).decode()}
    answer = client.post("/sdapi/v1/png-info", json=body)
    assert (answer.status_code, answer.json().get("parameters", {}).get("Seed")) == (200, "3"), answer.text
    with pytest.raises(RequestError, match="64 megapixels"):
        generation_request(services, Img2ImgBody(init_images=[body["image"]]), "img2img")


def with_infotext(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text("parameters", text)
    return info
