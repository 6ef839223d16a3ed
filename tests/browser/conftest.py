"""A headless Chromium for the browser tests; without one they fail, they are not skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.gallery import write_pictures
from tests.browser.steps import settle, visit
from tests.catalogue.files import write_model
from tests.server.server import Server

# A page on a busy machine takes its time; nobody waits longer than it takes.
LONGEST_WAIT = 40_000
expect.set_options(timeout=LONGEST_WAIT)

# The real server with the real queue and gallery; its engine draws noise and needs no torch.
FAKE_ENGINE = "tests.server.fake_engine_server"

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
# A narrow window and fingers.
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

# A toast passes, and a busy machine looks too late: every one is noted when it comes.
NOTE_TOASTS = """
window.toastsSeen = [];
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes)
    if (node instanceof Element && node.matches(".toasts .note")) window.toastsSeen.push(node.textContent);
}).observe(document, { childList: true, subtree: true });
"""

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


def write_models(data: Path) -> None:
    """A Lora and a VAE, which an infotext can name by their hashes."""
    write_model(data / "models" / "Lora" / "pen.safetensors", content=b"l" * 12)
    write_model(data / "models" / "VAE" / "mine.safetensors", content=b"v" * 12)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the folder: what a test does to it, the next one must not notice."""
    data = tmp_path_factory.mktemp("data")
    write_models(data)
    with Server(data, module=FAKE_ENGINE) as running:
        yield running


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with the pictures of `gallery.PICTURES`."""
    data = tmp_path / "library"
    write_models(data)
    write_pictures(data / "outputs" / "txt2img-images" / "old")
    with Server(data, module=FAKE_ENGINE) as running:
        yield running


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 160 × 120."""
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    # Nowhere white, so that white strokes are seen on it.
    Image.effect_noise((160, 120), 70).convert("RGB").point(lambda value: min(value, 200)).save(path)
    return path


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


def new_context(browser: Browser, options: dict[str, Any]) -> BrowserContext:
    context = browser.new_context(**options)
    context.set_default_timeout(LONGEST_WAIT)
    context.add_init_script(NOTE_TOASTS)
    return context


class Device:
    """A person's browser: its tests each get a fresh page and empty storage, but what it has fetched stays cached."""

    def __init__(self, browser: Browser, options: dict[str, Any]) -> None:
        self._context = new_context(browser, options)

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


class OpenPage:
    """The one page that stays open from test to test; only one, because each asks the server for news all the time."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._options: dict[str, Any] = {}
        self._watched: Watched | None = None

    def on(self, options: dict[str, Any], server: Server) -> Watched:
        """On a device of these options, loaded and as a test wants to find it."""
        if self._watched is None or self._options is not options:
            self.close()
            self._options = options
            self._watched = Watched(new_context(self._browser, options).new_page())
            visit(self._watched.page, server.url)
        settle(self._watched.page, server)
        self._watched.problems.clear()
        return self._watched

    def close(self) -> None:
        if self._watched is not None:
            self._watched.page.context.close()
            self._watched = None


@pytest.fixture(scope="package")
def open_page(browser: Browser) -> Iterator[OpenPage]:
    page = OpenPage(browser)
    yield page
    page.close()


def _settled(
    options: dict[str, Any], open_page: OpenPage, server: Server, session: pytest.Session
) -> Iterator[Watched]:
    failed = session.testsfailed
    yield open_page.on(options, server)
    if session.testsfailed != failed:
        open_page.close()


@pytest.fixture
def settled(open_page: OpenPage, server: Server, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page that others have used and will use: on the tab txt2img, its commonest fields empty, no job under way.

    Loading a page costs more than most tests do on it. After a failed test the next one gets a new page.
    """
    yield from _settled(DESKTOP, open_page, server, request.session)


@pytest.fixture
def settled_phone(open_page: OpenPage, server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The same on a phone."""
    for watched in _settled(PHONE, open_page, server, request.session):
        yield watched.page


@pytest.fixture(scope="package")
def desktop(browser: Browser) -> Iterator[Device]:
    device = Device(browser, DESKTOP)
    yield device
    device.close()


@pytest.fixture(scope="package")
def telephone(browser: Browser) -> Iterator[Device]:
    device = Device(browser, PHONE)
    yield device
    device.close()


@pytest.fixture
def watched(desktop: Device, open_page: OpenPage) -> Iterator[Watched]:
    """A fresh page."""
    open_page.close()
    for page in desktop.page():
        yield Watched(page)


@pytest.fixture
def phone(telephone: Device, open_page: OpenPage) -> Iterator[Page]:
    """A fresh page on a phone."""
    open_page.close()
    yield from telephone.page()


def shots(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.rootpath) / "docs" / "screenshots"
