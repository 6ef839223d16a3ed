"""What the page costs a browser and the server: loading it, a second load, keys in the prompt, pasted parameters.

    python -m benchmarks.page_cost [--repeats 3]

Headless Chromium (Playwright's driver, the system's browser) on a server with a fake engine and a data folder of its
own. Processor seconds are those of the page's process in the browser ("page"), and of the server; they hold on a busy
machine, where the seconds until the page is usable don't. Counts are exact: requests, kilobytes of their bodies as they
travelled, components and events of the page, calls of the server while somebody types.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic

import psutil
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.browser.conftest import ARGUMENTS, FAKE_ENGINE, chromium
from tests.browser.steps import PROMPT, visit
from tests.server.server import Server

TYPED = "a red cat on a mat and more"
PASTED = "a fox\nSteps: 4, Sampler: Euler, Seed: 3, CFG scale: 5"
STEPS = "document.querySelector('#txt2img_steps input[type=number]').value"
QUIET = 1500.0  # milliseconds after which nothing of a load goes on


@dataclass(frozen=True)
class Cost:
    """Of one load and what follows it: seconds, processor seconds, counts."""

    usable: float
    loading: float
    loading_server: float
    requests: int
    kilobytes: float
    second_load_kilobytes: float
    typing: float
    typing_calls: int
    pasting: float
    components: int
    events: int


def page_seconds() -> float:
    """Processor seconds of this process's browser's pages so far."""
    total = 0.0
    for child in psutil.Process(os.getpid()).children(recursive=True):
        try:
            if "--type=renderer" in child.cmdline():
                times = child.cpu_times()
                total += times.user + times.system
        except psutil.Error:
            # It ended meanwhile.
            continue
    return total


def spent(action: Callable[[], object], page: Page) -> float:
    before = page_seconds()
    action()
    page.wait_for_timeout(500)
    return page_seconds() - before


def paste(page: Page) -> None:
    page.fill(PROMPT, PASTED)
    page.click("#txt2img_paste")
    page.wait_for_function(f"{STEPS} === '4'")


def measure(browser: Browser, server: Server) -> Cost:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seen: list[Request] = []
    page = context.new_page()
    page.on("requestfinished", lambda request: seen.append(request))
    before, served, begin = page_seconds(), server.cpu_seconds(), monotonic()
    visit(page, server.url)
    usable = monotonic() - begin
    page.wait_for_timeout(QUIET)
    loading, loading_server = page_seconds() - before, server.cpu_seconds() - served
    requests, kilobytes = len(seen), transferred(seen)
    seen.clear()
    page.locator(PROMPT).click()
    typing = spent(lambda: page.keyboard.type(TYPED, delay=30), page)
    calls = sum(request.method == "POST" for request in seen)
    pasting = spent(lambda: paste(page), page)
    components, events = page.evaluate("[gradio_config.components.length, gradio_config.dependencies.length]")
    seen.clear()
    visit(page, server.url)
    page.wait_for_timeout(QUIET)
    again = transferred(seen)
    context.close()
    return Cost(usable, loading, loading_server, requests, kilobytes, again, typing, calls, pasting, components, events)


def transferred(requests: list[Request]) -> float:
    """Kilobytes of the answers' bodies as they travelled; for what the browser had it says less than none."""
    return sum(max(0, request.sizes()["responseBodySize"]) for request in requests) / 1000


def table(costs: list[Cost]) -> str:
    lines = ["| | median | best | worst |", "|---|---|---|---|"]
    for field in fields(Cost):
        values = [getattr(cost, field.name) for cost in costs]
        shown = (f"{value:.2f}" for value in (statistics.median(values), min(values), max(values)))
        lines.append(f"| {field.name.replace('_', ' ')} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), module=FAKE_ENGINE) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        print(table([measure(browser, server) for _ in range(given.repeats)]))
        browser.close()


if __name__ == "__main__":
    main()
