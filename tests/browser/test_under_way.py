"""A job under way, as the page shows it: which picture, how long, and that an interrupt was heard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import BAR, INFOTEXT, generate, open_tab, set_number, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

JOB_BAR = ".job-bar"
# How long after the press the bar says so, in milliseconds.
INTERRUPT = """(bar) => new Promise((resolve) => {
    const pressed = performance.now();
    const look = () => {
        if (document.querySelector(bar).textContent.includes("Interrupting…")) resolve(performance.now() - pressed);
        else if (performance.now() - pressed > 5000) resolve(5000);
        else setTimeout(look, 5);
    };
    document.getElementById("txt2img_interrupt").click();
    look();
})"""


def test_the_bar_says_which_picture_of_how_many_and_what_is_left(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 20)
    page.fill("#txt2img_batch_count input[type=number]", "3")
    page.locator("#txt2img_batch_count input[type=number]").press("Tab")
    generate(page, "three slow pictures")
    for number in (1, 2, 3):
        expect(page.locator(BAR)).to_contain_text(f"Picture {number} of 3")
    expect(page.locator(BAR)).to_contain_text(" left")
    page.click("#txt2img_interrupt")
    page.click("#txt2img_interrupt")
    expect(page.locator(BAR)).to_be_hidden()


def test_an_interrupt_is_seen_at_once(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 150)
    generate(page, "slow to stop")
    page.wait_for_function(f"() => Number(document.querySelector('{BAR}').ariaValueNow) > 0")
    assert page.evaluate(INTERRUPT, BAR) < 100
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


def test_on_a_desktop_the_result_stays_in_view_beside_long_settings(watched: Watched, server: Server) -> None:
    page = watched.page
    page.set_viewport_size({"width": 1440, "height": 700})
    visit(page, server.url)
    generate(page, "in view")
    expect(page.locator(INFOTEXT)).to_contain_text("in view")
    page.evaluate("() => document.querySelector('#txt2img_hr-checkbox input').click()")
    page.locator("#txt2img_script_list").scroll_into_view_if_needed()
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    picture = page.locator("#txt2img_gallery").bounding_box()
    assert picture is not None and picture["y"] >= 0


SLIDERS = ["#txt2img_steps", "#txt2img_cfg_scale"]


@pytest.mark.parametrize("slider", SLIDERS)
def test_on_a_phone_a_vertical_swipe_over_a_slider_scrolls(phone: Page, server: Server, slider: str) -> None:
    visit(phone, server.url)
    track = phone.locator(f"{slider} input[type=range]")
    track.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    box = track.bounding_box()
    assert box is not None
    value, before = track.input_value(), phone.evaluate("() => scrollY")
    client = phone.context.new_cdp_session(phone)
    # Not where the handle is: there a touch could not change anything.
    gesture = {"x": box["x"] + box["width"] * 0.8, "y": box["y"] + box["height"] / 2, "yDistance": -200}
    client.send("Input.synthesizeScrollGesture", {**gesture, "gestureSourceType": "touch", "speed": 600})
    assert phone.evaluate("() => scrollY") > before + 50
    assert track.input_value() == value
