"""The Batch tab: files from this computer and from a folder of the server, a bad one among them, and stopping."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import open_input, saved, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MESSAGE = "#img2img_message .message"
PICTURES = "#img2img_gallery .thumbnail-small"


def write_inputs(folder: Path, count: int = 2) -> list[Path]:
    folder.mkdir(parents=True)
    files = [folder / f"frame {number}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.effect_noise((96, 64), 20 + number).convert("RGB").save(file)
    (folder / "torn.png").write_bytes(files[0].read_bytes()[:20])
    return [*files, folder / "torn.png"]


def ask(page: Page, prompt: str) -> None:
    page.fill("#img2img_prompt textarea", prompt)
    page.click("#img2img_generate")


def test_uploaded_files_become_pictures_and_the_torn_one_is_named(
    settled: Watched, server: Server, tmp_path: Path
) -> None:
    page = settled.page
    open_input(page, "Batch")
    expect(page.locator("#img2img_copy_to")).to_be_hidden()
    ask(page, "nothing yet")
    expect(page.locator(MESSAGE)).to_contain_text("There are no files on the Batch tab")
    page.set_input_files("#img2img_batch_upload input[type=file]", write_inputs(tmp_path / "frames"))
    expect(page.locator("#img2img_batch_upload .file")).to_have_count(3)
    before = len(saved(server.data_dir))
    ask(page, "of a batch")
    expect(page.locator(PICTURES)).to_have_count(2, timeout=30_000)
    expect(page.locator(MESSAGE)).to_contain_text("1 file was skipped:\ntorn.png: The picture")
    assert len(saved(server.data_dir)) == before + 2
    assert settled.problems == []


@pytest.mark.long
def test_a_folder_of_the_server_goes_to_another_one_under_the_same_names(
    watched: Watched, server: Server, tmp_path: Path
) -> None:
    page = watched.page
    data = server.data_dir
    write_inputs(data / "inputs" / "frames")
    visit(page, server.url)
    open_input(page, "Batch")
    page.get_by_role("tab", name="From directory").first.click()
    # Another folder of this machine has to be allowed; the answer is remembered, and its pictures are shown.
    outside = tmp_path / "outside"
    write_inputs(outside)
    page.fill("#img2img_batch_input_dir textarea, #img2img_batch_input_dir input", str(outside))
    page.once("dialog", lambda dialog: dialog.dismiss())
    ask(page, "not from there")
    expect(page.locator(MESSAGE)).to_contain_text("is not among the folders that the page may use")
    page.fill("#img2img_batch_output_dir textarea, #img2img_batch_output_dir input", str(outside / "made"))
    page.once("dialog", lambda dialog: dialog.accept())
    ask(page, "from anywhere")
    expect(page.locator(PICTURES)).to_have_count(2, timeout=30_000)
    page.wait_for_function(f"() => [...document.querySelectorAll('{PICTURES} img')].every((one) => one.naturalWidth)")
    assert sorted(path.name for path in (outside / "made").iterdir()) == ["frame 0.png", "frame 1.png"]
    assert json.loads((data / "allowed-folders.json").read_text("utf-8")) == [str(outside.resolve())]
    page.fill("#img2img_batch_input_dir textarea, #img2img_batch_input_dir input", "inputs/frames")
    page.fill("#img2img_batch_output_dir textarea, #img2img_batch_output_dir input", "outputs/painted")
    ask(page, "from a folder")
    expect(page.locator(PICTURES)).to_have_count(2, timeout=30_000)
    assert sorted(path.name for path in (data / "outputs" / "painted").iterdir()) == ["frame 0.png", "frame 1.png"]
    ask(page, "from a folder again")
    expect(page.locator("#html_info_img2img")).to_contain_text("from a folder again", timeout=30_000)
    expect(page.locator(PICTURES)).to_have_count(2, timeout=30_000)
    assert (data / "outputs" / "painted" / "frame 0-1.png").exists()
    # A file that only the engine finds bad fails alone, and by name.
    ask(page, "oom on every one")
    expect(page.locator(MESSAGE)).to_contain_text("0 of 2 files of the batch were made", timeout=30_000)
    expect(page.locator(MESSAGE)).to_contain_text("frame 0.png: ")
    assert watched.problems == []


@pytest.mark.long
def test_interrupt_stops_the_rest(settled: Watched, server: Server) -> None:
    page = settled.page
    write_inputs(server.data_dir / "inputs" / "many", count=8)
    open_input(page, "Batch")
    page.get_by_role("tab", name="From directory").first.click()
    page.fill("#img2img_batch_input_dir textarea, #img2img_batch_input_dir input", "inputs/many")
    before = len(saved(server.data_dir))
    # Long enough that a busy machine is still at the first files when Interrupt is pressed.
    steps = page.locator("#img2img_steps input[type=number]")
    steps.fill("150")
    steps.press("Tab")
    ask(page, "slow")
    expect(page.locator("#img2img_live .bar .text")).to_contain_text("of 8", timeout=30_000)
    expect(page.locator("#img2img_live .queue li")).to_have_count(1)
    expect(page.locator("#img2img_live .queue li")).to_contain_text("files of a batch · slow")
    page.click("#img2img_interrupt")
    page.click("#img2img_interrupt")
    expect(page.locator("#img2img_live .live")).to_be_hidden(timeout=30_000)
    assert len(saved(server.data_dir)) < before + 8
