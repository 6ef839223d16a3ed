"""Cards of LoRAs as people use them: found, put into the prompt by mouse and by key, noted, given a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import FAKE_ENGINE, Watched, write_models
from tests.browser.steps import INFOTEXT, NEGATIVE, PROMPT, expect_toast, generate, visit
from tests.catalogue.files import TENSOR, write_header, write_model
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

CARDS = ".cards[data-mode=txt2img][data-kind=lora]"


def fill(data: Path) -> Path:
    """Two hundred LoRAs; the folder of the one that is used."""
    loras = data / "models" / "Lora"
    for number in range(200):
        write_model(loras / f"filler {number}.safetensors")
    tags = {"ss_output_name": "Tom", "ss_tag_frequency": json.dumps({"10_cats": {"grey fur": 9, "<b>tail</b>": 3}})}
    path = write_model(loras / "cats" / "tomcat.safetensors", tags)
    noted = {"description": "A <i>grey</i> cat", "activation text": "tomcat", "negative text": "dog", "theirs": 1}
    path.with_suffix(".json").write_text(json.dumps(noted))
    write_model(loras / "cats" / "kitten.safetensors")
    write_model(loras / "dogs" / "small" / "pug.safetensors")
    return path.parent


def open_cards(page: Page, name: str = "Lora") -> None:
    page.locator("#txt2img_extra_tabs").get_by_role("tab", name=name, exact=True).click()


def card(page: Page, title: str) -> str:
    return f"{CARDS} .model-card[data-name$='{title}.safetensors']"


def test_cards_from_search_to_preview(watched: Watched, tmp_path: Path) -> None:
    write_models(tmp_path)
    folder = fill(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"extra_networks_tree_view_style": "Tree"}))
    page = watched.page
    with Server(tmp_path, module=FAKE_ENGINE) as server:
        visit(page, server.url)
        generate(page, "a field")
        expect(page.locator(INFOTEXT)).to_contain_text("a field")
        open_cards(page)
        expect(page.locator(f"{CARDS} .card-status")).to_have_text("204 cards")
        # Of two hundred cards only what can be seen is on the page.
        assert 0 < page.locator(f"{CARDS} .model-card").count() < 100
        _fold(page)
        scroller = page.locator(f"{CARDS} .card-scroller")
        # None is cut off at the side.
        edges = "(one) => one.getBoundingClientRect().right"
        edge = scroller.locator(".card-list").evaluate(edges)
        assert edge - 9 < max(one.evaluate(edges) for one in scroller.locator(".model-card").all()) <= edge
        scroller.evaluate("(one) => one.scrollTo(0, one.scrollHeight)")
        expect(page.locator(card(page, "pen"))).to_be_visible()

        page.get_by_placeholder("Search", exact=True).fill("cats/")
        expect(page.locator(f"{CARDS} .card-status")).to_have_text("2 of 204 cards")
        tom, kitten = (page.locator(f"{card(page, name)} .card-main") for name in ("tomcat", "kitten"))
        expect(tom).to_contain_text("A <i>grey</i> cat")
        colour = "(one) => getComputedStyle(one).color"
        assert tom.locator(".card-description").evaluate(colour) != tom.locator(".card-name").evaluate(colour)
        tom.click()
        expect(page.locator(PROMPT)).to_have_value("a field <lora:Tom:1> tomcat")
        expect(page.locator(NEGATIVE)).to_have_value("(dog:1)")
        expect(tom).to_have_attribute("aria-pressed", "true")
        # By key, from card to card.
        kitten.focus()
        page.keyboard.press("Enter")
        expect(page.locator(PROMPT)).to_have_value("a field <lora:Tom:1> tomcat <lora:kitten:1>")
        page.keyboard.press("ArrowRight")
        expect(tom).to_be_focused()
        page.fill(PROMPT, "a field <lora:tomcat:-0.5:0.3> tomcat <lora:kitten:1>")
        expect(tom).to_have_attribute("aria-pressed", "true")
        tom.focus()
        page.keyboard.press("Space")
        expect(page.locator(PROMPT)).to_have_value("a field <lora:kitten:1>")
        expect(page.locator(NEGATIVE)).to_have_value("")

        _note(page, folder)
        _replace_preview(page, folder)
        _look_at_metadata(page)
        _drop(page, folder.parent)
        _switch_checkpoint(page)
    assert watched.problems == []


def _fold(page: Page) -> None:
    """The folders of the tree open and close, by key too,."""

    def folder(path: str) -> Locator:
        return page.locator(f"{CARDS} [role=treeitem][data-folder='{path}']")

    status = page.locator(f"{CARDS} .card-status")
    expect(folder("dogs/small/")).to_have_count(0)
    folder("dogs/").locator(".card-fold").click()
    folder("dogs/small/").click()
    expect(status).to_have_text("1 of 204 cards")
    page.keyboard.press("ArrowLeft")
    expect(folder("dogs/")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(folder("dogs/small/")).to_have_count(0)
    expect(folder("dogs/")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    expect(folder("dogs/small/")).to_be_visible()
    folder("").click()
    expect(status).to_have_text("204 cards")


def _note(page: Page, folder: Path) -> None:
    page.hover(card(page, "tomcat"))
    page.click(f"{card(page, 'tomcat')} [title='Edit notes']")
    editor = page.locator(".card-editor")
    expect(editor.locator(".card-table")).to_contain_text("cats/tomcat.safetensors")
    editor.locator("[name=description]").fill("Mine")
    editor.locator("[name='preferred weight']").fill("0.7")
    editor.get_by_role("button", name=re.compile("grey fur")).click()
    expect(editor.locator("[name='activation text']")).to_have_value("tomcat, grey fur")
    editor.get_by_role("button", name="Save").click()
    expect(editor.locator("output")).to_have_text("Saved.")
    noted = json.loads((folder / "tomcat.json").read_text("utf-8"))
    assert noted["theirs"] == 1
    assert (noted["description"], noted["preferred weight"], noted["activation text"]) == (
        "Mine",
        0.7,
        "tomcat, grey fur",
    )
    expect(page.locator(card(page, "tomcat"))).to_contain_text("Mine")


def _replace_preview(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="Replace preview").click()
    expect(page.locator(".card-editor output")).to_have_text("The preview was replaced.")
    with Image.open(folder / "tomcat.png") as image:
        assert str(image.info["parameters"]).startswith("a field")
    page.keyboard.press("Escape")
    shown = page.locator(f"{card(page, 'tomcat')} img")
    expect(shown).to_have_js_property("complete", True)
    assert shown.evaluate("(image) => image.naturalWidth") > 0
    page.click(f"{card(page, 'tomcat')} .card-main")
    expect(page.locator(PROMPT)).to_have_value("a field <lora:kitten:1> <lora:Tom:0.7> tomcat, grey fur")


def _look_at_metadata(page: Page) -> None:
    page.hover(card(page, "tomcat"))
    page.click(f"{card(page, 'tomcat')} [title='Show metadata']")
    dialog = page.locator(".card-metadata")
    expect(dialog.locator("pre")).to_contain_text("ss_tag_frequency")
    dialog.get_by_role("button", name="<b>tail</b>").click()
    expect(page.locator(PROMPT)).to_have_value(re.compile(r"grey fur, <b>tail</b>$"))
    dialog.get_by_role("button", name="Close").click()


def _drop(page: Page, folder: Path) -> None:
    """A LoRA that is dropped anywhere goes into its folder, once the person has said yes."""
    data = write_header(folder.parent / "sent.safetensors", {"lora_unet_x.lora_down.weight": TENSOR["x"]}).read_bytes()
    page.once("dialog", lambda dialog: dialog.accept())
    page.evaluate(
        """(data) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(data)], "dropped.safetensors"));
            const event = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.querySelector("#txt2img_generate").dispatchEvent(new DragEvent("drop", event));
        }""",
        list(data),
    )
    expect_toast(page, "dropped.safetensors is in its folder now (lora).")
    assert (folder / "dropped.safetensors").read_bytes() == data
    expect(page.locator(f"{CARDS} .card-status")).to_have_text("2 of 205 cards")


def _switch_checkpoint(page: Page) -> None:
    """By its card; what is chosen above the tabs follows."""
    open_cards(page, "Checkpoints")
    chosen = page.locator("#setting_sd_model_checkpoint input")
    before = chosen.input_value()
    other = page.locator(".cards[data-mode=txt2img][data-kind=checkpoints] .card-main[aria-pressed=false]").first
    title = other.locator(".card-name").inner_text()
    other.click()
    expect(chosen).to_have_value(re.compile(rf"^{re.escape(title)}\.safetensors"))
    assert chosen.input_value() != before
