"""What stands around the results: the picture over the whole window, saving, and "Generate forever"."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import INFOTEXT, PICTURE, generate, saved, set_number, visit
from tests.ui.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACE = ".lightbox .place"


def test_a_picture_over_the_whole_window_is_left_saved_and_closed_by_keys(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "500")
    set_number(page, "batch_count", 3)
    generate(page, "three of them")
    expect(page.locator("#txt2img_gallery .thumbnail-small")).to_have_count(3, timeout=30_000)
    page.locator("#txt2img_gallery .media-button").click()
    expect(page.locator("dialog.lightbox")).to_be_visible()
    expect(page.locator(PLACE)).to_have_text("1 / 3")
    page.keyboard.press("ArrowRight")
    expect(page.locator(PLACE)).to_have_text("2 / 3")
    # What stands under the gallery follows.
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 501")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(PLACE)).to_have_text("3 / 3")
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 502")
    page.keyboard.press("s")
    expect(page.locator("#download_files_txt2img")).to_be_attached()
    expect(page.locator(".toasts .note").filter(has_text="Saved")).to_be_attached()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.lightbox")).to_be_hidden()
    kept = list((server.data_dir / "log" / "images").rglob("*502*.png"))
    assert len(kept) == 1
    assert watched.problems == []


def test_generate_forever_goes_on_until_it_is_cancelled_or_refused(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.fill("#txt2img_prompt textarea", "again and again")
    before = len(saved(server.data_dir))
    page.locator("#txt2img_generate").click(button="right")
    page.get_by_role("menuitem", name="Generate forever", exact=True).press("Enter")
    page.wait_for_selector("#txt2img_generate.forever")
    expect(page.locator(PICTURE).first).to_be_visible(timeout=30_000)
    page.wait_for_function("() => document.querySelectorAll('#txt2img_recent button').length >= 3", timeout=30_000)
    assert len(saved(server.data_dir)) >= before + 3
    page.locator("#txt2img_generate").focus()
    page.keyboard.press("Shift+F10")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#txt2img_generate.forever")).to_have_count(0)
    page.locator("#txt2img_generate").click(button="right")
    page.get_by_role("menuitem", name="Generate forever", exact=True).click()
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "no number")
    expect(page.locator(".toasts .note").filter(has_text="Generate forever has stopped")).to_be_visible(timeout=30_000)
    expect(page.locator("#txt2img_generate.forever")).to_have_count(0)
