"""A job under way, as the page shows it: which picture, how long, and that an interrupt was heard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import DESKTOP, Watched
from tests.browser.steps import BAR, INFOTEXT, generate, set_number

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_the_bar_says_which_picture_of_how_many_what_is_left_and_at_once_that_it_is_interrupted(
    settled: Watched,
) -> None:
    page = settled.page
    set_number(page, "steps", 150)
    set_number(page, "batch_count", 3)
    generate(page, "three slow pictures")
    for number in (1, 2, 3):
        expect(page.locator(BAR)).to_contain_text(f"Picture {number} of 3")
        expect(page.locator(BAR)).to_contain_text(" left")
        if number < 3:
            page.click("#txt2img_skip")
    # Before the server has answered.
    requests: list[Route] = []
    page.route("**/interrupt?*", lambda route: requests.append(route))
    page.click("#txt2img_interrupt")
    # By the settings the picture under way is ended first.
    expect(page.locator(BAR)).to_contain_text("Stopping after this picture")
    while not requests:
        page.wait_for_timeout(20)
    expect(page.locator(BAR)).to_contain_text("Stopping after this picture")
    requests[0].continue_()
    expect(page.locator(BAR)).to_be_hidden()
    page.unroute("**/interrupt?*")


@pytest.mark.long
def test_on_a_desktop_the_result_stays_in_view_beside_long_settings(settled: Watched) -> None:
    page = settled.page
    page.set_viewport_size({"width": 1440, "height": 700})
    generate(page, "in view")
    expect(page.locator(INFOTEXT)).to_contain_text("in view")
    # As with Hires. fix, a script and what extensions add.
    page.evaluate("() => { document.getElementById('txt2img_settings').style.minHeight = '2500px'; }")
    page.evaluate("() => scrollTo(0, 1500)")
    picture = page.locator("#txt2img_gallery").bounding_box()
    assert picture is not None and picture["y"] >= 0
    page.evaluate("() => { document.getElementById('txt2img_settings').style.minHeight = ''; }")
    page.set_viewport_size(DESKTOP["viewport"])
