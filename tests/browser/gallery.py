"""A small library of pictures with infotexts, and what a person does on the Gallery tab."""

from __future__ import annotations

import os
import time
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import JSHandle, Locator, Page, expect

from tests.browser.steps import open_tab

NEGATIVE_PROMPT = "blurry"
DAY = 24 * 3600
# Prompt, CFG scale, days ago: the first three differ in their seed alone.
PICTURES = [
    ("a red fox at night", 7, 0),
    ("a red fox at night", 7, 0),
    ("a red fox at night", 7, 0),
    ("a blue whale, waves", 5, 1),
    ("a green owl at night", 5, 40),
    ("狐狸 ✨ im Schnee", 6, 40),
]


def height_of(number: int) -> int:
    return 192 if "whale" in PICTURES[number][0] else 128


def infotext(number: int) -> str:
    prompt, scale, _ = PICTURES[number]
    return (
        f"{prompt}\nNegative prompt: {NEGATIVE_PROMPT}\nSteps: 20, Sampler: Euler a, CFG scale: {scale}, "
        f"Seed: {100 + number}, Size: 128x{height_of(number)}, Model: dream{scale}"
    )


def write_pictures(folder: Path) -> None:
    """One file for each of PICTURES; their colours differ, so that none is like another."""
    now = time.time()
    for number, (_, _, days) in enumerate(PICTURES):
        made = now - days * DAY - number
        path = folder / f"{number:05d}-{100 + number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", infotext(number))
        image = Image.effect_noise((128, height_of(number)), 30 + 15 * number).convert("RGB")
        image.paste((40 * number, 200 - 30 * number, 90), (0, 0, 64, 20 + 15 * number))
        image.save(path, pnginfo=info)
        os.utime(path, (made, made))


def shots(page: Page) -> Locator:
    return page.locator("#gallery_panel .shot[data-id]")


def status(page: Page) -> Locator:
    return page.locator("#gallery_panel .gallery-status")


def open_gallery(page: Page) -> None:
    open_tab(page, "Gallery")
    expect(status(page)).to_have_text(f"{len(PICTURES)} pictures")
    expect(shots(page)).to_have_count(len(PICTURES))


def search(page: Page, text: str) -> None:
    page.fill("#gallery_search", text)
    page.press("#gallery_search", "Enter")


def dragged(shot: Locator) -> JSHandle:
    """What the browser carries along when this picture is dragged."""
    return shot.evaluate_handle(
        """(shot) => {
            const data = new DataTransfer();
            shot.dispatchEvent(new DragEvent("dragstart", { dataTransfer: data, bubbles: true }));
            return data;
        }"""
    )
