"""The Queue tab: waiting jobs are dragged, moved by key and button, cancelled, doubled; failed ones say why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import expect_toast, open_tab, stop_jobs, visit
from tests.jobs.helpers import eventually
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

SMALL = {"width": 64, "height": 64, "steps": 2}


def ask(server: Server, prompt: str, **fields: Any) -> str:
    body = SMALL | {"prompt": prompt} | fields
    answer = httpx.post(f"{server.url}/v1/jobs/txt2img", json=body, timeout=60, verify=False)
    identity: str = answer.json()["id"]
    return identity


def waiting(server: Server) -> list[str]:
    """The prompts of the waiting jobs in the order in which they will run."""
    return [job["request"]["prompt"] for job in server.json("/v1/jobs?state=waiting")]


def agreed(server: Server, *prompts: str) -> None:
    """The page shows a move at once; the server has it a moment later."""
    eventually(lambda: waiting(server) == list(prompts))


def fill(server: Server) -> None:
    """One job fails, one runs for minutes, three wait."""
    ask(server, "oom of a picture", seed=7)
    ask(server, "slow picture under way", steps=1000, n_iter=100)
    for name in ("first", "second", "third"):
        ask(server, name)


def opened(page: Page) -> Locator:
    """The tab, with what `fill` has put into the queue."""
    open_tab(page, "Queue")
    panel = page.locator("#queue_panel")
    expect(panel.locator(".waiting li")).to_have_count(3)
    return panel


@pytest.fixture
def queue(watched: Watched, server: Server) -> Iterator[Locator]:
    """The open tab of a fresh page."""
    fill(server)
    visit(watched.page, server.url)
    yield opened(watched.page)
    stop_jobs(server)


def row(panel: Locator, prompt: str) -> Locator:
    return panel.locator("li[data-id]", has=panel.page.locator("b", has_text=prompt)).first


def middle(row: Locator) -> tuple[float, float]:
    box = row.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, what: Locator, target: Locator) -> None:
    """With the mouse, from the handle of one row to the upper half of another."""
    page.mouse.move(*middle(what.locator(".handle")))
    page.mouse.down()
    x, y = middle(target.locator(".handle"))
    page.mouse.move(x, y - 12, steps=6)
    page.mouse.up()


def swipe(page: Page, what: Locator, target: Locator) -> None:
    """The same with a finger."""
    line = page.context.new_cdp_session(page)
    (x, y), (_, to) = middle(what.locator(".handle")), middle(target.locator(".handle"))
    line.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in range(1, 7):
        at = y + (to - 12 - y) * part / 6
        line.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": at}]})
    line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def shown(panel: Locator, *prompts: str) -> None:
    expect(panel.locator(".waiting b")).to_have_text(list(prompts))


def look(page: Page, name: str) -> None:
    """Screenshots to look at, with QUEUE_SHOTS naming a folder."""
    if folder := os.environ.get("QUEUE_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_waiting_jobs_are_reordered_cancelled_and_doubled(settled: Watched, server: Server) -> None:
    page = settled.page
    fill(server)
    queue = opened(page)
    expect(row(queue, "slow picture").locator("[role=progressbar]")).to_contain_text("Step ")
    expect(row(queue, "slow picture").locator("img")).to_be_visible()
    look(page, "desktop")

    drag(page, row(queue, "third"), row(queue, "first"))
    shown(queue, "third", "first", "second")
    expect(queue.locator(".spoken")).to_have_text("Moved to place 1 of 3.")
    agreed(server, "third", "first", "second")

    row(queue, "first").locator(".handle").press("ArrowDown")
    shown(queue, "third", "second", "first")
    agreed(server, "third", "second", "first")
    up = row(queue, "first").get_by_role("button", name="Move up")
    up.click()
    shown(queue, "third", "first", "second")
    expect(row(queue, "first").locator("[data-act=up]")).to_be_focused()
    page.keyboard.press("Enter")
    shown(queue, "first", "third", "second")
    agreed(server, "first", "third", "second")

    row(queue, "third").get_by_role("button", name="Cancel").click()
    shown(queue, "first", "second")
    expect(row(queue.locator(".ended"), "third")).to_contain_text("Cancelled")
    row(queue, "second").get_by_role("button", name="Duplicate").click()
    shown(queue, "first", "second", "second")
    agreed(server, "first", "second", "second")
    assert settled.problems == []


@pytest.mark.long
def test_a_failed_job_says_why_and_is_tried_again(queue: Locator, watched: Watched, server: Server) -> None:
    failed = row(queue.locator(".ended"), "oom of a picture")
    expect(failed).to_contain_text("The device ran out of memory.")
    failed.get_by_role("button", name="Retry").click()
    shown(queue, "first", "second", "third", "oom of a picture")
    assert server.json("/v1/jobs?state=waiting")[-1]["seeds"] == [7]
    row(queue, "slow picture").get_by_role("button", name="Interrupt").click()
    expect(queue.locator(".waiting")).to_have_text("No job waits.")
    expect(queue.locator(".running")).to_have_text("Nothing runs.")
    expect(row(queue.locator(".ended"), "slow picture")).to_contain_text("Interrupted")
    expect(row(queue.locator(".ended"), "first").locator("img")).to_be_visible()
    look(watched.page, "ended")
    assert watched.problems == []


@pytest.mark.long
def test_on_a_phone_a_finger_reorders(queue: Locator, watched: Watched, server: Server) -> None:
    page = watched.page
    for scheme in ("light", "dark"):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{server.url}/?__theme={scheme}")
        open_tab(page, "Queue")
        shown(queue, "first", "second", "third")
        look(page, f"phone-{scheme}")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    row(queue, "third").scroll_into_view_if_needed()
    swipe(page, row(queue, "third"), row(queue, "first"))
    shown(queue, "third", "first", "second")
    agreed(server, "third", "first", "second")


@pytest.mark.long
def test_a_queue_that_had_to_be_set_aside_is_reported_on_the_page(watched: Watched, server: Server) -> None:
    page = watched.page
    server.kill()
    (server.data_dir / "webui.db").write_bytes(b"this is no database" * 1000)
    server.start()
    visit(page, server.url)
    expect_toast(page, "was set aside as webui.db.corrupt-")
    page.reload()
    expect(page.locator("#engine_status .engine")).to_have_attribute("data-state", "ready", timeout=120_000)
    expect(page.locator(".toasts .note")).to_have_count(0)
    assert list(server.data_dir.glob("webui.db.corrupt-*"))
