"""The page on a phone: painting with fingers, scrolling past sliders, and the job under way at the thumb."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.amounts import some
from tests.browser.steps import PROMPT, drop, generate, open_input, open_tab, set_number
from tests.browser.test_img2img import painted_pixels

pytestmark = [pytest.mark.browser, pytest.mark.server]

JOB_BAR = ".job-bar"
MASK = "#img2maskimg"


@pytest.mark.parametrize("slider", some(["#txt2img_steps", "#txt2img_cfg_scale"], 1))
def test_on_a_phone_a_vertical_swipe_over_a_slider_scrolls(settled_phone: Page, slider: str) -> None:
    phone = settled_phone
    track = phone.locator(f"{slider} input[type=range]")
    # There has to be a way to scroll on.
    phone.evaluate("() => { document.body.style.paddingBottom = '900px'; }")
    track.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    box = track.bounding_box()
    assert box is not None
    value, before = track.input_value(), phone.evaluate("() => scrollY")
    # Not where the handle is: there a touch could not change anything.
    place = {"x": box["x"] + box["width"] * 0.8, "y": box["y"] + box["height"] / 2}
    finger = phone.context.new_cdp_session(phone)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    for step in range(1, 16):
        moved = {"x": place["x"], "y": place["y"] - 10 * step}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
        phone.wait_for_timeout(16)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    phone.wait_for_timeout(500)
    assert phone.evaluate("() => scrollY") > before + 50
    assert track.input_value() == value
    assert phone.locator(f"{slider} input[type=number]").input_value() == value
    # A tap is meant.
    place["y"] += before - phone.evaluate("() => scrollY")
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(phone.locator(f"{slider} input[type=number]")).not_to_have_value(value)
    phone.evaluate("() => { document.body.style.paddingBottom = ''; }")


def test_on_a_phone_the_job_is_at_the_thumb_wherever_the_page_is(settled_phone: Page) -> None:
    phone = settled_phone
    set_number(phone, "steps", 40)
    set_number(phone, "batch_count", 100)
    generate(phone, "slow on a phone")
    bar = phone.locator(JOB_BAR)
    expect(bar).to_contain_text("Step ")
    for place in ("0", "document.body.scrollHeight"):
        phone.evaluate(f"() => scrollTo(0, {place})")
        box = bar.bounding_box()
        assert box is not None and box["y"] + box["height"] == 844 and box["width"] == 390
    open_tab(phone, "Queue")
    stop = bar.get_by_role("button", name="Interrupt")
    target = stop.bounding_box()
    assert target is not None and min(target["width"], target["height"]) >= 44
    stop.tap()
    expect(bar).to_be_hidden()


def test_on_a_phone_a_tap_on_a_card_puts_it_into_the_prompt_and_out_of_it(settled_phone: Page) -> None:
    phone = settled_phone
    tabs = phone.locator("#txt2img_extra_tabs")
    tabs.get_by_role("tab", name="Lora", exact=True).tap()
    card = phone.locator(".cards[data-mode=txt2img][data-kind=lora] .model-card").first
    card.locator(".card-main").tap()
    expect(phone.locator(PROMPT)).to_have_value("<lora:pen:1>")
    for one in card.get_by_role("button").all():
        target = one.bounding_box()
        assert target is not None and min(target["width"], target["height"]) >= 36
        assert target["x"] + target["width"] <= 390
    card.locator(".card-main").tap()
    expect(phone.locator(PROMPT)).to_have_value("")
    tabs.get_by_role("tab", name="Generation", exact=True).tap()


class Fingers:
    """Fingers on a touch screen, by the browser's own input events."""

    def __init__(self, page: Page) -> None:
        self._devtools = page.context.new_cdp_session(page)

    def __call__(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def test_one_finger_paints_two_zoom_and_the_page_stays(settled_phone: Page, scene: Path) -> None:
    page = settled_phone
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    page.locator(f"{MASK} .frame").evaluate("(frame) => frame.scrollIntoView({ block: 'center' })")
    box = page.locator(f"{MASK} .content").bounding_box()
    assert box is not None and box["width"] <= 390
    scrolled = page.evaluate("scrollY")
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    fingers = Fingers(page)
    fingers("touchStart", middle)
    for step in range(1, 9):
        fingers("touchMove", (middle[0], middle[1] + step * 8))
    fingers("touchEnd")
    stroke = painted_pixels(page, MASK)
    assert stroke > 150 and page.evaluate("scrollY") == scrolled
    # Two fingers: what the first began is no stroke, and the picture grows.
    fingers("touchStart", middle)
    fingers("touchStart", middle, (middle[0] + 40, middle[1]))
    for step in range(1, 9):
        fingers("touchMove", (middle[0] - step * 6, middle[1]), (middle[0] + 40 + step * 6, middle[1]))
    fingers("touchEnd")
    assert painted_pixels(page, MASK) == stroke
    zoomed = page.locator(f"{MASK} .content").bounding_box()
    assert zoomed is not None and zoomed["width"] > box["width"] * 1.5
    for button in page.locator(f"{MASK} .bar button:visible").all():
        size = button.bounding_box()
        assert size is not None and min(size["width"], size["height"]) >= 40
    # Every sub-tab has a name to press, and what depends on it shows.
    for tab in page.locator("#mode_img2img").first.get_by_role("tab").all():
        size = tab.bounding_box()
        assert size is not None and size["height"] >= 40 and size["x"] + size["width"] <= 390
    open_input(page, "Inpaint sketch")
    expect(page.locator("#img2img_mask_alpha")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
