"""A picture or a text file dropped on the prompt box fills the form."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from tests.amounts import some
from tests.browser.conftest import Watched
from tests.browser.steps import PROMPT, expect_toast

pytestmark = [pytest.mark.browser, pytest.mark.server]

INFOTEXT = "dropped, (light:1.2)\nSteps: 9, Sampler: Euler a, CFG scale: 3.5, Seed: 5, Size: 320x192"


def drop(page: Page, data: bytes, name: str, kind: str) -> None:
    page.evaluate(
        """([selector, text, name, type]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type }));
            const box = document.querySelector(selector);
            for (const kind of ["dragover", "drop"])
                box.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [PROMPT, base64.b64encode(data).decode(), name, kind],
    )


def picture(infotext: str | None) -> bytes:
    texts = PngInfo()
    if infotext:
        texts.add_text("parameters", infotext)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


@pytest.mark.parametrize("form", some(["picture", "text"], 1))
def test_what_is_dropped_fills_the_form(settled: Watched, form: str) -> None:
    page = settled.page
    if form == "picture":
        drop(page, picture(INFOTEXT), "00000-5.png", "image/png")
    else:
        drop(page, INFOTEXT.encode(), "00000-5.txt", "text/plain")
    expect(page.locator(PROMPT)).to_have_value("dropped, (light:1.2)")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("9")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("320")
    assert settled.problems == []


@pytest.mark.long
def test_a_picture_without_parameters_is_said_so_and_the_prompt_stays(settled: Watched) -> None:
    page = settled.page
    page.fill(PROMPT, "mine")
    drop(page, picture(None), "plain.png", "image/png")
    expect_toast(page, "no generation parameters")
    expect(page.locator(PROMPT)).to_have_value("mine")
