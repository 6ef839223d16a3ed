"""What axe-core finds on each tab, dark and light, on a desktop's and on a phone's width; and where Tab stops.

axe-core is among the packages of package.json, for tests alone. Colours are measured without a browser as well:
tests/page/test_contrast.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from modules.page.option_choices import TABS
from tests.browser.conftest import Watched
from tests.browser.steps import INFOTEXT, generate, open_tab, visit
from tests.server.server import ROOT, Server

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.long]

AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SIZES: Final = (ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844))
# What Tab must not stop at: without a size, unseen, cut away or meant for nobody.
HIDDEN: Final = """() => {
    const at = document.activeElement;
    if (!at || at === document.body) return null;
    const { width, height } = at.getBoundingClientRect();
    const seen = at.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && width > 1 && height > 1;
    // The field of a place for pictures is drawn by the label around it.
    const drawn = seen || at.closest("label.drop:focus-within") !== null;
    return [at.outerHTML.slice(0, 160), drawn && at.closest("[inert], [aria-hidden=true]") === null];
}"""
RUN: Final = """async (rules) => {
    const found = await axe.run(document, {
        resultTypes: ["violations"],
        ...(rules ? { runOnly: rules } : { rules: { "target-size": { enabled: true } } }),
    });
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
}"""


def main_tabs(page: Page) -> list[str]:
    """The names of the tabs there are, so that none that comes anew is left out."""
    return page.locator("#tabs > .tab-wrapper").first.get_by_role("tab").all_inner_texts()


def views(page: Page) -> Iterator[str]:
    """Open one part of the page after the other."""
    for tab in main_tabs(page):
        open_tab(page, tab)
        if tab == "Gallery":
            expect(page.locator("#gallery_panel .shot[data-id]").first).to_be_visible()
        yield tab
        if tab == "txt2img":
            for name in ("Lora", "Checkpoints", "Generation"):
                page.locator("#txt2img_extra_tabs").get_by_role("tab", name=name, exact=True).click()
                yield f"txt2img, {name}"
        elif tab == "img2img":
            for name in ("Sketch", "Inpaint upload", "Batch"):
                page.locator("#mode_img2img").get_by_role("tab", name=name, exact=True).click()
                yield f"img2img, {name}"
        elif tab == "Settings":
            for name in ("defaults", "actions", "system"):
                page.click(f"#settings_page_{name}")
                expect(page.locator("#settings_content")).not_to_be_empty()
                yield f"Settings, {name}"


def test_axe_finds_nothing_on_any_tab_dark_and_light_narrow_and_wide(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.add_script_tag(path=AXE)
    # Colours that fade from one theme to the other are nobody's.
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    generate(page, "a picture to look at")
    expect(page.locator(INFOTEXT)).to_contain_text("a picture to look at")
    # The parts that are folded at first.
    page.locator("#txt2img_reading button").first.click()
    page.check("[id='txt2img_hr-checkbox'] input")
    found: dict[str, Any] = {}
    seen = []
    for view in views(page):
        seen.append(view)
        for size in SIZES:
            page.set_viewport_size(size)
            for theme in ("light", "dark"):
                page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
                # Nothing else than colours depends on the theme.
                if violations := page.evaluate(RUN, ["color-contrast"] if theme == "dark" else None):
                    found[f"{view}, {size['width']} px, {theme}"] = violations
    assert not found
    # A page that shows one tab less than there are is no page without violations.
    assert {*TABS} <= {*seen}


def test_tab_stops_at_nothing_hidden_and_leads_from_a_tab_into_what_it_shows(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    stops: list[str] = []
    for tab in ("txt2img", "img2img", "Gallery"):
        page.locator("#tabs > .tab-wrapper").get_by_role("tab", name=tab, exact=True).focus()
        page.keyboard.press("Enter")
        for _ in range(60):
            page.keyboard.press("Tab")
            stop = page.evaluate(HIDDEN)
            if stop is None:
                break
            what, drawn = stop
            assert drawn, what
            stops.append(what)
        assert len(stops) > 30, "the focus was lost"
        assert not any('role="tab"' in what and 'aria-selected="false"' in what for what in stops)
