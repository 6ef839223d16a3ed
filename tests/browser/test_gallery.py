"""What stands around the results: the picture over the whole window, saving, and "Generate forever"."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from modules.settings import OPTIONS
from tests.browser.conftest import Watched
from tests.browser.steps import (
    INFOTEXT,
    PICTURE,
    begun,
    change_settings,
    expect_toast,
    generate,
    open_tab,
    saved,
    set_number,
    state,
    visit,
)
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACE = ".lightbox .place"

FILL_AGAIN = """() => new Promise((filled) => {
    document.addEventListener("webui-filled", () => setTimeout(filled, 300), { once: true });
    document.getElementById("txt2img_show").click();
})"""


def test_a_picture_over_the_whole_window_is_left_saved_and_closed_by_keys(settled: Watched, server: Server) -> None:
    page = settled.page
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
    # Also when keys come faster than answers.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(PLACE)).to_have_text("3 / 3")
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 502")
    # The job's pictures come once more, as when the server answers late: the same picture stays on display.
    page.evaluate(FILL_AGAIN)
    expect(page.locator(PLACE)).to_have_text("3 / 3")
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 502")
    page.keyboard.press("s")
    expect(page.locator("#download_files_txt2img")).to_be_attached()
    expect_toast(page, "Saved")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.lightbox")).to_be_hidden()
    copies = list((server.data_dir / "log" / "images").rglob("*502*.png"))
    assert len(copies) == 1
    assert settled.problems == []


# Each answer of Gradio's comes so late, as from a busy server.
SLOWLY = """() => {
    const { fetch } = window;
    window.fetch = async (...given) => {
        const answer = await fetch(...given);
        if (String(given[0]).includes("/run/")) await new Promise((go) => setTimeout(go, 1200));
        return answer;
    };
}"""


@pytest.mark.long
def test_arrows_faster_than_a_busy_server_end_at_the_picture_on_display(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "700")
    set_number(page, "batch_count", 4)
    generate(page, "four of them")
    expect(page.locator("#txt2img_gallery .thumbnail-small")).to_have_count(4, timeout=30_000)
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 700")
    page.evaluate(SLOWLY)
    page.locator("#txt2img_gallery .media-button").click()
    for keys, pause, seed in (("RR", 0, 702), ("RR", 400, 700), ("LRL", 90, 703), ("RLLL", 500, 701)):
        for key in keys:
            page.keyboard.press({"R": "ArrowRight", "L": "ArrowLeft"}[key])
            page.wait_for_timeout(pause)
        expect(page.locator(PLACE)).to_have_text(f"{seed - 699} / 4")
        expect(page.locator(INFOTEXT)).to_contain_text(f"Seed: {seed}")
        # No answer to an earlier key comes behind it.
        page.wait_for_timeout(1500)
        expect(page.locator(INFOTEXT)).to_contain_text(f"Seed: {seed}")
    assert watched.problems == []


# A browser without one: its state is what a test puts there.
GAMEPAD = """() => {
  window.pad = { axes: [0, 0], buttons: Array.from({ length: 16 }, () => ({ pressed: false })) };
  navigator.getGamepads = () => [null, window.pad];
}"""
LIGHTBOX = {
    "js_live_preview_in_modal_lightbox": True,
    "js_modal_lightbox_gamepad": True,
    "js_modal_lightbox_gamepad_repeat": 10_000,
    "show_progress_every_n_steps": 1,
}


@pytest.mark.long
def test_over_the_whole_window_a_job_is_watched_and_a_gamepad_leafs(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    change_settings(page, LIGHTBOX)
    visit(page, server.url)
    page.evaluate(GAMEPAD)
    set_number(page, "batch_count", 2)
    set_number(page, "steps", 40)
    generate(page, "slow pictures to be watched")
    page.locator("#txt2img_live .preview").click(timeout=60_000)
    image = page.locator("dialog.lightbox .picture img")
    expect(image).to_have_attribute("src", re.compile("internal/preview"))
    first = image.get_attribute("src")
    page.wait_for_function("(first) => document.querySelector('.lightbox img').src !== first", arg=first)
    expect(page.locator("dialog.lightbox .watch")).to_have_attribute("aria-pressed", "true")
    # Once the job is over, its pictures.
    expect(image).to_have_attribute("src", re.compile("file="), timeout=60_000)
    expect(page.locator(PLACE)).to_have_text("1 / 2")
    expect(page.locator("dialog.lightbox .watch")).to_be_hidden()
    # Held, it goes on after a while only.
    page.evaluate("() => { window.pad.axes[0] = 0.9; }")
    expect(page.locator(PLACE)).to_have_text("2 / 2")
    page.evaluate("() => { window.pad.axes[0] = 0.1; window.pad.buttons[14].pressed = true; }")
    expect(page.locator(PLACE)).to_have_text("1 / 2")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.lightbox")).to_be_hidden()
    # Esc closes an open list first, and what was over the window once keeps it from nothing.
    set_number(page, "steps", 150)
    generate(page, "slow pictures to be stopped")
    begun(page)
    page.click("#txt2img_sampling input")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    assert state(page)["running"] is not None
    page.click("#tab_txt2img .toprow", position={"x": 2, "y": 2})
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelector('#txt2img_interrupt.idle')")
    assert state(page)["latest"]["state"] == "interrupted"
    change_settings(page, {key: OPTIONS[key].default for key in LIGHTBOX})
    assert watched.problems == []


@pytest.mark.long
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
    expect_toast(page, "Generate forever has stopped")
    expect(page.locator("#txt2img_generate.forever")).to_have_count(0)


def test_the_gallery_tab_finds_what_was_made_by_its_prompt(settled: Watched) -> None:
    page = settled.page
    generate(page, "a heron over the gallery")
    expect(page.locator(INFOTEXT)).to_contain_text("a heron over the gallery")
    open_tab(page, "Gallery")
    page.fill("#gallery_search", '"heron over"')
    page.press("#gallery_search", "Enter")
    expect(page.locator("#gallery_panel .gallery-status")).to_have_text("1 picture")
    expect(page.locator("#gallery_panel .shot[data-id]")).to_have_count(1)
    # What is offered while one types is closed by Esc, and opened again by an arrow.
    offered = page.locator(".search-list [role=option]").first
    page.fill("#gallery_search", "mode")
    expect(offered).to_be_visible()
    page.press("#gallery_search", "Escape")
    expect(offered).to_be_hidden()
    page.press("#gallery_search", "ArrowDown")
    expect(offered).to_be_visible()
    page.fill("#gallery_search", "heron -gallery")
    page.press("#gallery_search", "Enter")
    expect(page.locator("#gallery_panel .shot[data-id]")).to_have_count(0)
