"""The `webuiapi` package, unmodified, against this server."""

from __future__ import annotations

import pytest
import webuiapi
from PIL import Image, ImageDraw

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def client(server):
    return webuiapi.WebUIApi(host="127.0.0.1", port=server.port, sampler="Euler", steps=2)


def picture() -> Image.Image:
    image = Image.new("RGB", (64, 64), "blue")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill="red")
    return image


def test_txt2img(client):
    result = client.txt2img(prompt="a red circle", width=64, height=64, seed=3)
    assert result.image.size == (64, 64)
    assert result.info["seed"] == 3
    assert result.parameters["prompt"] == "a red circle"


def test_img2img_and_inpainting(client):
    result = client.img2img(images=[picture()], prompt="a red circle", width=64, height=64, seed=3)
    assert result.image.size == (64, 64)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    inpainted = client.img2img(
        images=[picture()], mask_image=mask, inpainting_fill=1, mask_blur=0, inpaint_full_res=False, width=64, height=64
    )
    assert inpainted.image.crop((32, 0, 64, 64)).tobytes() == picture().crop((32, 0, 64, 64)).tobytes()


def test_extras_and_png_info(client):
    larger = client.extra_single_image(image=picture(), upscaler_1="Lanczos", upscaling_resize=1.5)
    assert larger.image.size == (96, 96)
    several = client.extra_batch_images(images=[picture(), picture()], upscaler_1="Nearest", upscaling_resize=2)
    assert [image.size for image in several.images] == [(128, 128)] * 2
    made = client.txt2img(prompt="a red circle", width=64, height=64)
    assert client.png_info(made.image).info.startswith("a red circle")


def test_options_and_models(client):
    options = client.get_options()
    client.set_options({"samples_format": options["samples_format"]})
    assert client.util_get_model_names()
    assert client.util_get_current_model() == options["sd_model_checkpoint"]
    client.util_set_model("other")
    assert client.util_get_current_model().startswith("other")
    client.util_set_model("tiny")
    client.refresh_checkpoints()


def test_lists(client):
    assert any(item["name"] == "Euler a" for item in client.get_samplers())
    assert client.get_schedulers()
    assert client.util_get_sampler_names()
    assert client.util_get_scheduler_names()
    for call in (
        client.get_cmd_flags,
        client.get_sd_vae,
        client.get_upscalers,
        client.get_latent_upscale_modes,
        client.get_loras,
        client.get_sd_models,
        client.get_hypernetworks,
        client.get_face_restorers,
        client.get_realesrgan_models,
        client.get_prompt_styles,
        client.get_scripts,
        client.get_embeddings,
        client.get_memory,
    ):
        call()


def test_progress_interrupt_and_skip(client):
    assert client.get_progress()["progress"] == 0.0
    client.interrupt()
    client.skip()
    client.util_wait_for_ready(check_interval=0.1)
