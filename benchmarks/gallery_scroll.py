"""The Gallery tab over 100,000 pictures in a browser: scrolling by wheel, by the scroll bar and by keys, and memory.

    python -m benchmarks.gallery_scroll [--pictures 100000]

Real files (64², each with an infotext of its own) below the outputs of a real server with a fake engine, headless
Chromium as a desktop and as a phone with the largest pictures, where the list is higher than browsers let an element
be. A long task is one of the page's main thread above 50 ms, by the browser's own count; a gap is the time between two
frames. The browser draws with the processor, so seconds depend on what else runs. Memory is that of the page's scripts
after a collection, with the nodes of the document.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, FAKE_ENGINE, chromium
from tests.browser.steps import open_tab, visit
from tests.server.server import Server

PER_FOLDER = 1000
SIDE = 64
DEVICES: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "desktop, 1400 × 900": ({"viewport": {"width": 1400, "height": 900}}, 180),
    "phone, 390 × 844, largest": ({"viewport": {"width": 390, "height": 844}, "has_touch": True}, 420),
}
COUNT = "#gallery_panel .gallery-status"
LIST = ".shot-scroller"
WATCH = """() => {
    window.longTasks = []; window.gaps = []; window.mostBoxes = 0;
    new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
        .observe({ entryTypes: ["longtask"] });
    let before = performance.now();
    const frame = (now) => {
        gaps.push(now - before); before = now;
        mostBoxes = Math.max(mostBoxes, document.querySelectorAll(".shot").length);
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""
TAKE = """() => {
    const found = { tasks: longTasks, gaps, boxes: mostBoxes };
    window.longTasks = []; window.gaps = []; window.mostBoxes = 0;
    return found;
}"""
# All that is in view has its picture.
LOADED = """() => {
    const list = document.querySelector(".shot-scroller").getBoundingClientRect();
    const seen = [...document.querySelectorAll(".shot")].filter((shot) => {
        const { top, bottom } = shot.getBoundingClientRect();
        return bottom > list.top && top < list.bottom;
    });
    return seen.length > 0 && seen.every((shot) => shot.dataset.id && shot.querySelector("img")?.complete);
}"""


@dataclass(frozen=True)
class Part:
    """What one way of scrolling cost: milliseconds."""

    name: str
    tasks: list[float]
    gaps: list[float]
    boxes: int
    loaded: list[float]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_library(folder: Path, pictures: int) -> None:
    """PNG files with infotexts, four to a prompt, in folders of a thousand; their times are an hour apart."""
    noise = [np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8) for seed in range(64)]
    bodies = []
    for tile in noise:
        rows = tile.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1).reshape(SIDE, -1)
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        bodies.append(chunk(b"IDAT", data) + chunk(b"IEND", b""))
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    for number in range(pictures):
        place = folder / f"{number // PER_FOLDER:04}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        text = f"a castle of {number // 4}, ink\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: {number}, Size: 64x64"
        path = place / f"{number:06}.png"
        path.write_bytes(head + chunk(b"tEXt", b"parameters\0" + text.encode("latin-1")) + bodies[number % 64])


def wait_for_index(server: Server, pictures: int) -> float:
    """Seconds until every file is in the index."""
    begun = monotonic()
    while server.json("/v1/pictures?limit=1")["total"] < pictures:
        sleep(1)
    return monotonic() - begun


def part(page: Page, name: str, moves: Sequence[Callable[[], object]], pause: int) -> Part:
    """Do all moves, the next one `pause` milliseconds later, and wait for the pictures behind the last."""
    page.evaluate(TAKE)
    loaded = []
    for move in moves:
        begun = monotonic()
        move()
        if pause:
            page.wait_for_timeout(pause)
        else:
            page.wait_for_function(LOADED)
            loaded.append(1000 * (monotonic() - begun))
    begun = monotonic()
    page.wait_for_function(LOADED)
    loaded.append(1000 * (monotonic() - begun))
    found = page.evaluate(TAKE)
    return Part(name, found["tasks"], found["gaps"], found["boxes"], loaded)


def heap(devtools: CDPSession) -> tuple[float, int]:
    """Megabytes of the page's scripts after a collection, and nodes of the document."""
    devtools.send("HeapProfiler.collectGarbage")
    used = devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    return used, int(devtools.send("Memory.getDOMCounters")["nodes"])


def measure(browser: Browser, server: Server, pictures: int, device: str) -> list[str]:
    """The table's rows of one device."""
    options, side = DEVICES[device]
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(120_000)
    visit(page, server.url)
    page.evaluate("(side) => localStorage.setItem('webui-gallery', JSON.stringify({ side, days: false }))", side)
    devtools = context.new_cdp_session(page)
    page.evaluate(WATCH)
    begun = monotonic()
    open_tab(page, "Gallery")
    page.wait_for_function(LOADED)
    opened = monotonic() - begun
    page.wait_for_timeout(1000)
    before = heap(devtools)
    page.hover(LIST)
    height = page.evaluate(f"() => document.querySelector('{LIST}').scrollHeight")

    def jump(share: float) -> Callable[[], object]:
        return lambda: page.evaluate(f"(y) => {{ document.querySelector('{LIST}').scrollTop = y; }}", share * height)

    def press(key: str) -> Callable[[], object]:
        return lambda: page.keyboard.press(key)

    wheel = [lambda: page.mouse.wheel(0, 700)] * 300
    parts = [
        part(page, "wheel, 300 steps", wheel, 30),
        part(page, "scroll bar, drawn through all", [jump(share / 300) for share in range(300)], 30),
        part(page, "scroll bar, 30 jumps", [jump(share * 0.37 % 1) for share in range(30)], 0),
    ]
    page.locator(".shot[tabindex='0'], .shot").first.focus()
    parts.append(part(page, "End, Home, Page Up and Down", [press("End"), press("Home"), *[press("PageDown")] * 20], 0))
    page.keyboard.press("End")
    last = page.locator(f".shot[aria-posinset='{pictures}'][data-id]")
    last.wait_for()
    assert last.evaluate("(shot) => shot === document.activeElement")
    after = heap(devtools)
    context.close()
    rows = [
        f"| {device} | {one.name} | {len(one.tasks)} | {max(one.tasks, default=0):.0f} |"
        f" {statistics.quantiles(one.gaps, n=20)[-1]:.0f} / {max(one.gaps):.0f} | {one.boxes} |"
        f" {statistics.median(one.loaded):.0f} / {max(one.loaded):.0f} |"
        for one in parts
    ]
    memory = f"{device}: opened in {opened:.1f} s; memory {before[0]:.1f} MB before, {after[0]:.1f} MB after; "
    return [*rows, f"{memory}{before[1]:,} nodes before, {after[1]:,} after; {height:,} pixels high"]


def table(pictures: int) -> str:
    """The tables of docs/performance.md."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        write_library(data / "outputs" / "txt2img-images", pictures)
        with Server(data, module=FAKE_ENGINE) as server, sync_playwright() as playwright:
            seconds = wait_for_index(server, pictures)
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
            found = [row for device in DEVICES for row in measure(browser, server, pictures, device)]
            browser.close()
    return "\n".join(
        [
            f"{pictures:,} files, indexed {seconds:.0f} s after the start",
            "",
            "| Device | Way | Long tasks | Longest ms | Gap of frames, p95 / longest ms | Most boxes |"
            " Until all in view is loaded, median / longest ms |",
            "|---|---|---|---|---|---|---|",
            *(row for row in found if row.startswith("|")),
            "",
            *(row for row in found if not row.startswith("|")),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    print(table(parser.parse_args().pictures))


if __name__ == "__main__":
    main()
