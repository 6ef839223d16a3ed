"""What a person does on the page, as functions."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, expect

from tests.server.server import Server

PROMPT = "#txt2img_prompt textarea"
NEGATIVE = "#txt2img_neg_prompt textarea"
SEED = "#txt2img_seed input, #txt2img_seed textarea"
BAR = "#txt2img_live .bar"
PICTURE = "#txt2img_gallery img"
INFOTEXT = "#html_info_txt2img"
MESSAGE = "#txt2img_message .message"


# What `settle` writes into the sliders' boxes.
NUMBERS = {"steps": "20", "batch_count": "1", "width": "128", "height": "128"}


def visit(page: Page, url: str) -> None:
    """Open the page and wait until it is at work."""
    page.goto(url)
    page.wait_for_selector("body[data-form=restored] #txt2img_generate")
    expect(page.locator("#engine_status .engine")).to_have_attribute("data-state", "ready", timeout=120_000)


def stop_jobs(server: Server) -> None:
    """Cancel what runs and waits, until nothing does."""

    while left := [job for job in server.json("/v1/jobs?limit=1000") if job["state"] in ("running", "waiting")]:
        for job in left:
            httpx.post(f"{server.url}/v1/jobs/{job['id']}/cancel", timeout=60, verify=False)
        time.sleep(0.1)


def settle(page: Page, server: Server) -> None:
    """Bring a used page back to the tab txt2img, its commonest fields as new, nothing under way."""
    stop_jobs(server)
    open_tab(page, "txt2img")
    page.wait_for_selector("#txt2img_interrupt.idle", state="attached")
    for box in ("#txt2img_hr-checkbox", "#txt2img_subseed_show"):
        page.uncheck(f"{box} input")
    wanted = {f"#txt2img_{name} input[type=number]": value for name, value in NUMBERS.items()}
    wanted |= {SEED: "-1", PROMPT: "", NEGATIVE: ""}
    found = page.evaluate("(boxes) => boxes.map((box) => document.querySelector(box).value)", list(wanted))
    for (box, value), now in zip(wanted.items(), found, strict=True):
        if now != value:
            page.fill(box, value)
            page.press(box, "Tab")
    page.evaluate("() => { toastsSeen.length = 0; scrollTo(0, 0); document.activeElement?.blur(); }")


def expect_toast(page: Page, text: str) -> None:
    """Wait for a toast with this text in it, or be content with one that is gone already."""
    page.wait_for_function("(text) => toastsSeen.some((seen) => seen.includes(text))", arg=text)


def begun(page: Page) -> None:
    """Wait until the page shows that a job has made steps."""
    page.wait_for_function(f"() => Number(document.querySelector('{BAR}').ariaValueNow) > 0")


def interrupt(page: Page) -> None:
    """Twice pressed, it does not even wait for the picture under way."""
    page.click("#txt2img_interrupt")
    page.click("#txt2img_interrupt")


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


def open_tab(page: Page, name: str) -> None:
    """Open one of the main tabs."""
    page.locator("#tabs").get_by_role("tab", name=name, exact=True).first.click()


def open_input(page: Page, name: str) -> None:
    """Open the img2img tab and one of its sub-tabs."""
    page.wait_for_selector("body[data-img2img=restored]")
    open_tab(page, "img2img")
    page.locator("#mode_img2img").get_by_role("tab", name=name, exact=True).click()


def drop(page: Page, slot: str, file: Path) -> None:
    """Put a picture into a place for one."""
    page.set_input_files(f"{slot} input[type=file]", file)
    page.wait_for_selector(f"{slot} .slot.filled")


def paint(page: Page, slot: str, *points: tuple[float, float]) -> None:
    """Draw a stroke with the mouse; points are shares of the picture's width and height."""
    content = page.locator(f"{slot} .content")
    page.locator(f"{slot} .frame").evaluate("(frame) => frame.scrollIntoView({ block: 'center' })")
    box = content.bounding_box()
    assert box is not None
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def change_settings(page: Page, values: dict[str, Any]) -> None:
    """Change settings as the Settings tab does."""
    page.evaluate(
        """(values) => fetch("internal/settings", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ values }),
        })""",
        values,
    )
