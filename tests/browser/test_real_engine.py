"""From an empty data folder with one checkpoint to the first picture, with the engine that people get."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from modules.parameters import parse_infotext
from tests.browser.conftest import Watched
from tests.browser.steps import (
    BAR,
    INFOTEXT,
    PICTURE,
    change_settings,
    generate,
    open_tab,
    parameters,
    saved,
    set_number,
    shown_infotext,
    visit,
    words,
)
from tests.checkpoints import write_tiny_checkpoint
from tests.jobs.helpers import eventually
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_the_first_picture_and_what_it_says_about_itself(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        for name, value in {"width": 128, "height": 64, "steps": 60}.items():
            set_number(page, name, value)
        page.fill("#txt2img_seed textarea, #txt2img_seed input", "1234")
        generate(page, "a (red:1.2) circle")
        page.wait_for_function(f"() => Number(document.querySelector('{BAR}').ariaValueNow) > 0", timeout=120_000)
        expect(page.locator(INFOTEXT)).to_contain_text("a (red:1.2) circle", timeout=120_000)
        expect(page.locator(PICTURE).first).to_be_visible()
        (picture,) = saved(tmp_path)
        assert picture.name == "00000-1234.png"
        assert words(shown_infotext(page)) == words(parameters(picture))
        parsed = parse_infotext(parameters(picture))
        assert (parsed["Steps"], parsed["Seed"], parsed["Size-1"], parsed["Size-2"]) == ("60", "1234", "128", "64")
        assert parsed["Model"] == "tiny"
        # The same seed again: the same pixels, under a name of its own.
        generate(page, "a (red:1.2) circle")
        expect(page.locator("#txt2img_recent button")).to_have_count(2, timeout=120_000)
        first, second = saved(tmp_path)
        assert first.read_bytes() == second.read_bytes()
        _look_at_the_system_page(page)
        assert watched.problems == []


def _look_at_the_system_page(page: Page) -> None:
    """What the engine made of this machine, with a checkpoint and once it is given back."""
    expect(page.locator("#html_log_txt2img")).to_contain_text(re.compile(r"Time taken: \d.*A: \d.* GB, Sys: \d.*%"))
    open_tab(page, "Settings")
    page.click("#settings_page_system")
    facts = page.locator("#settings_content")
    for fact in ("tiny.safetensors", "full: everything on the device", "UNet fp32, VAE fp32", "--no-half", "sdp: "):
        expect(facts).to_contain_text(fact)
    page.click("#settings_page_actions")
    page.click("#action_unload_checkpoint")
    page.click("#settings_page_system")

    def given_back() -> bool:
        page.click("#system_refresh")
        page.wait_for_timeout(200)
        return "none is loaded" in facts.inner_text()

    eventually(given_back, 30)
    expect(facts).not_to_contain_text("Memory mode")


@pytest.mark.long
def test_upscale_this_one_keeps_the_rest_of_the_batch(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        change_settings(page, {"return_grid": False})
        for name, value in {"width": 64, "height": 64, "steps": 2, "batch_count": 3}.items():
            set_number(page, name, value)
        generate(page, "three apples")
        small = page.locator("#txt2img_gallery .thumbnails .thumbnail-item")
        expect(small).to_have_count(3, timeout=120_000)
        before = small.locator("img").evaluate_all("(images) => images.map((image) => image.src)")
        small.nth(1).click()
        expect(page.locator("#txt2img_selected input")).to_have_value("1")
        page.click("#txt2img_upscale")
        expect(small.nth(1).locator("img")).not_to_have_attribute("src", before[1], timeout=120_000)
        after = small.locator("img").evaluate_all("(images) => images.map((image) => image.src)")
        assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]
        # What is new is what is looked at.
        expect(page.locator("#txt2img_selected input")).to_have_value("1")
        expect(page.locator(INFOTEXT)).to_contain_text("Hires upscale")
        page.reload()
        expect(small).to_have_count(3)
        assert small.locator("img").evaluate_all("(images) => images.map((image) => image.src)") == after
