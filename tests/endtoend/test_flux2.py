"""Flux.2 klein as programs use it: over the API, its parts in files of their own, through the real engine."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.endtoend.house import FLAGS, House, one_sentence
from tests.endtoend.test_controlnet import base64_of, picture
from tests.flux2_files import flux2_lora, write_flux2
from tests.server.server import Server

pytestmark = pytest.mark.server

NAME = "flux-2-klein-4b.safetensors"
REQUEST = {
    "prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7, "sampler_name": "Euler",
    "cfg_scale": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose parts of Flux.2 klein lie where Forge's and ComfyUI's users have them."""
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models"
    files = write_flux2(folder / "made", dtype="bf16")
    assert files.vae is not None and files.text is not None
    for made, place in (
        (files.checkpoint, f"diffusion_models/{NAME}"),
        (files.vae, "VAE/flux2-vae.safetensors"),
        (files.text, "text_encoders/qwen_3_4b.safetensors"),
    ):
        (models / place).parent.mkdir(parents=True, exist_ok=True)
        made.rename(models / place)
    (models / "Lora").mkdir()
    save_file(flux2_lora(), models / "Lora" / "ink.safetensors")
    with Server(folder, *FLAGS, module="modules.server") as server:
        yield House(server)


def made(house: House, path: str = "txt2img", **more: Any) -> tuple[np.ndarray, str]:
    options = {"sd_model_checkpoint": NAME} | more.pop("override_settings", {})
    answer = house.post(f"/sdapi/v1/{path}", **{**REQUEST, **more}, override_settings=options)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
    return np.asarray(image.convert("RGB"), dtype=np.float32), str(image.info["parameters"])


def test_pictures_are_made_enlarged_and_changed_by_loras(house: House) -> None:
    first, text = made(house)
    assert "Module 1: qwen_3_4b" in text and "VAE: flux2-vae.safetensors" in text and "Shift" not in text
    assert first.std() > 5 and first.shape == (64, 64, 3)
    shifted, text = made(house, distilled_cfg_scale=2)
    assert "Shift: 2.0" in text and np.abs(shifted - first).mean() > 0.5
    changed, text = made(house, prompt="a red circle <lora:ink:1>")
    assert "Lora hashes" in text and np.abs(changed - first).mean() > 0.5
    hires: dict[str, Any] = {"enable_hr": True, "denoising_strength": 0.5}
    assert made(house, **hires, hr_scale=1.5, hr_upscaler="Latent")[0].shape == (96, 96, 3)
    assert made(house, **hires, hr_resize_x=112, hr_resize_y=80, hr_upscaler="Lanczos")[0].shape == (80, 112, 3)
    assert np.array_equal(made(house)[0], first)


def test_a_picture_is_shown_painted_over_and_inpainted(house: House) -> None:
    given = {"init_images": [base64_of(picture())], "denoising_strength": 0.6}
    shown, text = made(house, "img2img", **given)
    assert shown.shape == (64, 64, 3) and "Denoising strength: 0.6" in text and "Klein" not in text
    hidden, text = made(house, "img2img", **given, override_settings={"klein_no_reference": True})
    assert "Klein no reference: True" in text and np.abs(hidden - shown).mean() > 0.5
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 32))
    inpainted, _ = made(house, "img2img", **given, mask=base64_of(mask), mask_blur=0)
    original = np.asarray(picture(), dtype=np.float32)
    assert np.abs(inpainted[32:] - original[32:]).max() <= 1 < np.abs(inpainted[:16] - original[:16]).mean()


def test_what_does_not_fit_is_one_sentence(house: House) -> None:
    """Before anything is loaded."""

    def refusal(**more: Any) -> str:
        answer = house.post(
            "/sdapi/v1/txt2img", **{**REQUEST, "override_settings": {"sd_model_checkpoint": NAME}, **more}
        )
        said = str(answer.json()["detail"])
        assert answer.status_code == 422 and one_sentence(said), answer.text
        return said

    assert "72×64 is not made of whole ones: choose 64×64" in refusal(width=72)
    assert "choose another sampler" in refusal(sampler_name="PLMS")
    vae = house.server.data_dir / "models" / "VAE" / "flux2-vae.safetensors"
    aside = vae.rename(house.server.data_dir / "aside.safetensors")
    house.post("/sdapi/v1/refresh-vae")
    said = refusal()
    assert "needs Flux.2 klein 4B's VAE" in said and "put flux2-vae.safetensors into models/VAE" in said
    aside.rename(vae)
