"""Checkpoints of several families on the page: switched, drawn with, sent on, and a refiner from a pasted infotext."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from modules.parameters import parse_infotext
from tests.browser.conftest import Watched
from tests.browser.steps import generate, open_tab, parameters, saved, set_number, visit
from tests.checkpoints import TINY_REFINER, TINY_SDXL, write_tiny_checkpoint
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MADE = 180_000
PASTED = (
    "a cat\nSteps: 4, Sampler: Euler, Schedule type: Automatic, CFG scale: 5, Seed: 3, Size: 128x64, Model: xl, "
    "Refiner: ref, Refiner switch at: 0.5, Version: v1.10.1"
)


def _choose(page: Page, name: str) -> None:
    page.click("#setting_sd_model_checkpoint input")
    page.get_by_role("option", name=name).click()


def _side(page: Page, name: str, mode: str = "txt2img") -> str:
    return page.locator(f"#{mode}_{name} input[type=number]").input_value()


@pytest.mark.long
def test_families_are_switched_drawn_with_sent_on_and_refined(watched: Watched, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "Stable-diffusion"
    write_tiny_checkpoint(folder / "old.safetensors", metadata={"modelspec.resolution": "64x64"})
    stated = {"modelspec.resolution": "128x64"}
    write_tiny_checkpoint(folder / "xl.safetensors", architecture=TINY_SDXL, metadata=stated)
    write_tiny_checkpoint(folder / "ref.safetensors", architecture=TINY_REFINER, metadata=stated)
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        assert (_side(page, "width"), _side(page, "height")) == ("64", "64")
        _choose(page, "xl.safetensors")
        page.wait_for_function("() => document.querySelector('#txt2img_width input[type=number]').value === '128'")
        set_number(page, "steps", 4)
        generate(page, "a large cat")
        expect(page.locator("#html_info_txt2img")).to_contain_text("Model: xl", timeout=MADE)
        page.click("#txt2img_send_to_img2img")
        page.wait_for_selector("#img2img_width input[type=number]")
        assert _side(page, "width", "img2img") == "128"
        page.fill("#img2img_steps input[type=number]", "4")
        page.press("#img2img_steps input[type=number]", "Tab")
        page.click("#img2img_generate")
        expect(page.locator("#html_info_img2img")).to_contain_text("Denoising strength", timeout=MADE)
        open_tab(page, "txt2img")
        page.fill("#txt2img_prompt textarea", PASTED)
        page.click("#txt2img_paste")
        expect(page.locator("#txt2img_prompt textarea")).to_have_value("a cat")
        expect(page.locator("#txt2img_refiner_head input[type=checkbox]")).to_be_checked()
        page.click("#txt2img_generate")
        expect(page.locator("#html_info_txt2img")).to_contain_text("Refiner: ref", timeout=MADE)
        parsed = parse_infotext(parameters(saved(tmp_path)[-1]))
        assert (parsed["Model"], parsed["Refiner switch at"], parsed["Seed"]) == ("xl", "0.5", "3")
        _choose(page, "old.safetensors")
        page.wait_for_function("() => document.querySelector('#txt2img_width input[type=number]').value === '64'")
        assert watched.problems == []
