"""What a person does on the page, as functions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, expect

PROMPT = "#txt2img_prompt textarea"
NEGATIVE = "#txt2img_neg_prompt textarea"
BAR = "#txt2img_live .bar"
PICTURE = "#txt2img_gallery img"
INFOTEXT = "#html_info_txt2img"
MESSAGE = "#txt2img_message .message"


def visit(page: Page, url: str) -> None:
    """Open the page and wait until it is at work."""
    page.goto(url)
    page.wait_for_selector("body[data-form=restored] #txt2img_generate")
    expect(page.locator("#engine_status .engine")).to_have_attribute("data-state", "ready", timeout=120_000)


def generate(page: Page, prompt: str) -> None:
    page.fill(PROMPT, prompt)
    page.click("#txt2img_generate")


def set_number(page: Page, name: str, value: int | float) -> None:
    """Type into a slider's number box."""
    box = page.locator(f"#txt2img_{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def state(page: Page) -> Any:
    """What the server tells this browser."""
    return page.evaluate(
        "() => fetch(`internal/page?client=${localStorage.getItem('webui-client')}`).then((answer) => answer.json())"
    )


def fraction(page: Page) -> int:
    return int(page.locator(BAR).get_attribute("aria-valuenow") or 0)


def saved(data_dir: Path) -> list[Path]:
    """Pictures in outputs/, oldest first."""
    return sorted((data_dir / "outputs").rglob("*.png"), key=lambda path: path.stat().st_mtime_ns)


def parameters(path: Path) -> str:
    with Image.open(path) as image:
        image.load()
        return str(image.info["parameters"])


def shown_infotext(page: Page) -> str:
    return page.locator(INFOTEXT).inner_text().strip()


def words(text: str) -> list[str]:
    return re.findall(r"\S+", text)


def stored_form(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.evaluate("() => localStorage.getItem('webui-txt2img') ?? '{}'"))
    return found
