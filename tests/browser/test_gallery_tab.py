"""The Gallery tab with real files below the outputs: found, stacked, compared, marked, thrown away and used."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Watched, new_context
from tests.browser.gallery import NEGATIVE_PROMPT, PICTURES, dragged, open_gallery, search, shots, status
from tests.browser.steps import INFOTEXT, NEGATIVE, PROMPT, SEED, expect_toast, generate, open_input, open_tab, visit
from tests.browser.test_accessibility import AXE, RUN, SIZES
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def axe(page: Page, where: str) -> list[str]:
    """What axe-core finds in a view, at each width and in each theme; the width of before is set again."""
    before = page.viewport_size
    found = []
    for size in SIZES:
        page.set_viewport_size(size)
        for dark in (False, True):
            page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
            # Nothing else than colours depends on the theme.
            rules = ["color-contrast"] if dark else None
            found += [f"{where}, {size['width']}, {dark}: {one}" for one in page.evaluate(RUN, rules)]
    assert before is not None
    page.set_viewport_size(before)
    return found


@pytest.mark.long
def test_the_gallery_from_search_to_trash(browser: Browser, library: Server) -> None:
    context = new_context(browser, DESKTOP)
    watched = Watched(context.new_page())
    page = watched.page
    visit(page, library.url)
    # Nothing is requested, and nothing built, until the tab is opened.
    assert page.locator("#gallery_panel .shot").count() == 0
    open_gallery(page)
    _search(page)
    _stack(page)
    _mark(page)
    _compare(page)
    _use(page)
    _drop(page)
    _throw_away(page)
    _results(page)
    assert watched.problems == []
    context.close()


def _search(page: Page) -> None:
    page.fill("#gallery_search", "mode")
    expect(page.locator(".search-list [role=option]").first).to_have_text(re.compile("^model:"))
    page.press("#gallery_search", "ArrowDown")
    page.press("#gallery_search", "Enter")
    expect(page.locator("#gallery_search")).to_have_value("model:")
    for text, count in (("fox night", 3), ('"green owl"', 1), ("night -fox", 1), ("狐狸", 1), ("cfg:>5 -fox", 1)):
        search(page, text)
        expect(status(page)).to_have_text(f"{count} pictures" if count > 1 else "1 picture")
        expect(shots(page)).to_have_count(count)
    search(page, "")
    expect(shots(page)).to_have_count(len(PICTURES))
    # Two of today, one of yesterday, two of another month: each day begins a row.
    expect(page.locator(".shot-heading")).to_have_count(3)


def _stack(page: Page) -> None:
    page.get_by_label("Stack").check()
    expect(status(page)).to_have_text("4 pictures")
    stack = shots(page).filter(has=page.locator(".shot-stack"))
    expect(stack).to_have_count(1)
    expect(stack.locator(".shot-stack")).to_have_text("3")
    stack.click()
    expect(status(page)).to_have_text("3 pictures")
    expect(page.get_by_label("Stack")).not_to_be_checked()
    search(page, "")
    expect(shots(page)).to_have_count(len(PICTURES))


def _mark(page: Page) -> None:
    """By keys alone: arrows, rating, favourite, selection; then a tag and a board in dialogs."""
    shots(page).first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("4")
    expect(shots(page).nth(1).locator(".shot-marks")).to_have_text("4")
    page.keyboard.press("f")
    expect(shots(page).nth(1).locator(".heart")).to_have_count(1)
    expect(shots(page).nth(1)).to_be_focused()
    search(page, "rating:>=4 is:favourite")
    expect(status(page)).to_have_text("1 picture")
    search(page, "")
    expect(shots(page)).to_have_count(len(PICTURES))
    shots(page).first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".selection-count")).to_have_text("2 selected")
    expect(shots(page).nth(1)).to_have_attribute("aria-selected", "true")
    bar = page.get_by_role("toolbar", name="Selected pictures")
    bar.get_by_role("button", name="Tags").click()
    page.fill("dialog [name=tags]", "good one, night")
    page.get_by_role("button", name="Add", exact=True).click()
    side = page.locator(".gallery-side")
    expect(side.get_by_role("button", name="good one 2")).to_be_visible()
    bar.get_by_role("button", name="Board").click()
    page.fill("dialog [name=name]", "Best")
    page.get_by_role("button", name="Put there").click()
    expect(side.get_by_role("button", name="Best 2", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    side.get_by_role("button", name="Best 2", exact=True).click()
    expect(status(page)).to_have_text("2 pictures")
    side.get_by_role("button", name="All pictures").click()
    expect(shots(page)).to_have_count(len(PICTURES))


def _compare(page: Page) -> None:
    page.keyboard.press("Escape")
    shots(page).nth(2).click(modifiers=["Control"])
    shots(page).nth(3).click(modifiers=["Control"])
    shots(page).nth(3).focus()
    page.keyboard.press("c")
    dialog = page.locator(".gallery-compare")
    expect(dialog.locator(".compare-frame")).to_have_count(2)
    expect(dialog.locator(".compare-table ins").first).to_have_text("blue")
    # What is zoomed in one frame is zoomed in the other.
    content = dialog.locator(".compare-frame .content")
    before = content.nth(1).evaluate("(one) => one.style.transform")
    dialog.locator(".compare-frame").first.hover()
    page.mouse.wheel(0, -300)
    expect(content.nth(1)).not_to_have_attribute("style", re.compile(re.escape(before)))
    dialog.locator("[data-mode=difference]").click()
    expect(dialog.locator(".compare-controls")).to_contain_text("of the pixels differ.")
    dialog.locator("[data-mode=slider]").click()
    page.get_by_label("Where the second picture begins").fill("20")
    expect(dialog.locator(".content img").nth(1)).to_have_attribute("style", re.compile("20%"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    shots(page).nth(3).focus()
    page.keyboard.press("Escape")
    expect(page.locator(".selection-bar")).to_be_hidden()


def _use(page: Page) -> None:
    """The detail view: a word of the prompt as a search, parameters into the form, the picture to img2img."""
    search(page, "owl")
    expect(shots(page)).to_have_count(1)
    shots(page).first.focus()
    page.keyboard.press("Enter")
    detail = page.locator(".gallery-detail")
    expect(detail.locator(".detail-fields")).to_contain_text("Euler a")
    detail.get_by_role("button", name="a green owl at night").click()
    expect(page.locator("#gallery_search")).to_have_value('"a green owl at night"')
    shots(page).first.click()
    detail.get_by_role("button", name="Everything").click()
    expect(page.locator(PROMPT)).to_have_value("a green owl at night")
    expect(page.locator(NEGATIVE)).to_have_value(NEGATIVE_PROMPT)
    expect(page.locator(SEED).first).to_have_value("104")
    open_tab(page, "Gallery")
    shots(page).first.click()
    detail.get_by_role("button", name="img2img", exact=True).click()
    page.wait_for_selector("#img2img_image .slot.filled, .slot[data-slot=img2img].filled")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a green owl at night")


def _drop(page: Page) -> None:
    """A picture dragged from the gallery to a place for pictures on another tab, and to a prompt."""
    open_tab(page, "Gallery")
    search(page, "whale")
    # The search before found one as well.
    expect(shots(page)).to_have_attribute("title", "00003-103.png")
    data = dragged(shots(page).first)
    open_input(page, "Inpaint")
    page.dispatch_event(".slot[data-slot=inpaint]", "drop", {"dataTransfer": data})
    expect(page.locator(".slot[data-slot=inpaint] .size")).to_have_text("128×192")
    open_tab(page, "txt2img")
    page.dispatch_event(PROMPT, "drop", {"dataTransfer": data})
    expect(page.locator(PROMPT)).to_have_value("a blue whale, waves")


def _throw_away(page: Page) -> None:
    open_tab(page, "Gallery")
    search(page, "whale")
    expect(shots(page)).to_have_count(1)
    shots(page).first.focus()
    page.keyboard.press("Delete")
    expect(status(page)).to_have_text("No picture fits this search.")
    page.locator(".toasts").get_by_role("button", name="Undo").click()
    expect(shots(page)).to_have_count(1)
    shots(page).first.focus()
    page.keyboard.press("Delete")
    expect(status(page)).to_have_text("No picture fits this search.")
    page.locator(".gallery-side").get_by_role("button", name="Trash").click()
    expect(shots(page)).to_have_count(1)
    shots(page).first.focus()
    page.keyboard.press("Space")
    page.get_by_role("toolbar", name="Selected pictures").get_by_role("button", name="Restore").click()
    expect_toast(page, "1 picture restored.")
    page.locator(".gallery-side").get_by_role("button", name="All pictures").click()
    expect(shots(page)).to_have_count(len(PICTURES))


def _results(page: Page) -> None:
    """Under a result: what changed since the one before, and the way to the gallery and back."""
    open_tab(page, "txt2img")
    for prompt in ("a red kite, night", "a green kite, night, stars"):
        generate(page, prompt)
        expect(page.locator(INFOTEXT)).to_contain_text(prompt)
    changed = page.locator("#txt2img_recent .changed")
    expect(changed.locator("del").first).to_have_text("red")
    expect(changed.locator("ins").nth(1)).to_have_text("stars")
    page.click("#txt2img_in_library")
    detail = page.locator(".gallery-detail")
    expect(detail.locator(".detail-prompt").first).to_contain_text("a green kite, night, stars")
    page.keyboard.press("Escape")
    expect(page.locator("#txt2img_in_library")).to_be_visible()


@pytest.mark.long
def test_on_a_phone_with_axe_dark_and_light(browser: Browser, library: Server) -> None:
    """Fingers select and open; nothing for axe-core to find in any view; prompts so far go into the boxes."""
    context = new_context(browser, PHONE)
    page = context.new_page()
    visit(page, library.url)
    open_gallery(page)
    page.add_script_tag(path=AXE)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    found = axe(page, "grid")
    shots(page).first.tap()
    expect(page.locator(".gallery-detail .detail-fields")).to_be_visible()
    found += axe(page, "detail")
    page.keyboard.press("Escape")
    page.fill("#gallery_search", "mode")
    expect(page.locator(".search-list [role=option]").first).to_be_visible()
    found += axe(page, "completions")
    search(page, "")
    expect(shots(page)).to_have_count(len(PICTURES))
    _select_by_finger(page)
    found += axe(page, "selected")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".gallery-compare .compare-frame")).to_have_count(2)
    for mode in ("side", "slider", "blink", "difference"):
        page.locator(f".gallery-compare [data-mode={mode}]").click()
        found += axe(page, f"compare, {mode}")
    page.get_by_role("button", name="Close (Esc)").click()
    page.get_by_role("button", name="Folders, boards and tags").click()
    expect(page.locator(".gallery-side")).to_be_visible()
    found += axe(page, "side")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    open_tab(page, "txt2img")
    page.click("#txt2img_prompt_history")
    history = page.locator(".prompt-history")
    expect(history.locator(".history-entry").first).to_be_visible()
    found += axe(page, "history")
    history.get_by_role("searchbox").fill("owl")
    expect(history.locator(".history-entry")).to_have_count(1)
    history.locator(".history-entry").click()
    expect(page.locator(PROMPT)).to_have_value("a green owl at night")
    assert not found
    context.close()


def _select_by_finger(page: Page) -> None:
    """A long press selects, taps add to it."""
    box = shots(page).first.bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)
    point = {"x": box["x"] + 40, "y": box["y"] + 40}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    expect(page.locator(".selection-count")).to_have_text("1 selected")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shots(page).nth(1).tap()
    expect(page.locator(".selection-count")).to_have_text("2 selected")
