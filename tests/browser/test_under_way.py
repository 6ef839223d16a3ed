"""A job under way, as the page shows it: which picture, how long, and that an interrupt was heard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.amounts import some
from tests.browser.conftest import Watched
from tests.browser.steps import BAR, INFOTEXT, generate, open_tab, set_number, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

JOB_BAR = ".job-bar"


def test_the_bar_says_which_picture_of_how_many_and_what_is_left(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 120)
    page.fill("#txt2img_batch_count input[type=number]", "3")
    page.locator("#txt2img_batch_count input[type=number]").press("Tab")
    generate(page, "three slow pictures")
    for number in (1, 2, 3):
        expect(page.locator(BAR)).to_contain_text(f"Picture {number} of 3")
    expect(page.locator(BAR)).to_contain_text(" left")
    page.click("#txt2img_interrupt")
    page.click("#txt2img_interrupt")
    expect(page.locator(BAR)).to_be_hidden()


def test_an_interrupt_is_seen_before_the_server_has_answered(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 150)
    generate(page, "slow to stop")
    page.wait_for_function(f"() => Number(document.querySelector('{BAR}').ariaValueNow) > 0")
    requests: list[Route] = []
    page.route("**/interrupt?*", lambda route: requests.append(route))
    page.click("#txt2img_interrupt")
    expect(page.locator(BAR)).to_contain_text("Interrupting…")
    while not requests:
        page.wait_for_timeout(20)
    expect(page.locator(BAR)).to_contain_text("Interrupting…")
    requests[0].continue_()
    expect(page.locator(BAR)).to_be_hidden()


def test_on_a_phone_the_job_is_at_the_thumb_wherever_the_page_is(phone: Page, server: Server) -> None:
    visit(phone, server.url)
    set_number(phone, "steps", 150)
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


@pytest.mark.long
def test_on_a_desktop_the_result_stays_in_view_beside_long_settings(watched: Watched, server: Server) -> None:
    page = watched.page
    page.set_viewport_size({"width": 1440, "height": 700})
    visit(page, server.url)
    generate(page, "in view")
    expect(page.locator(INFOTEXT)).to_contain_text("in view")
    # As with Hires. fix, a script and what extensions add.
    page.evaluate("() => { document.getElementById('txt2img_settings').style.minHeight = '2500px'; }")
    page.evaluate("() => scrollTo(0, 1500)")
    picture = page.locator("#txt2img_gallery").bounding_box()
    assert picture is not None and picture["y"] >= 0


@pytest.mark.parametrize("slider", some(["#txt2img_steps", "#txt2img_cfg_scale"], 1))
def test_on_a_phone_a_vertical_swipe_over_a_slider_scrolls(phone: Page, server: Server, slider: str) -> None:
    visit(phone, server.url)
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
