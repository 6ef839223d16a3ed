"""Starting from a picture: places for pictures, painting, sending between tabs; and what cannot be used."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import (
    INFOTEXT,
    PICTURE,
    drop,
    expect_toast,
    generate,
    open_input,
    open_tab,
    paint,
    parameters,
    saved,
    set_number,
    visit,
)
from tests.pictures.test_opening import header_only
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MASK = "#img2maskimg"
MESSAGE = "#img2img_message .message"
FIELDS = "() => JSON.parse(localStorage.getItem('webui-img2img') ?? '{}')"


def stored_strokes(page: Page) -> Any:
    return json.loads(page.evaluate("() => localStorage.getItem('webui-pictures') ?? '{}'"))


def painted_pixels(page: Page, slot: str) -> int:
    count: int = page.evaluate(
        """(slot) => {
          const canvas = document.querySelector(`${slot} .paint`);
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let count = 0;
          for (let index = 3; index < data.length; index += 4) count += data[index] > 128;
          return count;
        }""",
        slot,
    )
    return count


@pytest.mark.long
def test_a_mask_is_drawn_undone_erased_and_survives_a_reload(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    expect(page.locator("#inpaint_controls")).to_be_visible()
    drop(page, MASK, scene)
    expect(page.locator(f"{MASK} .size")).to_have_text("160×120")
    paint(page, MASK, (0.2, 0.3), (0.6, 0.3))
    one = painted_pixels(page, MASK)
    assert 300 < one < 160 * 120 / 3
    paint(page, MASK, (0.2, 0.8), (0.6, 0.8))
    both = painted_pixels(page, MASK)
    assert both == pytest.approx(2 * one, rel=0.1)
    page.keyboard.press("Control+z")
    assert painted_pixels(page, MASK) == one
    page.keyboard.press("Control+y")
    assert painted_pixels(page, MASK) == both
    # What is stored follows a moment later, on a busy machine a long one.
    stored = "() => JSON.parse(localStorage.getItem('webui-pictures') ?? '{}').inpaint?.paint"
    page.wait_for_function(stored)
    page.wait_for_timeout(1000)
    before = page.evaluate(stored)
    page.get_by_role("button", name="Eraser (or hold Ctrl)").and_(page.locator(f"{MASK} button")).click()
    paint(page, MASK, (0.2, 0.8), (0.6, 0.8))
    left = painted_pixels(page, MASK)
    assert left == pytest.approx(one, rel=0.1)
    page.wait_for_function(f"(before) => JSON.stringify(({stored})()) !== JSON.stringify(before)", arg=before)
    page.reload()
    open_input(page, "Inpaint")
    page.wait_for_selector(f"{MASK} .slot.filled")
    page.wait_for_function("() => document.querySelector('#img2maskimg .paint').width === 160")
    page.wait_for_timeout(500)
    assert painted_pixels(page, MASK) == left
    assert watched.problems == []


@pytest.mark.long
def test_zooming_keeps_the_brush_on_the_picture(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    box = page.locator(f"{MASK} .frame").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Alt")
    for _ in range(4):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Alt")
    page.wait_for_timeout(200)
    paint(page, MASK, (0.5, 0.5))
    spot = page.evaluate(
        """() => {
          const canvas = document.querySelector('#img2maskimg .paint');
          return [...canvas.getContext('2d').getImageData(80, 60, 1, 1).data][3];
        }"""
    )
    assert spot == 255
    page.keyboard.press("r")
    fitted = page.locator(f"{MASK} .content").bounding_box()
    assert fitted is not None and fitted["width"] <= box["width"] + 1


@pytest.mark.long
def test_a_finger_paints_on_a_phone(phone: Page, server: Server, scene: Path) -> None:
    page = phone
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    frame = page.locator(f"{MASK} .frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box is not None and box["width"] <= 390
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert painted_pixels(page, MASK) > 20


def test_the_way_of_a_picture_through_every_tab(settled: Watched, server: Server) -> None:
    page = settled.page
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "4242")
    set_number(page, "steps", 7)
    generate(page, "a detailed lighthouse")
    expect(page.locator(INFOTEXT)).to_contain_text("a detailed lighthouse", timeout=30_000)
    expect(page.locator(PICTURE).first).to_be_visible()
    first = saved(server.data_dir)[-1]
    page.click("#txt2img_send_to_inpaint")
    page.wait_for_selector(f"{MASK} .slot.filled")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a detailed lighthouse")
    expect(page.locator("#img2img_seed textarea, #img2img_seed input").first).to_have_value("4242")
    expect(page.locator("#img2img_steps input[type=number]")).to_have_value("7")
    # The bytes from the disk, not a preview.
    digest = stored_strokes(page)["inpaint"]["id"]
    assert page.request.get(f"{server.url}/internal/pictures/{digest}").body() == first.read_bytes()
    paint(page, MASK, (0.3, 0.5), (0.7, 0.5))
    one = painted_pixels(page, MASK)
    paint(page, MASK, (0.3, 0.8), (0.7, 0.8))
    assert painted_pixels(page, MASK) > one > 0
    page.keyboard.press("Control+z")
    assert painted_pixels(page, MASK) == one
    page.click("#img2img_generate")
    expect(page.locator("#html_info_img2img")).to_contain_text("Seed: 4242", timeout=30_000)
    expect(page.locator("#img2img_gallery img").first).to_be_visible()
    painted = saved(server.data_dir)[-1]
    assert "img2img" in str(painted)
    page.click("#img2img_send_to_extras")
    page.wait_for_selector("#extras_image .slot.filled")
    page.click("#extras_generate")
    expect(page.locator("#html_info_extras")).to_contain_text("Postprocess upscale by: 4", timeout=30_000)
    enlarged = saved(server.data_dir)[-1]
    assert "extras-images" in str(enlarged)
    with Image.open(enlarged) as large, Image.open(painted) as small:
        assert large.size == (small.width * 4, small.height * 4)
        assert large.info["parameters"] == small.info["parameters"]
    open_tab(page, "PNG Info")
    drop(page, "#pnginfo_image", enlarged)
    expect(page.locator("#pnginfo_html")).to_contain_text("Seed: 4242")
    expect(page.locator("#pnginfo_html")).to_contain_text("Postprocess upscaler: Lanczos")
    page.click("#pnginfo_send_to_txt2img")
    expect(page.locator("#txt2img_prompt textarea")).to_be_visible()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a detailed lighthouse")
    expect(page.locator("#txt2img_seed textarea, #txt2img_seed input").first).to_have_value("4242")
    assert "a detailed lighthouse" in parameters(enlarged)
    assert settled.problems == []


@pytest.mark.long
def test_png_info_sends_picture_and_parameters_to_every_tab(watched: Watched, server: Server, tmp_path: Path) -> None:
    page = watched.page
    texts = PngInfo()
    infotext = "a mill\nNegative prompt: fog\nSteps: 9, Sampler: Heun, CFG scale: 3.5, Seed: 11, Size: 64x64"
    texts.add_text("parameters", infotext)
    Image.effect_noise((96, 64), 40).convert("RGB").save(tmp_path / "mill.png", pnginfo=texts)
    visit(page, server.url)
    open_tab(page, "PNG Info")
    drop(page, "#pnginfo_image", tmp_path / "mill.png")
    expect(page.locator("#pnginfo_html")).to_contain_text("Sampler: Heun")
    for target, slot in (("img2img", "#img2img_image"), ("inpaint", MASK), ("extras", "#extras_image")):
        open_tab(page, "PNG Info")
        page.click(f"#pnginfo_send_to_{target}")
        page.wait_for_selector(f"{slot} .slot.filled")
        expect(page.locator(f"{slot} .frame")).to_be_visible()
        digest = stored_strokes(page)[target]["id"]
        sent = page.request.get(f"{server.url}/internal/pictures/{digest}").body()
        assert sent == (tmp_path / "mill.png").read_bytes()
        if target == "extras":
            continue
        expect(page.locator("#img2img_prompt textarea")).to_have_value("a mill")
        expect(page.locator("#img2img_neg_prompt textarea")).to_have_value("fog")
        expect(page.locator("#img2img_sampling input")).to_have_value("Heun")
        for name, value in {"steps": "9", "cfg_scale": "3.5", "width": "96", "height": "64"}.items():
            expect(page.locator(f"#img2img_{name} input[type=number]")).to_have_value(value)
    assert watched.problems == []


@pytest.mark.long
def test_sketch_and_copying_between_the_inputs(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "img2img")
    expect(page.locator("#inpaint_controls")).to_be_hidden()
    drop(page, "#img2img_image", scene)
    page.click("#img2img_detect_size")
    expect(page.locator("#img2img_width input[type=number]")).to_have_value("160")
    expect(page.locator("#img2img_height input[type=number]")).to_have_value("120")
    page.click("#img2img_copy_to_sketch")
    page.wait_for_selector("#img2img_sketch .slot.filled")
    expect(page.locator("#img2img_sketch .frame")).to_be_visible()
    paint(page, "#img2img_sketch", (0.3, 0.5), (0.6, 0.5))
    page.fill("#img2img_prompt textarea", "sketched over")
    page.click("#img2img_generate")
    expect(page.locator("#html_info_img2img")).to_contain_text("sketched over", timeout=30_000)
    # The painting stays for the next attempt.
    assert painted_pixels(page, "#img2img_sketch") > 100
    # A copy of it has the colours in it, and the same picture elsewhere.
    page.click("#img2img_copy_to_inpaint")
    page.wait_for_selector(f"{MASK} .slot.filled")
    answer = page.request.get(f"{server.url}/internal/pictures/{stored_strokes(page)['inpaint']['id']}")
    with Image.open(io.BytesIO(answer.body())) as copied, Image.open(scene) as before:
        assert copied.convert("RGB").getpixel((72, 60)) == (255, 255, 255) != before.getpixel((72, 60))
        assert copied.convert("RGB").crop((0, 0, 160, 30)).tobytes() == before.crop((0, 0, 160, 30)).tobytes()
    assert watched.problems == []


@pytest.mark.long
def test_inpainting_without_a_picture_or_a_mask_is_a_sentence(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    page.click("#img2img_generate")
    expect(page.locator(MESSAGE)).to_contain_text("There is no picture on the Inpaint tab")
    drop(page, MASK, scene)
    page.click("#img2img_generate")
    expect(page.locator(MESSAGE)).to_contain_text("Nothing is painted")


@pytest.mark.long
def test_files_that_cannot_be_used_are_refused_with_a_sentence(
    watched: Watched, server: Server, tmp_path: Path, scene: Path
) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "img2img")
    for name, data, sentence in (
        ("text.png", b"not a picture", "can't be read as a picture"),
        ("huge.png", header_only(20_000, 20_000), "megapixels"),
    ):
        (tmp_path / name).write_bytes(data)
        page.set_input_files("#img2img_image input[type=file]", tmp_path / name)
        expect_toast(page, sentence)
        expect(page.locator("#img2img_image .slot.filled")).to_have_count(0)
    watched.problems.clear()  # the browser reports the two refusals as well
    drop(page, "#img2img_image", scene)
    page.get_by_role("button", name="Remove the picture").and_(page.locator("#img2img_image button")).click()
    expect(page.locator("#img2img_image .slot.filled")).to_have_count(0)


@pytest.mark.long
def test_a_mask_file_of_another_size_is_stretched_and_said(
    watched: Watched, server: Server, tmp_path: Path, scene: Path
) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint upload")
    drop(page, "#img_inpaint_base", scene)
    Image.new("L", (40, 40), 0).save(tmp_path / "black.png")
    drop(page, "#img_inpaint_mask", tmp_path / "black.png")
    page.fill("#img2img_prompt textarea", "stretched")
    page.click("#img2img_generate")
    expect(page.locator(MESSAGE)).to_contain_text("leaves nothing to repaint")
    mask = Image.new("L", (40, 40), 0)
    mask.paste(255, (10, 10, 30, 30))
    mask.save(tmp_path / "mask.png")
    drop(page, "#img_inpaint_mask", tmp_path / "mask.png")
    page.wait_for_timeout(300)
    page.click("#img2img_generate")
    expect_toast(page, "The mask is 40x40: it was stretched")
    expect(page.locator("#html_info_img2img")).to_contain_text("stretched", timeout=30_000)


@pytest.mark.long
def test_the_form_of_img2img_survives_a_reload(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "img2img")
    page.fill("#img2img_prompt textarea", "kept words")
    box = page.locator("#img2img_denoising_strength input[type=number]")
    expect(box).to_have_value("0.75")
    box.fill("0.4")
    box.press("Tab")
    page.locator("#img2img_size_from label").nth(1).click()
    expect(page.locator("#img2img_scale")).to_be_visible()
    expect(page.locator("#img2img_width")).to_be_hidden()
    page.wait_for_function(f"() => ({FIELDS})().size_from === 'Resize by' && ({FIELDS})().denoising_strength === 0.4")
    page.reload()
    open_input(page, "img2img")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("kept words")
    expect(box).to_have_value("0.4")
    expect(page.locator("#img2img_scale")).to_be_visible()
