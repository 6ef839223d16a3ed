"""Work in the Gallery tab: leafing faster than the server, comparing, files, boards and drags with a real mouse."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import DESKTOP, FAKE_ENGINE, PHONE, Watched, new_context, write_models
from tests.browser.gallery import PICTURES, dragged, open_gallery, search, shots, status, write_pictures
from tests.browser.steps import INFOTEXT, NEGATIVE, PROMPT, SEED, expect_toast, open_input, open_tab, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.long]

DETAIL = re.compile(r"/v1/pictures/[^/?]+-\d+$")
# Answers about single pictures are held back until they are let through, the newest first.
HOLD = """() => {
    const { fetch } = window;
    window.held = [];
    window.fetch = async (...given) => {
        const answer = await fetch(...given);
        const detail = /\\/v1\\/pictures\\/[^/?]+-\\d+$/.test(String(given[0]));
        if (detail) await new Promise((open) => held.unshift(open));
        return answer;
    };
    window.letThrough = () => held.splice(0).forEach((open, place) => setTimeout(open, 50 * place));
}"""


@pytest.fixture
def at_work(browser: Browser, library: Server) -> Iterator[Watched]:
    """The Gallery tab on a desktop."""
    context = new_context(browser, DESKTOP)
    watched = Watched(context.new_page())
    visit(watched.page, library.url)
    open_gallery(watched.page)
    yield watched
    context.close()


def side(page: Page, name: str) -> Locator:
    return page.locator(".gallery-side").get_by_role("button", name=name, exact=True)


def bar(page: Page) -> Locator:
    return page.get_by_role("toolbar", name="Selected pictures")


def select(page: Page, *numbers: int) -> None:
    for number in numbers:
        shots(page).nth(number).click(modifiers=["Control"])


def found(server: Server, q: str) -> list[Any]:
    answer = httpx.get(f"{server.url}/v1/pictures", params={"q": q}, verify=False)
    return list(answer.json()["pictures"])


def test_keys_faster_than_answers_mean_the_picture_on_display(at_work: Watched, library: Server) -> None:
    page = at_work.page
    detail = page.locator(".gallery-detail")
    title, fields = detail.locator("h2"), detail.locator(".detail-fields")
    names = [str(shots(page).nth(place).get_attribute("title")) for place in range(4)]
    shots(page).first.focus()
    page.keyboard.press("Enter")
    expect(fields).to_contain_text("100")
    page.evaluate(HOLD)
    # Nothing of the picture before stands under the one that is there now, and what is pressed is about this one.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(detail.locator("img").first).to_have_attribute("alt", names[2])
    assert title.inner_text() == names[2]
    assert fields.count() == 0
    page.keyboard.press("5")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    expect(title).to_have_text(names[3])
    page.wait_for_function("() => held.length === 3")
    assert fields.count() == 0
    page.evaluate("letThrough()")
    expect(fields).to_contain_text("103")
    assert title.inner_text() == names[3]
    assert [one["name"] for one in found(library, "rating:5")] == [names[2]]
    assert [one["name"] for one in found(library, "is:favourite")] == [names[3]]
    # A word of the text has the focus: leafing takes it away, and the keys go on.
    detail.locator(".word").first.focus()
    page.evaluate("() => { window.open = setInterval(letThrough, 30); }")
    page.keyboard.press("ArrowLeft")
    expect(fields).to_contain_text("102")
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text(names[1])
    # Pressed twice, one picture goes: the second press is about a picture that is gone.
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")
    expect(title).to_have_text(names[2])
    expect(fields).to_contain_text("102")
    assert [one["name"] for one in found(library, "in:trash")] == [names[1]]
    # Undone in the dialog, where the offer stands.
    detail.get_by_role("button", name="Undo").click()
    expect_toast(page, "1 picture restored.")
    # The button is gone, the keys go on, from where the picture lies now.
    expect(detail.locator(".detail-stage")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text(names[1])
    expect(fields).to_contain_text("101")
    # What cannot be read is said, and what was said of another picture is gone.
    page.unroute(DETAIL)
    page.route(DETAIL, lambda route: route.fulfill(status=404, json={"detail": "There is no picture with this id."}))
    page.keyboard.press("ArrowRight")
    expect(detail.locator(".detail-gone")).to_have_text("There is no picture with this id.")
    assert fields.count() == 0


def test_pictures_are_compared_in_every_way_also_when_one_goes(at_work: Watched, library: Server) -> None:
    page = at_work.page
    select(page, 0, 3, 4)
    shots(page).nth(4).focus()
    page.keyboard.press("c")
    dialog = page.locator(".gallery-compare")
    frames = dialog.locator(".compare-frame")
    expect(frames).to_have_count(3)
    expect(dialog.locator(".compare-letter")).to_have_text(["A", "B", "C"])
    table = dialog.locator(".compare-table")
    expect(table.locator("tr", has_text="CFG scale").locator("del")).to_have_text(["7", "7"])
    expect(table.locator("tr", has_text="CFG scale").locator("ins")).to_have_text(["5", "5"])
    expect(table).not_to_contain_text("Sampler")
    # By keys: one zoom for all.
    content = dialog.locator(".compare-frame .content")
    before = [content.nth(place).get_attribute("style") for place in range(3)]
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    for place in range(3):
        assert content.nth(place).get_attribute("style") != before[place]
    page.keyboard.press("r")
    for place in range(3):
        assert content.nth(place).get_attribute("style") == before[place]
    dialog.get_by_role("button", name="Slider").press("Enter")
    expect(dialog.locator(".compare-letter")).to_have_text(["A", "B"])
    dialog.get_by_label("Second picture", exact=True).select_option("C")
    expect(dialog.locator(".compare-letter")).to_have_text(["A", "C"])
    # The boxes are as wide as what is in them.
    assert dialog.get_by_label("Second picture", exact=True).evaluate("(box) => box.offsetWidth") < 120
    line = dialog.get_by_label("Where the second picture begins")
    line.fill("20")
    expect(dialog.locator(".content img").nth(1)).to_have_attribute("style", re.compile("20%"))
    box = dialog.locator(".compare-frame .content").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert abs(float(line.input_value()) - 75) < 2
    dialog.get_by_role("button", name="Difference").click()
    expect(dialog.locator(".compare-controls")).to_contain_text(re.compile(r"\d+\.\d % of the pixels differ\."))
    drawn = "(canvas) => [...canvas.getContext('2d').getImageData(3, 100, 1, 1).data.slice(0, 3)]"
    # Both are noise there: grey in each, so grey in the difference.
    red, green, blue = dialog.locator("canvas").evaluate(drawn)
    assert red == green == blue
    dialog.get_by_role("button", name="Blink", exact=True).click()
    letter = dialog.locator(".compare-letter")
    for name in ("B", "C", "A"):
        expect(letter).to_have_text(name)
    dialog.get_by_role("button", name="Pause").click()
    seen = letter.inner_text()
    page.wait_for_timeout(900)
    assert letter.inner_text() == seen
    # One is thrown away while it is looked at: what is on display stays, and the next time it is said.
    gone = found(library, "whale")[0]["id"]
    httpx.post(f"{library.url}/v1/pictures/trash", json={"ids": [gone]}, verify=False)
    for name in ("Side by side", "Difference", "Slider"):
        dialog.get_by_role("button", name=name).click()
    dialog.get_by_role("button", name="Side by side").click()
    expect(frames).to_have_count(3)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    (library.data_dir / "outputs" / "txt2img-images" / "old" / "00004-104.png").unlink()
    page.keyboard.press("c")
    expect_toast(page, "A picture that was to be compared is not there any more.")
    assert [text for text in at_work.problems if "404" not in text] == []


def test_stacks_are_left_as_they_were(at_work: Watched) -> None:
    page = at_work.page
    search(page, "night")
    page.get_by_label("Stack").check()
    expect(status(page)).to_have_text("2 pictures")
    page.get_by_label("Sort by").select_option("oldest")
    expect(shots(page).nth(1).locator(".shot-stack")).to_have_text("3")
    shots(page).nth(1).focus()
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("3 pictures")
    expect(shots(page).first).to_be_focused()
    page.get_by_role("button", name="Back to the stacks").click()
    expect(status(page)).to_have_text("2 pictures")
    expect(page.locator("#gallery_search")).to_have_value("night")
    expect(page.get_by_label("Stack")).to_be_checked()
    expect(shots(page).nth(1)).to_be_focused()
    expect(page.get_by_role("button", name="Back to the stacks")).to_be_hidden()


def drag(page: Page, source: Locator, *stations: Locator) -> None:
    """Drag with the mouse; over each station but the last it stays until something opens."""
    box = source.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 50, steps=4)
    # The places that take it come beside the pictures.
    page.wait_for_timeout(400)
    for station in stations[:-1]:
        station.scroll_into_view_if_needed()
        _over(page, station)
        page.wait_for_timeout(900)
    stations[-1].scroll_into_view_if_needed()
    _over(page, stations[-1])
    page.mouse.up()


def _over(page: Page, station: Locator) -> None:
    box = station.bounding_box()
    assert box is not None
    for by in (0, 3):
        page.mouse.move(box["x"] + box["width"] / 2 + by, box["y"] + min(box["height"] / 2, 60) + by)


def test_drags_lead_onto_boards_and_over_tabs_to_places_for_pictures(at_work: Watched, library: Server) -> None:
    page = at_work.page
    page.locator(".gallery-side").get_by_role("button", name="New board").click()
    page.fill("dialog [name=name]", "Wall")
    page.get_by_role("button", name="Create").click()
    expect(side(page, "Wall 0")).to_be_visible()
    # One, then the two that are selected.
    drag(page, shots(page).nth(3), side(page, "Wall 0"))
    expect(side(page, "Wall 1")).to_be_visible()
    select(page, 0, 1)
    drag(page, shots(page).nth(1), side(page, "Wall 1"))
    expect(side(page, "Wall 3")).to_be_visible()
    page.keyboard.press("Escape")
    drag(
        page,
        shots(page).nth(3),
        page.locator("#tabs").get_by_role("tab", name="img2img", exact=True),
        page.locator(".slot[data-slot=img2img]"),
    )
    expect(page.locator(".slot[data-slot=img2img] .size")).to_have_text("128×192")
    open_tab(page, "Gallery")
    drag(
        page,
        shots(page).nth(3),
        page.locator("#tabs").get_by_role("tab", name="PNG Info", exact=True),
        page.locator(".slot[data-slot=pnginfo]"),
    )
    expect(page.locator("#tab_pnginfo")).to_contain_text("a blue whale, waves")
    # A part that is closed opens under what is dragged.
    open_tab(page, "Gallery")
    data = dragged(shots(page).nth(3))
    open_tab(page, "txt2img")
    head = page.locator("#tab_txt2img .label-wrap").filter(has_text="ControlNet")
    head.dispatch_event("dragover", {"dataTransfer": data})
    page.locator("#tab_txt2img .units").first.scroll_into_view_if_needed()
    place = page.locator(".slot[data-slot=unit_txt2img_controlnet_0_image]")
    expect(place).to_be_visible()
    place.dispatch_event("drop", {"dataTransfer": data})
    expect(place.locator(".size")).to_have_text("128×192")
    # Beside it lies a list of pictures, and around them room that is none of both.
    panel = page.locator("#unit_txt2img_controlnet_0_panel")
    pictures = panel.locator(".unit-pictures")
    pictures.locator("summary").click()
    pictures.locator("input[type=file]").dispatch_event("drop", {"dataTransfer": data})
    expect(pictures.locator(".unit-thumbnails img")).to_have_count(1)
    page.locator(".slot[data-slot=unit_txt2img_controlnet_0_image] [data-do=remove]").click()
    panel.dispatch_event("drop", {"dataTransfer": data})
    page.wait_for_timeout(300)
    assert not place.evaluate("(slot) => slot.classList.contains('filled')")
    for name, slot in (
        ("Sketch", "sketch"),
        ("Inpaint", "inpaint"),
        ("Inpaint sketch", "inpaint_sketch"),
        ("Inpaint upload", "inpaint_mask"),
    ):
        open_input(page, name)
        page.dispatch_event(f".slot[data-slot={slot}]", "drop", {"dataTransfer": data})
        expect(page.locator(f".slot[data-slot={slot}] .size")).to_have_text("128×192")
    open_tab(page, "Extras")
    page.dispatch_event(".slot[data-slot=extras]", "drop", {"dataTransfer": data})
    expect(page.locator(".slot[data-slot=extras] .size")).to_have_text("128×192")
    assert len(found(library, "board:Wall")) == 3
    assert at_work.problems == []


def test_pictures_are_moved_copied_renamed_and_zipped(at_work: Watched, library: Server) -> None:
    page = at_work.page
    outputs = library.data_dir / "outputs" / "txt2img-images"
    (outputs / "kept").mkdir()
    (outputs / "kept" / "mine.png").write_bytes((outputs / "old" / "00005-105.png").read_bytes())
    # What others put there comes into view by itself.
    total = len(PICTURES) + 1
    expect(status(page)).to_have_text(f"{total} pictures")
    search(page, "whale")
    expect(shots(page)).to_have_count(1)
    select(page, 0)
    bar(page).get_by_role("button", name="Move").click()
    page.locator("dialog select").select_option(label="txt2img-images/kept")
    page.locator("dialog").get_by_role("button", name="Move").click()
    expect_toast(page, "1 picture moved.")
    assert (outputs / "kept" / "00003-103.png").is_file() and not (outputs / "old" / "00003-103.png").exists()
    # It stays selected, though it lies elsewhere.
    bar(page).get_by_role("button", name="Copy").click()
    page.locator("dialog select").select_option(label="txt2img-images/old")
    page.locator("dialog").get_by_role("button", name="Copy").click()
    expect_toast(page, "1 picture copied.")
    expect(status(page)).to_have_text("2 pictures")
    page.keyboard.press("Escape")
    search(page, "seed:100..101")
    expect(shots(page)).to_have_count(2)
    expect(shots(page).first).to_have_attribute("title", "00000-100.png")
    select(page, 0, 1)
    bar(page).get_by_role("button", name="Rename").click()
    page.fill("dialog [name=pattern]", "fox-[seed]")
    page.locator("dialog").get_by_role("button", name="Rename").click()
    expect_toast(page, "2 pictures renamed.")
    assert sorted(one.name for one in outputs.rglob("fox-*")) == ["fox-100.png", "fox-101.png"]
    expect(shots(page).first).to_have_attribute("title", re.compile("fox-"))
    with page.expect_download() as loading:
        bar(page).get_by_role("button", name="Zip").click()
    with zipfile.ZipFile(loading.value.path()) as packed:
        assert sorted(packed.namelist()) == ["fox-100.png", "fox-101.png"]
        assert packed.read("fox-100.png") == next(outputs.rglob("fox-100.png")).read_bytes()
    # Onto a folder beside the pictures, by mouse.
    page.keyboard.press("Escape")
    search(page, "name:fox-100")
    expect(shots(page)).to_have_count(1)
    folder = page.locator(".gallery-side [data-entry='folder:txt2img-images/kept']")
    expect(folder).to_have_count(0)
    # The search finds nothing in that folder, but what is dragged may go there.
    drag(page, shots(page).first, page.locator(".gallery-side").get_by_text("Folders"), folder)
    page.wait_for_function("() => toastsSeen.filter((text) => text === '1 picture moved.').length === 2")
    assert (outputs / "kept" / "fox-100.png").is_file()


def test_searches_and_boards_beside_the_pictures_are_kept_renamed_and_deleted(
    at_work: Watched, library: Server
) -> None:
    page = at_work.page
    page.on("dialog", lambda dialog: dialog.accept())
    search(page, "owl night")
    expect(status(page)).to_have_text("1 picture")
    page.get_by_role("button", name="Save this search").click()
    page.fill("dialog [name=name]", "Owls at night")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("dialog")).to_have_count(0)
    search(page, "")
    expect(status(page)).to_have_text(f"{len(PICTURES)} pictures")
    side(page, "Owls at night").click()
    expect(page.locator("#gallery_search")).to_have_value("owl night")
    expect(status(page)).to_have_text("1 picture")
    expect(side(page, "Owls at night")).to_have_attribute("aria-pressed", "true")
    # By keys, from the picture to its board.
    select(page, 0)
    bar(page).get_by_role("button", name="Board").press("Enter")
    expect(page.locator("dialog [name=name]")).to_be_focused()
    page.keyboard.type("Birds")
    page.keyboard.press("Enter")
    expect(side(page, "Birds 1")).to_be_visible()
    side(page, "Birds 1").hover()
    page.get_by_role("button", name="Rename the board Birds").click()
    page.fill("dialog [name=name]", "Owls")
    page.locator("dialog").get_by_role("button", name="Rename").click()
    expect(side(page, "Owls 1")).to_be_visible()
    side(page, "Owls 1").hover()
    page.get_by_role("button", name="Delete the board Owls").click()
    expect(side(page, "Owls 1")).to_have_count(0)
    # By keys: beside the entry.
    side(page, "Owls at night").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(side(page, "Owls at night")).to_have_count(0)
    assert len(found(library, "owl")) == 1
    assert at_work.problems == []


def test_prompts_so_far_are_searched_marked_and_compared(at_work: Watched) -> None:
    page = at_work.page
    open_tab(page, "txt2img")
    page.click("#txt2img_prompt_history")
    history = page.locator(".prompt-history")
    entries = history.locator(".history-entry")
    expect(entries).to_have_count(4)
    expect(entries.first.locator("img")).to_have_count(3)
    expect(entries.first).to_contain_text("Negative prompt: blurry")
    history.get_by_label("Differences from the one before").check()
    expect(entries.first.locator("ins").first).to_have_text("red")
    expect(entries.first.locator("del").first).to_have_text("blue")
    history.get_by_role("button", name="Favourite").nth(1).click()
    history.get_by_label("Favourites").check()
    expect(entries).to_have_count(1)
    expect(entries).to_contain_text("whale")
    history.get_by_label("Favourites").uncheck()
    history.get_by_role("searchbox").fill("狐狸")
    expect(entries).to_have_count(1)
    entries.first.press("Enter")
    expect(page.locator(PROMPT)).to_have_value("狐狸 ✨ im Schnee")
    page.click("#txt2img_prompt_history")
    expect(history.get_by_role("button", name="Favourite", pressed=True)).to_have_count(1)


def test_one_picture_is_used_sent_copied_and_downloaded(at_work: Watched, library: Server) -> None:
    page = at_work.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    detail = page.locator(".gallery-detail")

    def press(name: str) -> None:
        """On the whale's page, opened by keys."""
        if not detail.is_visible():
            open_tab(page, "Gallery")
            shots(page).nth(3).focus()
            page.keyboard.press("Enter")
        expect(detail.locator("h2")).to_have_text("00003-103.png")
        detail.get_by_role("button", name=name, exact=True).click()

    value = {name: page.locator(f"#txt2img_{name} input[type=number]") for name in ("width", "height")}
    press("Prompt")
    expect(page.locator(PROMPT)).to_have_value("a blue whale, waves")
    expect(page.locator(NEGATIVE)).to_have_value("blurry")
    expect(page.locator(SEED).first).to_have_value("-1")
    press("Seed")
    expect(page.locator(SEED).first).to_have_value("103")
    press("Size")
    expect(value["width"]).to_have_value("128")
    expect(value["height"]).to_have_value("192")
    places = {"Sketch": "sketch", "Inpaint": "inpaint", "Inpaint sketch": "inpaint_sketch"}
    for name, slot in (places | {"Extras": "extras", "PNG Info": "pnginfo"}).items():
        press(name)
        expect(page.locator(f".slot[data-slot={slot}] .size")).to_have_text("128×192")
        expect(page.locator(f".slot[data-slot={slot}]")).to_be_visible()
    press("Copy parameters")
    expect_toast(page, "Copied.")
    written = page.evaluate("() => navigator.clipboard.readText()")
    assert written.startswith("a blue whale, waves\nNegative prompt: blurry\nSteps: 20")
    press("Copy picture")
    read = """async () => {
        const [item] = await navigator.clipboard.read();
        const { width, height } = await createImageBitmap(await item.getType("image/png"));
        return [width, height];
    }"""
    page.wait_for_function("() => toastsSeen.filter((text) => text === 'Copied.').length === 2")
    assert page.evaluate(read) == [128, 192]
    with page.expect_download() as loading:
        press("Download")
    saved = library.data_dir / "outputs" / "txt2img-images" / "old" / "00003-103.png"
    assert Path(loading.value.path()).read_bytes() == saved.read_bytes()
    assert loading.value.suggested_filename == "00003-103.png"
    expect(detail.get_by_role("button", name="Open folder")).to_be_visible()
    press("Similar pictures")
    expect(status(page)).to_have_text("Pictures like 00003-103.png")
    expect(shots(page).first).to_have_attribute("title", "00003-103.png")
    page.get_by_role("button", name="Back to all pictures").click()
    expect(status(page)).to_have_text(f"{len(PICTURES)} pictures")
    # No CLIP lies there, which the search says too.
    missing = "Searching by meaning needs an image encoder (CLIP-ViT-L, say): put one into "
    press("Similar meaning")
    page.wait_for_function("(said) => toastsSeen.some((text) => text.startsWith(said))", arg=missing)
    search(page, 'like:"a whale"')
    expect(status(page)).to_contain_text(missing)
    search(page, "")
    expect(status(page)).to_have_text(f"{len(PICTURES)} pictures")
    # A refused question is the browser's to note.
    assert [one for one in at_work.problems if "409" not in one] == []


def test_a_picture_of_the_gallery_is_painted_over(browser: Browser, library: Server) -> None:
    detectors = library.data_dir / "models" / "adetailer"
    detectors.mkdir(parents=True)
    # The fake engine looks at none; what is listed can be chosen.
    (detectors / "face_planted.onnx").write_bytes(b"x")
    library.stop()
    library.start()
    context = new_context(browser, DESKTOP)
    page = context.new_page()
    visit(page, library.url)
    open_tab(page, "img2img")
    page.locator("#script_img2img_adetailer button").first.click()
    expect(page.locator("#unit_img2img_adetailer_0_ad_model")).to_have_value("face_planted.onnx")
    open_gallery(page)
    shots(page).first.click()
    page.locator(".gallery-detail").get_by_role("button", name="ADetailer", exact=True).click()
    expect(page.locator("#html_info_img2img")).to_contain_text("a red fox at night", timeout=60_000)
    (job,) = library.json("/v1/jobs?limit=10")
    assert "img2img" in json.dumps(job)
    context.close()


def test_a_result_of_img2img_leads_into_the_gallery_and_back(at_work: Watched, library: Server) -> None:
    page = at_work.page
    shots(page).first.click()
    detail = page.locator(".gallery-detail")
    detail.get_by_role("button", name="img2img", exact=True).click()
    page.wait_for_selector(".slot[data-slot=img2img].filled")
    page.click("#img2img_generate")
    said = page.locator("#html_info_img2img")
    expect(said).to_contain_text("a red fox at night")
    page.click("#img2img_in_library")
    expect(detail.locator(".detail-facts")).to_contain_text("8 × 8")
    expect(detail.locator(".detail-prompt").first).to_contain_text("a red fox at night")
    page.keyboard.press("Escape")
    expect(page.locator("#img2img_in_library")).to_be_visible()
    # What changed since the picture before is known to a page that was loaded anew.
    visit(page, library.url)
    open_input(page, "img2img")
    expect(said).to_contain_text("a red fox at night")
    page.fill("#img2img_prompt textarea", "a blue fox at night")
    page.click("#img2img_generate")
    expect(said).to_contain_text("a blue fox at night")
    expect(page.locator("#img2img_recent .changed del").first).to_have_text("red")
    assert at_work.problems == []


def test_pictures_that_flew_by_keep_none_in_view_waiting(browser: Browser, library: Server) -> None:
    context = new_context(browser, PHONE)
    page = context.new_page()
    visit(page, library.url)
    given_up: list[str] = []
    page.on("requestfailed", lambda request: given_up.append(request.url))
    # A server that is busy with them.
    page.route("**/thumbnail?*", lambda route: None)
    open_gallery(page)
    page.get_by_label("Size of the pictures").fill("420")
    first = str(shots(page).first.locator("img").get_attribute("src"))
    assert first not in given_up
    with page.expect_event("requestfailed", lambda request: request.url == first):
        page.locator(".shot-scroller").evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def test_on_a_phone_the_timeline_comes_while_pictures_move(browser: Browser, library: Server) -> None:
    context = new_context(browser, PHONE)
    page = context.new_page()
    visit(page, library.url)
    open_gallery(page)
    page.get_by_label("Size of the pictures").fill("420")
    timeline = page.locator(".gallery-timeline")
    expect(timeline).to_be_hidden()
    page.locator(".shot-scroller").evaluate("(list) => list.scrollBy(0, 40)")
    expect(timeline.locator("button").last).to_be_visible()
    timeline.locator("button").last.tap()
    expect(page.locator(".shot[aria-posinset='5']")).to_be_in_viewport()
    expect(timeline).to_be_hidden()
    context.close()


def test_nothing_english_is_left_in_the_german_gallery(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"localization": "de_DE"}')
    write_models(tmp_path)
    write_pictures(tmp_path / "outputs" / "txt2img-images" / "old")
    context = new_context(browser, DESKTOP)
    watched = Watched(context.new_page())
    page = watched.page
    page.on("dialog", lambda dialog: dialog.accept())
    with Server(tmp_path, module=FAKE_ENGINE) as running:
        visit(page, running.url)
        elsewhere = set(page.evaluate("() => window.webui.untranslated()"))
        page.click("#tab_gallery-button")
        expect(status(page)).to_have_text(f"{len(PICTURES)} Bilder")
        for text in ("nofield:3 is:red", "steps:many date:x", "in:bed", "nothing of this kind", "fox"):
            search(page, text)
            page.wait_for_timeout(400)
        page.click(".gallery-search .sign-button")
        page.locator("dialog [type=submit]").click()
        expect(page.locator("dialog")).to_have_count(0)
        page.locator("[data-entry='duplicates']").click()
        page.locator("[data-entry='trash']").click()
        page.locator("[data-entry='all']").click()
        page.locator(".gallery-check", has_text="Stapel").click()
        expect(shots(page)).to_have_count(4)
        shots(page).first.click()
        page.get_by_role("button", name="Zurück zu den Stapeln").click()
        page.locator(".gallery-check", has_text="Stapel").click()
        expect(shots(page)).to_have_count(len(PICTURES))
        select(page, 0, 3)
        # Favourite, tags, board, move, copy, rename, delete.
        buttons = page.locator(".selection-actions button")
        buttons.nth(1).click()
        page.locator(".selection-bar select").select_option("3")
        for place in (2, 3, 4, 5, 6):
            buttons.nth(place).click()
            field = page.locator("dialog input").first
            if place == 2:
                field.fill("night")
            elif place == 3:
                field.fill("Wand")
            elif place == 6:
                field.fill("[nothing]/")
            page.locator("dialog [type=submit]").click()
            page.wait_for_timeout(500)
            if page.locator("dialog").count():
                page.keyboard.press("Escape")
        page.locator(".side-more").first.click()
        page.keyboard.press("Escape")
        shots(page).first.focus()
        page.keyboard.press("c")
        for mode in ("side", "slider", "blink", "difference"):
            page.locator(f".gallery-compare [data-mode={mode}]").click()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        shots(page).first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".gallery-detail .detail-fields")).to_be_visible()
        page.locator(".detail-buttons").last.get_by_role("button").last.click()
        page.locator(".toasts .offer button").click()
        page.keyboard.press("Escape")
        page.click("#tab_txt2img-button")
        for prompt in ("a red kite", "a green kite"):
            page.fill(PROMPT, prompt)
            page.click("#txt2img_generate")
            expect(page.locator(INFOTEXT)).to_contain_text(prompt)
        expect(page.locator("#txt2img_recent .changed del").first).to_have_text("red")
        page.click("#txt2img_prompt_history")
        expect(page.locator(".history-entry").first).to_be_visible()
        page.locator(".prompt-history .sign-button").first.click()
        page.keyboard.press("Escape")
        left = set(page.evaluate("() => window.webui.untranslated()")) - elsewhere
        assert page.locator("#gallery_panel").inner_text().count("picture") == 0
    context.close()
    # The title of a picture is its name; whatever else people wrote is marked as foreign.
    # Of the results only what Gradio writes, which no script of the page can reach.
    names = re.compile(r"\d{5}-\d+(-1)?\.png|Etwa .*|Fullscreen|Thumbnail 1 of 1|detailed view .*|made by a fake")
    missing = sorted(text for text in left if not names.fullmatch(text))
    assert not missing, f"localizations/de_DE.json lacks, or the page should mark as foreign: {json.dumps(missing)}"
