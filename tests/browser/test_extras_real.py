"""Extras with the engine that people get: a real upscaler file, and a batch with a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import drop, open_tab, saved, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.server.server import Server
from tests.upscaling.models import write_upscaler

pytestmark = [pytest.mark.browser, pytest.mark.server]

SHOWN = "#html_info_extras"
INFOTEXT = "a barn\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 60x40"


def choose(page: Page, dropdown: str, name: str) -> None:
    page.click(f"#{dropdown} input")
    page.get_by_role("option", name=name, exact=True).click()


@pytest.mark.long
def test_a_picture_through_a_model_and_a_batch_with_a_bad_file(watched: Watched, tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_tiny_checkpoint(models / "Stable-diffusion" / "tiny.safetensors")
    write_upscaler(models / "RealESRGAN" / "RealESRGAN_x2plus.pth", "Compact", "params_ema")
    info = PngInfo()
    info.add_text("parameters", INFOTEXT)
    sources = [tmp_path / f"{name}.png" for name in ("one", "two", "bad")]
    for number, source in enumerate(sources):
        Image.effect_noise((60, 40), 60 + number).convert("RGB").save(source, pnginfo=info)
    sources[2].write_bytes(sources[2].read_bytes()[:900])
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        open_tab(page, "Extras")
        drop(page, "#extras_image", sources[0])
        choose(page, "extras_upscaler_1", "R-ESRGAN 2x+")
        page.click("#extras_generate")
        expect(page.locator(SHOWN)).to_contain_text("Postprocess upscaler: R-ESRGAN 2x+", timeout=120_000)
        expect(page.locator("#extras_gallery img").first).to_be_visible()
        (result,) = saved(tmp_path)
        with Image.open(result) as image:
            image.load()
            # By 4: 240x160, the model applied twice.
            assert image.size == (240, 160) and image.info["parameters"] == INFOTEXT
            assert image.info["postprocessing"] == "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 2x+"
        page.get_by_role("tab", name="Batch Process").click()
        page.locator("#extras_image_batch input[type=file]").set_input_files(sources)
        expect(page.locator("#extras_image_batch")).to_contain_text("bad")
        page.click("#extras_generate")
        expect(page.locator("#extras_message .message")).to_contain_text("bad.png is damaged", timeout=120_000)
        expect(page.locator("#extras_gallery")).to_be_visible()
        folder = tmp_path / "outputs" / "extras-images"
        assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "one.png", "two.png"]
        page.click("#extras_send_to_img2img")
        expect(page.locator("#img2img_prompt textarea")).to_have_value("a barn")
        assert watched.problems == []
