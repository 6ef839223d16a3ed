"""The page takes neither focus nor scroll position nor results from a person: pictures arrive beside what they do."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.amounts import some
from tests.browser.conftest import Watched
from tests.browser.steps import INFOTEXT, PICTURE, PROMPT, generate, set_number, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(params=some(["desktop", "phone"], 1))
def page(request: pytest.FixtureRequest) -> Page:
    if request.param == "phone":
        found: Page = request.getfixturevalue("phone")
        return found
    watched: Watched = request.getfixturevalue("watched")
    return watched.page


# Counts the events of the page that Svelte watches for changes.
COUNT_WATCHED = """
window.watchedEvents = 0;
window.Proxy = new Proxy(Proxy, {
  construct(kind, [target, handler]) {
    if ("backend_fn" in target) window.watchedEvents += 1;
    return new kind(target, handler);
  },
});
"""


def test_who_types_while_the_picture_arrives_loses_no_letter_and_is_not_moved(page: Page, server: Server) -> None:
    page.add_init_script(COUNT_WATCHED)
    visit(page, server.url)
    # Half of the page's start was spent on them (assets/early_events.js).
    assert page.evaluate("() => [watchedEvents, gradio_config.dependencies.length > 100]") == [0, True]
    set_number(page, "steps", 8)
    generate(page, "a slow first picture")
    box = page.locator(PROMPT)
    box.click()
    box.press("End")
    before = page.evaluate("() => scrollY")
    typed = ""
    while not page.locator(PICTURE).count() or len(typed) < 30:
        page.keyboard.type("x")
        typed += "x"
        page.wait_for_timeout(60)
        assert len(typed) < 600, "no picture came"
    page.wait_for_timeout(500)
    page.keyboard.type("y")
    assert page.input_value(PROMPT) == f"a slow first picture{typed}y"
    assert page.evaluate("() => scrollY") == before


@pytest.mark.long
def test_a_reload_with_results_opens_at_the_top_with_the_focus_nowhere(page: Page, server: Server) -> None:
    visit(page, server.url)
    generate(page, "something to come back to")
    expect(page.locator(INFOTEXT)).to_contain_text("something to come back to")
    page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")
    page.reload()
    expect(page.locator(INFOTEXT)).to_contain_text("something to come back to")
    page.wait_for_timeout(800)
    assert page.evaluate("() => [document.activeElement === document.body, scrollY]") == [True, 0]


@pytest.mark.long
def test_who_leafs_through_the_gallery_by_keys_stays_in_it(settled: Watched) -> None:
    page = settled.page
    page.fill("#txt2img_batch_count input[type=number]", "3")
    page.locator("#txt2img_batch_count input[type=number]").press("Tab")
    generate(page, "three of them")
    small = page.locator("#txt2img_gallery .thumbnails .thumbnail-item")
    expect(small).to_have_count(3)
    small.nth(0).click()
    page.keyboard.press("ArrowRight")
    expect(small.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(small.nth(2)).to_be_focused()


@pytest.mark.long
def test_two_tabs_of_one_browser_do_not_replace_each_others_results(watched: Watched, server: Server) -> None:
    one = watched.page
    visit(one, server.url)
    generate(one, "of the first tab")
    expect(one.locator(INFOTEXT)).to_contain_text("of the first tab")
    two = one.context.new_page()
    visit(two, server.url)
    expect(two.locator(INFOTEXT)).to_contain_text("of the first tab")
    generate(two, "of the second tab")
    expect(two.locator(INFOTEXT)).to_contain_text("of the second tab")
    one.bring_to_front()
    # The first tab knows of it: it is in the row of earlier results.
    expect(one.locator("#txt2img_recent button").first).to_have_attribute("class", "")
    one.wait_for_timeout(1500)
    expect(one.locator(INFOTEXT)).to_contain_text("of the first tab")
    one.reload()
    expect(one.locator(INFOTEXT)).to_contain_text("of the first tab")
    one.locator("#txt2img_recent button").first.click()
    expect(one.locator(INFOTEXT)).to_contain_text("of the second tab")


@pytest.mark.long
def test_what_was_saved_of_one_job_is_not_offered_under_the_next(settled: Watched) -> None:
    page = settled.page
    generate(page, "saved one")
    expect(page.locator(INFOTEXT)).to_contain_text("saved one")
    page.click("#save_txt2img")
    expect(page.locator("#download_files_txt2img")).to_be_visible()
    generate(page, "the next one")
    expect(page.locator(INFOTEXT)).to_contain_text("the next one")
    expect(page.locator("#download_files_txt2img")).to_be_hidden()
