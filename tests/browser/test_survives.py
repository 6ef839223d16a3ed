"""The server dies under an open page, and the page goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FAKE_ENGINE, Watched
from tests.browser.steps import (
    BAR,
    INFOTEXT,
    PICTURE,
    PROMPT,
    begun,
    generate,
    interrupt,
    parameters,
    saved,
    set_number,
    state,
    visit,
)
from tests.jobs.helpers import eventually
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_the_server_is_killed_and_started_again_while_the_page_is_open(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with Server(tmp_path, module=FAKE_ENGINE) as server:
        visit(page, server.url)
        # Minutes of two seconds each, whatever the machine takes for the clicks.
        set_number(page, "steps", 40)
        set_number(page, "batch_count", 100)
        generate(page, "slow survivor")
        set_number(page, "batch_count", 1)
        generate(page, "second survivor")
        begun(page)
        eventually(lambda: saved(tmp_path), 60)
        running = state(page)["running"]["id"]
        server.kill()
        before = saved(tmp_path)
        status = page.locator("#engine_status .engine")
        expect(status).to_contain_text("Connection lost, retrying…")
        expect(page.locator(PROMPT)).to_have_value("second survivor")
        server.start()
        expect(status).to_have_attribute("data-state", "ready", timeout=60_000)
        # It goes on where it was.
        eventually(lambda: len(saved(tmp_path)) > len(before), 60)
        expect(page.locator(BAR)).to_be_visible()
        interrupt(page)
        expect(page.locator(INFOTEXT)).to_contain_text("second survivor", timeout=60_000)
        expect(page.locator(PICTURE).first).to_be_visible()
        expect(page.locator("#txt2img_recent button")).to_have_count(2)
        assert running in {job["id"] for job in state(page)["recent"]}
        firsts = [parameters(path).split("\n")[0] for path in saved(tmp_path)]
        assert firsts == ["slow survivor"] * (len(firsts) - 1) + ["second survivor"]
        seeds = [parameters(path).partition("Seed: ")[2] for path in saved(tmp_path)[:-1]]
        assert [int(seed) - int(seeds[0]) for seed in seeds] == list(range(len(seeds))), "none is missing or made twice"
        expect(page.locator(PROMPT)).to_have_value("second survivor")
        generate(page, "a third one")
        expect(page.locator(INFOTEXT)).to_contain_text("a third one", timeout=30_000)


@pytest.mark.long
def test_a_second_page_of_the_same_browser_shows_the_same_job(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 150)
    generate(page, "slow in two tabs")
    other = page.context.new_page()
    visit(other, server.url)
    expect(other.locator(INFOTEXT)).to_contain_text("slow in two tabs", timeout=30_000)
    expect(page.locator(INFOTEXT)).to_contain_text("slow in two tabs", timeout=30_000)


@pytest.mark.long
def test_another_browser_sees_prompts_unless_a_setting_says_no(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    set_number(page, "steps", 150)
    # Half a minute of work: on a busy machine the other page takes a while to come.
    for _ in range(4):
        generate(page, "slow secret")
    assert page.context.browser is not None
    context = page.context.browser.new_context()
    stranger = context.new_page()
    visit(stranger, server.url)
    first = stranger.locator("#txt2img_live .queue li").first
    expect(first).to_contain_text("slow secret")
    httpx.post(f"{server.url}/sdapi/v1/options", json={"queue_sharing": "The browser that started them"}, verify=False)
    expect(first).to_contain_text("somebody else's")
    httpx.post(f"{server.url}/sdapi/v1/options", json={"queue_sharing": "Automatic"}, verify=False)
    assert stranger.locator("#txt2img_live .queue button").count() == 0
    seen = state(stranger)
    assert seen["recent"] == [] and seen["running"]["mine"] is False
    context.close()
    page.click("#txt2img_interrupt")
    page.locator("#txt2img_live .queue button").first.click()
