"""The `webuiapi` package, unmodified, against this server: every call of it that applies, on the demo checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import webuiapi  # type: ignore[import-untyped]  # it has no types
from PIL import Image, ImageDraw

from modules.settings import REPOSITORY
from tests.jobs.helpers import eventually

DEMO = REPOSITORY / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def on_demo(server: Any) -> Iterator[Any]:
    """The demo checkpoint among the models, and chosen; after the test things are as they were."""
    link = server.data_dir / "models" / "Stable-diffusion" / "z-demo.safetensors"
    (server.data_dir / "styles.csv").write_text("name,prompt,negative_prompt\nblue,{prompt} on blue,red\n", "utf-8")
    link.symlink_to(DEMO)
    api = webuiapi.WebUIApi(host="127.0.0.1", port=server.port)
    api.refresh_checkpoints()
    before = api.util_get_current_model()
    api.util_set_model("z-demo.safetensors")
    yield server
    api.util_set_model(before)
    link.unlink()
    (server.data_dir / "styles.csv").unlink()
    api.refresh_checkpoints()


@pytest.fixture
def client(on_demo: Any) -> Any:
    return webuiapi.WebUIApi(host="127.0.0.1", port=on_demo.port, sampler="Euler", steps=2)


def picture() -> Image.Image:
    image = Image.new("RGB", (64, 64), "blue")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill="red")
    return image


def test_txt2img(client: Any) -> None:
    result = client.txt2img(prompt="a red circle", width=64, height=64, seed=3)
    assert result.image.size == (64, 64)
    assert result.info["seed"] == 3
    assert result.parameters["prompt"] == "a red circle"
    assert result.info["sd_model_name"] == "z-demo"
    assert result.image.info["parameters"] == result.info["infotexts"][0]


@pytest.mark.long
def test_hires_fix_styles_overrides_and_several_pictures(client: Any) -> None:
    larger = client.txt2img(
        prompt="a red circle",
        width=64,
        height=64,
        seed=3,
        enable_hr=True,
        hr_scale=1.5,
        hr_upscaler=webuiapi.HiResUpscaler.Latent,
        hr_second_pass_steps=2,
        denoising_strength=0.6,
    )
    assert larger.image.size == (96, 96)
    styled = client.txt2img(
        prompt="a circle",
        styles=["blue"],
        width=64,
        height=64,
        n_iter=2,
        override_settings={"CLIP_stop_at_last_layers": 2},
        save_images=False,
    )
    assert (len(styled.images), styled.info["index_of_first_image"]) == (2, 0)
    assert styled.info["infotexts"][1].startswith("a circle on blue\nNegative prompt: red\n")
    assert "Clip skip: 2" in styled.info["infotexts"][1]


def test_calls_that_are_awaited(client: Any) -> None:
    async def both() -> Any:
        made = client.txt2img(prompt="a red circle", width=64, height=64, seed=3, use_async=True)
        changed = client.img2img(images=[picture()], width=64, height=64, seed=4, use_async=True)
        return await asyncio.gather(made, changed)

    first, second = asyncio.run(both())
    assert (first.info["seed"], second.info["seed"]) == (3, 4)
    assert first.image.tobytes() == client.txt2img(prompt="a red circle", width=64, height=64, seed=3).image.tobytes()


def test_img2img_and_inpainting(client: Any) -> None:
    result = client.img2img(images=[picture()], prompt="a red circle", width=64, height=64, seed=3)
    assert result.image.size == (64, 64)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    inpainted = client.img2img(
        images=[picture()], mask_image=mask, inpainting_fill=1, mask_blur=0, inpaint_full_res=False, width=64, height=64
    )
    assert inpainted.image.crop((32, 0, 64, 64)).tobytes() == picture().crop((32, 0, 64, 64)).tobytes()


def test_extras_and_png_info(client: Any) -> None:
    larger = client.extra_single_image(image=picture(), upscaler_1="Lanczos", upscaling_resize=1.5)
    assert larger.image.size == (96, 96)
    several = client.extra_batch_images(images=[picture(), picture()], upscaler_1="Nearest", upscaling_resize=2)
    assert [image.size for image in several.images] == [(128, 128)] * 2
    made = client.txt2img(prompt="a red circle", width=64, height=64)
    assert client.png_info(made.image).info.startswith("a red circle")


def test_options_and_models(client: Any) -> None:
    options = client.get_options()
    client.set_options({"samples_format": options["samples_format"]})
    assert client.util_get_model_names()
    assert client.util_get_current_model() == options["sd_model_checkpoint"]
    client.util_set_model("other")
    assert client.util_get_current_model().startswith("other")
    client.util_set_model("z-demo.safetensors")
    assert client.util_get_current_model().startswith("z-demo")
    client.refresh_checkpoints()


def test_lists(client: Any) -> None:
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


def test_what_has_no_model_here_is_a_clear_refusal(client: Any) -> None:
    with pytest.raises(RuntimeError, match="Model not found"):
        client.interrogate(picture())


def test_any_other_call(client: Any) -> None:
    assert client.custom_get("script-info", baseurl=True)
    assert client.custom_get("internal/ping") == {}
    answer = client.custom_post("png-info", payload={"image": webuiapi.raw_b64_img(picture())}, baseurl=True)
    assert answer.info == ""
    assert [style["name"] for style in client.get_prompt_styles()] == ["blue"]


def test_a_running_job_is_watched_and_interrupted(client: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.txt2img, prompt="a red circle", width=64, height=64, steps=1000, n_iter=20)
        eventually(lambda: client.get_progress()["state"]["sampling_step"] > 1, 60)
        progress = client.get_progress()
        assert 0 < progress["progress"] < 1
        assert progress["state"]["job_count"] == 20
        client.interrupt()
        assert call.result(60).info["prompt"] == "a red circle"
    client.util_wait_for_ready(check_interval=0.1)


def test_progress_interrupt_and_skip_with_nothing_to_do(client: Any) -> None:
    assert client.get_progress()["progress"] == 0.0
    client.interrupt()
    client.skip()
    client.util_wait_for_ready(check_interval=0.1)
