"""The detail pass on the page: its tabs, a picture drawn with them, and one painted over from the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import visit
from tests.checkpoints import write_tiny_checkpoint
from tests.features.detail.planted import plant
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

TAB = "#unit_txt2img_adetailer_0_"


@pytest.mark.long
def test_tabs_paint_over_new_pictures_and_finished_ones(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    plant(tmp_path / "models" / "adetailer" / "face_planted.onnx", [(0.125, 0.125, 0.375, 0.375)])
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        for box, value in {"width": 64, "height": 64, "steps": 2}.items():
            page.fill(f"#txt2img_{box} input[type=number]", str(value))
            page.press(f"#txt2img_{box} input[type=number]", "Tab")
        page.locator("#script_txt2img_adetailer button").first.click()
        # The first tab begins with the first detector; what only img2img has stands there alone.
        expect(page.locator(f"{TAB}ad_model")).to_have_value("face_planted.onnx")
        expect(page.get_by_label("Enable ADetailer").first).to_be_visible()
        expect(page.locator("#script_txt2img_adetailer").get_by_label("Skip img2img")).to_have_count(0)
        # The tabs are reached with the keys.
        page.focus(f"{TAB}tab")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#unit_txt2img_adetailer_1_panel")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        page.click("#txt2img_generate")
        parameters = page.locator("#html_info_txt2img")
        expect(parameters).to_contain_text("Steps: 2", timeout=180_000)
        expect(parameters).not_to_contain_text("ADetailer")
        # Over the picture on display, though it is not on for new ones.
        page.fill(f"{TAB}ad_denoising_strength", "0.7")
        page.press(f"{TAB}ad_denoising_strength", "Tab")
        page.click("#txt2img_detail")
        expect(parameters).to_contain_text("ADetailer denoising strength: 0.7", timeout=180_000)
        expect(parameters).to_contain_text("ADetailer model: face_planted.onnx")
