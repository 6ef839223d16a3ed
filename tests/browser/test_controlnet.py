"""ControlNet on the page: a unit is set up, drawn with, and comes back from the picture's parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import drop, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

UNIT = "#unit_txt2img_controlnet_0_"
TEXT = "#script_txt2img_controlnet_units textarea"


@pytest.mark.long
def test_a_unit_is_set_up_drawn_with_and_pasted_back(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    model = tmp_path / "models" / "ControlNet" / "control_v11p_sd15_canny.safetensors"
    model.parent.mkdir(parents=True)
    write_control(model, controlnet_tensors(make_controlnet()))
    scene = tmp_path / "scene.png"
    image = Image.new("RGB", (64, 64), "white")
    image.paste((200, 30, 30), (16, 16, 40, 48))
    image.save(scene)
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        page.locator("#script_txt2img_controlnet button").first.click()
        page.check(f"{UNIT}enabled")
        expect(page.locator(f"{UNIT}tab")).to_have_class("active")
        # The type chooses preprocessor and model, and the preprocessor names its sliders.
        page.select_option(f"{UNIT}control_type", "Canny")
        expect(page.locator(f"{UNIT}module")).to_have_value("canny")
        expect(page.locator(f"{UNIT}model")).to_have_value("control_v11p_sd15_canny [202cc873]")
        expect(page.get_by_text("Low Threshold").first).to_be_visible()
        # A pose is edited with the keys and becomes the unit's picture, which is a map already.
        page.select_option(f"{UNIT}control_type", "OpenPose")
        page.get_by_role("button", name="Edit pose").first.click()
        nose = page.get_by_role("button", name="Nose")
        nose.focus()
        before = float(nose.get_attribute("cx") or 0)
        page.keyboard.press("Shift+ArrowRight")
        expect(nose).to_have_attribute("cx", f"{before + 10:g}")
        page.keyboard.press("Delete")
        expect(nose).to_have_count(0)
        page.get_by_role("button", name="Add joint").click()
        page.get_by_role("button", name="Use pose").click()
        expect(page.locator(".pose-dialog")).to_have_count(0, timeout=120_000)
        expect(page.locator(f"{UNIT}module")).to_have_value("none")
        expect(page.locator(f"{UNIT}panel [data-field=image] img.under")).to_have_js_property("naturalWidth", 512)
        # Its size goes to the tab.
        page.fill("#txt2img_width input[type=number]", "640")
        page.press("#txt2img_width input[type=number]", "Tab")
        page.get_by_role("button", name="Send size to width/height").first.click()
        expect(page.locator("#txt2img_width input[type=number]")).to_have_value("512")
        # How an IP-Adapter's weight is spread can be chosen for those alone.
        expect(page.locator(f"{UNIT}weight_type")).to_be_hidden()
        page.select_option(f"{UNIT}control_type", "IP-Adapter")
        page.select_option(f"{UNIT}weight_type", "style and composition")
        expect(page.locator(f"{UNIT}composition_weight")).to_be_visible()
        page.select_option(f"{UNIT}control_type", "Canny")
        # Keys move between the units.
        page.focus(f"{UNIT}tab")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#unit_txt2img_controlnet_1_panel")).to_be_visible()
        page.keyboard.press("ArrowLeft")
        drop(page, f"{UNIT}panel .unit-picture", scene)
        # Further pictures are added as files and taken away one by one.
        expect(page.locator(f"{UNIT}more_images")).to_be_hidden()
        page.select_option(f"{UNIT}input_mode", "Multi-Inputs")
        page.locator(f"{UNIT}panel summary", has_text="Further images").click()
        page.set_input_files(f"{UNIT}more_images", [scene, scene])
        thumbnails = page.locator(f"{UNIT}panel .unit-thumbnails img")
        expect(thumbnails).to_have_count(2)
        expect(thumbnails.last).to_have_js_property("naturalWidth", 64)
        page.locator(f"{UNIT}panel .unit-thumbnails button").first.click()
        expect(thumbnails).to_have_count(1)
        page.get_by_role("button", name="Run preprocessor").first.click()
        expect(page.locator(f"{UNIT}panel img.unit-map")).to_be_visible(timeout=120_000)
        page.fill(f"{UNIT}weight", "0.5")
        page.press(f"{UNIT}weight", "Tab")
        for box, value in {"width": 64, "height": 64, "steps": 2}.items():
            page.fill(f"#txt2img_{box} input[type=number]", str(value))
            page.press(f"#txt2img_{box} input[type=number]", "Tab")
        page.click("#txt2img_generate")
        parameters = page.locator("#html_info_txt2img")
        expect(parameters).to_contain_text("ControlNet 0", timeout=180_000)
        expect(parameters).to_contain_text("Weight: 0.5")
        # A picture and the maps of the unit's two.
        expect(page.locator("#txt2img_gallery .thumbnail-small")).to_have_count(3)
        said = parameters.inner_text()
        page.fill(f"{UNIT}weight", "2")
        page.press(f"{UNIT}weight", "Tab")
        page.fill("#txt2img_prompt textarea", said[: said.index("Version")].rstrip(", "))
        page.click("#txt2img_paste")
        expect(page.locator(f"{UNIT}weight")).to_have_value("0.5")
        (unit,) = json.loads(page.input_value(TEXT))
        # The picture stays: a picture's parameters have none.
        assert (
            unit["enabled"]
            and unit["image"]
            and unit["more_images"]
            and unit["model"].startswith("control_v11p_sd15_canny")
        )
        # A folder of this machine instead: a job for each of its files.
        maps = tmp_path / "inputs" / "maps"
        maps.mkdir(parents=True)
        for name in ("1.png", "2.png"):
            image.save(maps / name)
        page.select_option(f"{UNIT}input_mode", "Batch")
        expect(page.locator(f"{UNIT}panel .unit-picture").first).to_be_hidden()
        page.fill("#txt2img_prompt textarea", "each of a folder")
        page.fill(f"{UNIT}batch_images", "inputs/nowhere")
        page.click("#txt2img_generate")
        expect(page.locator("#txt2img_message .message")).to_contain_text("is no folder")
        page.fill(f"{UNIT}batch_images", "inputs/maps")
        page.click("#txt2img_generate")
        # Of a batch the pictures alone are shown.
        expect(page.locator("#txt2img_gallery .thumbnail-small")).to_have_count(2, timeout=60_000)
        expect(parameters).to_contain_text("each of a folder")
