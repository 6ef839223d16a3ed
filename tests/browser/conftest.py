"""A headless Chromium for the browser tests; without one they fail, they are not skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.server.server import Server

# A page on a busy machine takes its time; nobody waits longer than it takes.
LONGEST_WAIT = 40_000
expect.set_options(timeout=LONGEST_WAIT)

# The real server with the real queue and gallery; its engine draws noise and needs no torch.
FAKE_ENGINE = "tests.server.fake_engine_server"

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str:
    """Path of a Chromium: $CHROMIUM, or the one on the path."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "The browser tests need Chromium: install it, or name it in the environment variable CHROMIUM."
    return found


# Not for the whole session: while Playwright is there an event loop counts as running in the thread of the tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), module=FAKE_ENGINE) as running:
        yield running


class Watched:
    """A page together with everything that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" else None)
        page.on("request", self._stays_home)

    def _stays_home(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.problems.append(f"a request to another host: {request.url}")


class Device:
    """A person's browser: its tests each get a fresh page and empty storage, but what it has fetched stays cached."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(LONGEST_WAIT)

    def page(self) -> Iterator[Page]:
        yield self._context.new_page()
        origins = {"/".join(page.url.split("/")[:3]) for page in self._context.pages if page.url.startswith("http")}
        for page in self._context.pages:
            page.close()
        self._context.clear_cookies()
        blank = self._context.new_page()
        devtools = self._context.new_cdp_session(blank)
        for origin in origins:
            devtools.send(
                "Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage,indexeddb,cookies"}
            )
        blank.close()

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def desktop(browser: Browser) -> Iterator[Device]:
    device = Device(browser, viewport={"width": 1280, "height": 900})
    yield device
    device.close()


@pytest.fixture(scope="module")
def telephone(browser: Browser) -> Iterator[Device]:
    """A narrow window and fingers."""
    device = Device(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    yield device
    device.close()


@pytest.fixture
def watched(desktop: Device) -> Iterator[Watched]:
    for page in desktop.page():
        yield Watched(page)


@pytest.fixture
def phone(telephone: Device) -> Iterator[Page]:
    """A page on a phone."""
    yield from telephone.page()


def shots(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.rootpath) / "docs" / "screenshots"
