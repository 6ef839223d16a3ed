"""A script on the page: chosen, its controls seen, run with the real engine, and still chosen after a reload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from modules.parameters import parse_infotext
from tests.browser.conftest import Watched
from tests.browser.steps import PROMPT, drop, generate, open_input, parameters, saved, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.jobs.helpers import eventually
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

LOOPS = "#script_img2img_loopback_loops"


def choose(page: Page, mode: str, title: str) -> None:
    page.click(f"#{mode}_script_list input")
    page.get_by_role("option", name=title, exact=True).click()


def set_number(page: Page, box: str, value: float) -> None:
    page.fill(f"{box} input[type=number]", str(value))
    page.press(f"{box} input[type=number]", "Tab")


@pytest.mark.long
def test_a_script_is_chosen_run_and_remembered(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    scene = tmp_path / "scene.png"
    Image.effect_noise((64, 64), 60).convert("RGB").save(scene)
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        open_input(page, "img2img")
        expect(page.locator(LOOPS)).to_be_hidden()
        choose(page, "img2img", "Loopback")
        expect(page.locator(LOOPS)).to_be_visible()
        drop(page, "#img2img_image", scene)
        for box, value in {"#img2img_width": 64, "#img2img_height": 64, "#img2img_steps": 4, LOOPS: 2}.items():
            set_number(page, box, value)
        page.click("#img2img_generate")
        expect(page.locator("#html_info_img2img")).to_contain_text("Denoising curve: Linear", timeout=180_000)
        parsed = [parse_infotext(parameters(path)) for path in saved(tmp_path) if "grids" not in str(path)]
        assert len(saved(tmp_path)) == 3
        assert [one["Denoising strength"] for one in parsed] == ["0.75", "0.5"]
        sequence = "#script_img2img_interpolate_pictures"
        choose(page, "img2img", "Interpolate pictures")
        expect(page.locator(LOOPS)).to_be_hidden()
        page.click("#img2img_generate")
        expect(page.locator("#img2img_message")).to_contain_text("Interpolate pictures starts from 2 pictures")
        drop(page, "#script_interpolate_pictures", scene)
        set_number(page, f"{sequence}_frames", 2)
        page.click("#img2img_generate")
        expect(page.locator("#html_info_img2img")).to_contain_text("Script: Interpolate pictures", timeout=180_000)
        eventually(lambda: list((tmp_path / "outputs").rglob("*-animation.webp")), 60)
        choose(page, "img2img", "Loopback")
        page.wait_for_function("() => JSON.parse(localStorage.getItem('webui-img2img')).script === 'Loopback'")
        page.reload()
        open_input(page, "img2img")
        expect(page.locator(LOOPS)).to_be_visible()
        expect(page.locator(f"{LOOPS} input[type=number]")).to_have_value("2")
        assert watched.problems == []


def test_guidance_is_one_form_whose_features_come_from_pictures_and_go_into_jobs(
    settled: Watched, server: Server
) -> None:
    page = settled.page
    page.fill(PROMPT, "a fox\nSteps: 4, Sampler: Euler, Seed: 3, freeu_enabled: True, freeu_b1: 1.3")
    page.click("#txt2img_paste")
    # What is read of the prompt moves what is below it.
    expect(page.locator("#txt2img_token_counter")).to_have_text("2/75")
    page.click("#script_txt2img_guidance > button")
    tab = page.locator("#script_txt2img_guidance").get_by_role("tab", name="FreeU")
    expect(tab).to_have_class(re.compile("active"))
    tab.click()
    number, enabled = (page.locator(f"#unit_txt2img_guidance_1_{name}") for name in ("b1", "enabled"))
    expect(number).to_have_value("1.3")
    expect(enabled).to_be_checked()
    number.fill("1.4")
    number.press("Tab")
    generate(page, "a fox with scripts")
    assert _scripts_of(server, "a fox with scripts")["FreeU"]["b1"] == 1.4
    enabled.uncheck()
    generate(page, "a fox without")
    assert _scripts_of(server, "a fox without") == {}
    page.locator("#unit_txt2img_guidance_1_panel").get_by_role("button", name="SDXL").click()
    expect(number).to_have_value("1.3")
    expect(enabled).to_be_checked()
    enabled.uncheck()
    couple = "#script_txt2img_forge_couple"
    page.click(f"{couple} > button")
    page.check(f"{couple}_enabled input")
    page.locator(f"{couple}_mode").get_by_label("Advanced").check()
    # They are drawn once they come into view.
    page.locator(f"{couple} .boxes").scroll_into_view_if_needed()
    boxes = page.locator(f"{couple} .boxes-box")
    expect(boxes).to_have_count(2)
    boxes.first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("button", name="Add a box").first.click()
    expect(boxes).to_have_count(3)
    page.keyboard.press("Delete")
    expect(boxes).to_have_count(2)
    generate(page, "red\nblue")
    mapping = _scripts_of(server, "red\nblue")["Forge Couple"]["mapping"]
    assert mapping == "[[0,0.51,0,1,1],[0.5,1,0,1,1]]"


def _scripts_of(server: Server, prompt: str) -> Any:
    """Those of the job with this prompt, once it is there."""
    eventually(lambda: any(job["request"]["prompt"] == prompt for job in server.json("/v1/jobs")))
    return next(job["request"]["scripts"] for job in server.json("/v1/jobs") if job["request"]["prompt"] == prompt)
