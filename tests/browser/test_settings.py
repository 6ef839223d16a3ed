"""The Settings tab: drawn from the option table, searched, changed, refused, reset."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from modules.settings import OPTIONS, SECTIONS
from tests.browser.conftest import Watched
from tests.browser.steps import visit
from tests.ui.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_settings_are_found_changed_refused_and_reset(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.get_by_role("tab", name="Settings").click()
    panel = page.locator("#settings_panel")
    shown = {option.section for option in OPTIONS.values() if not option.hidden}
    expect(panel.locator("details")).to_have_count(len(shown & set(SECTIONS)))

    page.fill("#settings_search", "clip skip")
    field = page.locator("#option_CLIP_stop_at_last_layers")
    expect(field).to_be_visible()
    expect(page.locator("#option_jpeg_quality")).to_be_hidden()

    field.fill("2")
    expect(page.locator("#settings_apply")).to_have_text("Apply 1 change")
    page.click("#settings_apply")
    expect(page.locator(".setting.other #option_CLIP_stop_at_last_layers")).to_have_value("2")
    expect(page.locator("#settings_apply")).to_be_disabled()
    assert server.json("/sdapi/v1/options")["CLIP_stop_at_last_layers"] == 2

    field.fill("99")
    page.click("#settings_apply")
    expect(page.get_by_text("takes from 1 to 12, not 99")).to_be_visible()
    assert server.json("/sdapi/v1/options")["CLIP_stop_at_last_layers"] == 2

    page.locator(".setting", has=field).get_by_role("button").click()
    expect(page.locator(".setting.other #option_CLIP_stop_at_last_layers")).to_have_count(0)
    assert server.json("/sdapi/v1/options")["CLIP_stop_at_last_layers"] == 1
    # The refused value is told by the browser as a failed request; nothing else may have gone wrong.
    assert [problem for problem in watched.problems if "422" not in problem] == []
