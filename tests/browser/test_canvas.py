"""The canvas under mouse, fingers and keys: what stays painted, on large pictures as well."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import drop, open_input, open_tab, paint, visit
from tests.browser.test_img2img import painted_pixels, stored_strokes
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MASK = "#img2maskimg"
PAINT_STORED = "() => JSON.parse(localStorage.getItem('webui-pictures')).inpaint.paint"


def painting(page: Page, server: Server) -> Image.Image:
    """The painting as the server keeps it."""
    page.wait_for_function(PAINT_STORED)
    answer = page.request.get(f"{server.url}/internal/pictures/{stored_strokes(page)['inpaint']['paint']}")
    return Image.open(io.BytesIO(answer.body()))


@pytest.mark.long
def test_a_mask_stays_between_runs_and_over_tabs(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    paint(page, MASK, (0.2, 0.5), (0.6, 0.5))
    painted = painted_pixels(page, MASK)
    for prompt in ("first run", "second run"):
        page.fill("#img2img_prompt textarea", prompt)
        page.click("#img2img_generate")
        expect(page.locator("#html_info_img2img")).to_contain_text(prompt, timeout=30_000)
    open_input(page, "Sketch")
    open_tab(page, "txt2img")
    open_input(page, "Inpaint")
    assert painted_pixels(page, MASK) == painted > 300
    # And can still be taken back.
    page.locator(f"{MASK} [data-do=undo]").click()
    assert painted_pixels(page, MASK) == 0
    page.locator(f"{MASK} [data-do=redo]").click()
    page.locator(f"{MASK} [data-do=clear]").click()
    page.click("#img2img_generate")
    expect(page.locator("#img2img_message .message")).to_contain_text("Nothing is painted")
    assert watched.problems == []


@pytest.mark.long
def test_many_strokes_are_undone_one_by_one(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    for _ in range(8):
        page.locator(f"{MASK} .frame").hover()
        page.keyboard.press("q")
    counts = [0]
    for number in range(27):
        paint(page, MASK, (0.05 + number / 30, 0.2), (0.05 + number / 30, 0.8))
        counts.append(painted_pixels(page, MASK))
    assert counts == sorted(set(counts))
    for expected in reversed(counts[:-1]):
        page.keyboard.press("Control+z")
        assert painted_pixels(page, MASK) == expected
    for expected in counts[1:]:
        page.keyboard.press("Control+y")
        assert painted_pixels(page, MASK) == expected


@pytest.mark.long
def test_a_picture_of_4096_is_painted_small_and_kept_whole(watched: Watched, server: Server, tmp_path: Path) -> None:
    page = watched.page
    Image.linear_gradient("L").resize((4096, 4096)).save(tmp_path / "big.jpg")
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, tmp_path / "big.jpg")
    assert page.locator(f"{MASK} .paint").evaluate("(canvas) => canvas.width * canvas.height") <= 4_000_000
    paint(page, MASK, (0.5, 0.5))
    whole = painting(page, server)
    assert whole.size == (4096, 4096)
    left, top, right, bottom = whole.getchannel("A").getbbox() or (0, 0, 0, 0)
    # A dot of 8 % in the middle.
    assert (left + right) / 2 == pytest.approx(2048, abs=16) and (top + bottom) / 2 == pytest.approx(2048, abs=16)
    assert right - left == pytest.approx(328, abs=6) and bottom - top == pytest.approx(328, abs=6)


@pytest.mark.long
def test_keys_move_and_zoom_a_picture_in_focus(watched: Watched, server: Server, scene: Path) -> None:
    page = watched.page
    visit(page, server.url)
    open_input(page, "Inpaint")
    drop(page, MASK, scene)
    page.locator(f"{MASK} .frame").focus()
    content = page.locator(f"{MASK} .content")
    before = content.bounding_box()
    page.keyboard.press("+")
    larger = content.bounding_box()
    assert (
        before is not None and larger is not None and larger["width"] == pytest.approx(before["width"] * 1.2, rel=0.01)
    )
    page.keyboard.press("ArrowLeft")
    moved = content.bounding_box()
    assert moved is not None and moved["x"] == pytest.approx(larger["x"] + 40, abs=1)
    page.keyboard.press("r")
    assert content.bounding_box() == before
    # Every button is reached by Tab and says what it does.
    names = []
    for _ in range(9):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''"))
    assert names[0] == "Brush" and "Brush size" in names and any(name.startswith("Undo") for name in names)


@pytest.mark.long
def test_a_blank_canvas_takes_a_brush_that_is_seen_and_the_theme_stays_from_the_first_moment(
    settled: Watched,
) -> None:
    page = settled.page
    dark = "() => document.body.classList.contains('dark')"
    assert not page.evaluate(dark)
    page.click("#theme_switch")
    assert page.evaluate(dark)
    open_input(page, "Sketch")
    form = page.locator("#img2img_sketch .blank")
    form.get_by_label("Width of the canvas").fill("200")
    form.get_by_label("Height of the canvas").fill("96")
    form.get_by_role("button", name="Blank canvas").click()
    expect(page.locator("#img2img_sketch .size")).to_have_text("200×96")
    # White as the brush is at first, and so is the canvas.
    expect(page.locator("#img2img_sketch .bar input[type=color]")).to_have_value("#000000")
    page.reload(wait_until="commit")
    page.wait_for_function("() => document.body !== null")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(11, 15, 25)"
    page.wait_for_selector("body.dark #txt2img_generate")
    # It is not in the address, where it would stay with whoever bookmarks the page.
    page.wait_for_function("() => !location.search.includes('__theme')")
    page.wait_for_selector("body[data-form=restored]")
    page.click("#theme_switch")
