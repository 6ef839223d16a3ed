"""Flux.1 as programs use it: over the API, its parts in files of their own, through the real engine."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.endtoend.house import FLAGS, House, one_sentence
from tests.endtoend.test_controlnet import base64_of, picture
from tests.flux2_files import flux2_lora
from tests.flux_files import flux_lora, make_flux, write_flux
from tests.server.server import Server

pytestmark = pytest.mark.server

NAME, SCHNELL = "flux1-dev.safetensors", "flux1-schnell.safetensors"
REQUEST = {
    "prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7, "sampler_name": "Euler",
    "scheduler": "Simple", "cfg_scale": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose parts of Flux.1 lie where Forge's and ComfyUI's users have them."""
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models"
    files = write_flux(folder / "made", dtype="bf16")
    schnell = write_flux(folder / "schnell", modules=make_flux(guided=False), dtype="bf16")
    assert files.vae is not None
    clip, t5 = files.texts
    for made, place in (
        (files.checkpoint, f"diffusion_models/{NAME}"),
        (schnell.checkpoint, f"diffusion_models/{SCHNELL}"),
        (files.vae, "VAE/ae.safetensors"),
        (clip, "text_encoders/clip_l.safetensors"),
        (t5, "text_encoder/t5xxl_fp16.safetensors"),
    ):
        (models / place).parent.mkdir(parents=True, exist_ok=True)
        made.rename(models / place)
    (models / "Lora").mkdir()
    save_file(flux_lora(), models / "Lora" / "ink.safetensors")
    save_file(flux2_lora(), models / "Lora" / "klein.safetensors")
    with Server(folder, *FLAGS, module="modules.server") as server:
        yield House(server)


def made(house: House, path: str = "txt2img", name: str = NAME, **more: Any) -> tuple[np.ndarray, str]:
    options = {"sd_model_checkpoint": name} | more.pop("override_settings", {})
    answer = house.post(f"/sdapi/v1/{path}", **{**REQUEST, **more}, override_settings=options)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
    return np.asarray(image.convert("RGB"), dtype=np.float32), str(image.info["parameters"])


def test_pictures_are_guided_enlarged_and_changed_by_loras(house: House) -> None:
    first, text = made(house)
    assert "CFG scale: 1, Distilled CFG Scale: 3.5, Seed" in text.replace("1.0", "1") and "Shift" not in text
    assert "Module 1: clip_l, Module 2: t5xxl_fp16" in text and "VAE: ae.safetensors" in text
    assert first.std() > 5 and first.shape == (64, 64, 3)
    guided, text = made(house, distilled_cfg_scale=30)
    assert "Distilled CFG Scale: 30.0" in text and np.abs(guided - first).mean() > 0.3
    changed, text = made(house, prompt="a red circle <lora:ink:1>")
    assert "Lora hashes" in text and np.abs(changed - first).mean() > 0.5
    answer = house.post(
        "/sdapi/v1/txt2img",
        **{**REQUEST, "prompt": "a red circle <lora:klein:1>"},
        override_settings={"sd_model_checkpoint": NAME},
    )
    said = f"The LoRA klein was left out: it is for Flux.2 klein 4B, and {NAME} is Flux.1 dev."
    assert said in json.loads(answer.json()["info"])["comments"]
    hires: dict[str, Any] = {"enable_hr": True, "denoising_strength": 0.5}
    assert made(house, "txt2img", **hires, hr_scale=1.5, hr_upscaler="Latent")[0].shape == (96, 96, 3)
    assert np.array_equal(made(house)[0], first)
    schnell, text = made(house, name=SCHNELL, distilled_cfg_scale=3.5)
    assert "Distilled" not in text and "Shift" not in text and np.abs(schnell - first).mean() > 0.5


def test_a_picture_is_painted_over_and_inpainted(house: House) -> None:
    given: dict[str, Any] = {"init_images": [base64_of(picture())], "denoising_strength": 0.6}
    over, text = made(house, "img2img", **given)
    assert over.shape == (64, 64, 3) and "Denoising strength: 0.6" in text
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 32))
    inpainted, _ = made(house, "img2img", **given, mask=base64_of(mask), mask_blur=0)
    original = np.asarray(picture(), dtype=np.float32)
    assert np.abs(inpainted[32:] - original[32:]).max() <= 1 < np.abs(inpainted[:16] - original[:16]).mean()


def test_what_does_not_fit_is_one_sentence(house: House) -> None:
    """Before anything is loaded; a LoRA of another family is left out with a sentence."""

    def refusal(**more: Any) -> str:
        answer = house.post(
            "/sdapi/v1/txt2img", **{**REQUEST, "override_settings": {"sd_model_checkpoint": NAME}, **more}
        )
        said = str(answer.json()["detail"])
        assert answer.status_code == 422 and one_sentence(said), answer.text
        return said

    assert "choose another sampler" in refusal(sampler_name="PLMS")
    models = house.server.data_dir / "models"
    for place, route, sentence in (
        ("VAE/ae.safetensors", "refresh-vae", "needs Flux.1 dev's VAE, and no file here fits: put ae.safetensors into"),
        (
            "text_encoders/clip_l.safetensors",
            "refresh-vae",
            "text encoder (clip_l), and no file here fits: put clip_l.s",
        ),
        ("text_encoder/t5xxl_fp16.safetensors", "refresh-vae", "put t5xxl_fp16.safetensors or t5xxl_fp8_e4m3fn.safe"),
    ):
        aside = (models / place).rename(house.server.data_dir / "aside.safetensors")
        house.post(f"/sdapi/v1/{route}")
        assert sentence in refusal()
        aside.rename(models / place)
    house.post("/sdapi/v1/refresh-vae")
    (models / "text_encoder" / "second.safetensors").write_bytes(
        (models / "text_encoder" / "t5xxl_fp16.safetensors").read_bytes()
    )
    house.post("/sdapi/v1/refresh-vae")
    assert "are each one: choose one under VAE / Text Encoder" in refusal()
    _, text = made(house, override_settings={"forge_additional_modules": ["second.safetensors"]})
    assert "Module 2: second" in text
    (models / "text_encoder" / "second.safetensors").unlink()
    house.post("/sdapi/v1/refresh-vae")
