"""Z-Image as programs use it: over the API, its parts in files of their own, through the real engine."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.checkpoints import write_tiny_checkpoint
from tests.endtoend.house import FLAGS, House, one_sentence
from tests.endtoend.test_controlnet import base64_of, picture
from tests.server.server import Server
from tests.z_image_files import make_z_image, text_tensors, write_z_image, z_image_lora

pytestmark = pytest.mark.server

REQUEST = {
    "prompt": "a red circle", "negative_prompt": "blue", "width": 64, "height": 64, "steps": 3, "seed": 7,
    "sampler_name": "Euler", "cfg_scale": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose parts of Z-Image lie where Forge's and ComfyUI's users have them."""
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models"
    files = write_z_image(folder / "made", "split", dtype="bf16")
    assert files.vae is not None and files.text is not None
    for made, place in (
        (files.checkpoint, "diffusion_models/z_image_turbo_bf16.safetensors"),
        (files.vae, "VAE/ae.safetensors"),
        (files.text, "text_encoders/qwen_3_4b.safetensors"),
    ):
        (models / place).parent.mkdir(parents=True, exist_ok=True)
        made.rename(models / place)
    (models / "Lora").mkdir()
    save_file(z_image_lora(), models / "Lora" / "ink.safetensors")
    write_tiny_checkpoint(models / "Stable-diffusion" / "small.safetensors")
    with Server(folder, *FLAGS, module="modules.server") as server:
        yield House(server)


def made(house: House, path: str = "txt2img", **more: Any) -> tuple[np.ndarray, str]:
    options = {"sd_model_checkpoint": "z_image_turbo_bf16.safetensors"} | more.pop("override_settings", {})
    answer = house.post(f"/sdapi/v1/{path}", **{**REQUEST, **more}, override_settings=options)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    image = Image.open(io.BytesIO(base64.b64decode(body["images"][0])))
    return np.asarray(image.convert("RGB"), dtype=np.float32), str(image.info["parameters"])


def test_pictures_are_made_with_what_lies_in_the_folders(house: House) -> None:
    first, text = made(house)
    assert "Module 1: qwen_3_4b" in text and "VAE: ae.safetensors" in text and "Model: z_image_turbo_bf16" in text
    assert first.std() > 5
    assert np.array_equal(made(house)[0], first)
    again, chosen = made(
        house, override_settings={"forge_additional_modules": ["ae.safetensors", "qwen_3_4b.safetensors"]}
    )
    assert np.array_equal(again, first) and "Module 1: qwen_3_4b" in chosen
    for change in ({"prompt": "a green square"}, {"sampler_name": "DPM++ 2M SDE", "scheduler": "Beta"}):
        assert not np.array_equal(made(house, **change)[0], first)


def test_shift_and_loras_act_and_are_written_down(house: House) -> None:
    first, text = made(house)
    assert "Shift" not in text
    shifted, text = made(house, distilled_cfg_scale=9)
    assert "Shift: 9.0" in text and np.abs(shifted - first).mean() > 0.5
    with_lora, text = made(house, prompt="a red circle <lora:ink:1>")
    assert "Lora hashes" in text and np.abs(with_lora - first).mean() > 0.5
    assert np.array_equal(made(house)[0], first)


def test_a_picture_is_painted_over_and_enlarged(house: House) -> None:
    over, text = made(house, "img2img", init_images=[base64_of(picture())], denoising_strength=0.6)
    assert over.shape == (64, 64, 3) and "Denoising strength: 0.6" in text
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 24))
    inpainted, _ = made(house, "img2img", init_images=[base64_of(picture())], mask=base64_of(mask), mask_blur=0)
    original = np.asarray(picture(), dtype=np.float32)
    assert np.abs(inpainted[32:] - original[32:]).max() <= 1 < np.abs(inpainted[:16] - original[:16]).mean()
    large, _ = made(house, enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", denoising_strength=0.5)
    assert large.shape == (96, 96, 3)


def test_what_does_not_fit_is_one_sentence(house: House) -> None:
    models = house.server.data_dir / "models"
    options = {"sd_model_checkpoint": "z_image_turbo_bf16.safetensors"}

    def refusal(**more: Any) -> str:
        answer = house.post("/sdapi/v1/txt2img", **{**REQUEST, "override_settings": options, **more})
        said = str(answer.json()["detail"])
        assert answer.status_code == 422 and one_sentence(said), answer.text
        return said

    said = refusal(sampler_name="PLMS")
    assert "PLMS can't sample z_image_turbo_bf16" in said and "IPNDM" in said
    assert "KL Optimal" in refusal(scheduler="KL Optimal")
    text = models / "text_encoders" / "qwen_3_4b.safetensors"
    second = text.with_name("other.safetensors")
    save_file(text_tensors(make_z_image(1).text), second)
    house.post("/sdapi/v1/refresh-checkpoints")
    assert (
        "qwen_3_4b.safetensors, other.safetensors" in refusal()
        or "other.safetensors, qwen_3_4b.safetensors" in refusal()
    )
    second.unlink()
    aside = text.rename(Path(models, "aside.safetensors"))
    said = refusal()
    assert "needs Z-Image's text encoder" in said and "qwen_3_4b.safetensors" in said and "models/text_encoder" in said
    aside.rename(text)
    assert made(house)[0].std() > 5
