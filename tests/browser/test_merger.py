"""Two checkpoints merged on the page, with the engine that people get, and a picture drawn with the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import generate, open_tab, parameters, saved, set_number, visit
from tests.catalogue.files import write_model
from tests.checkpoints import write_tiny_checkpoint
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def choose(page: Page, dropdown: str, name: str) -> None:
    page.click(f"#{dropdown} input")
    page.get_by_role("option", name=name).first.click()


def expect_offered(page: Page, dropdown: str, name: str) -> None:
    page.click(f"#{dropdown} input")
    expect(page.get_by_role("option", name=name).first).to_be_visible()
    page.keyboard.press("Escape")


@pytest.mark.long
def test_two_checkpoints_are_merged_and_the_result_draws(watched: Watched, tmp_path: Path) -> None:
    models = tmp_path / "models" / "Stable-diffusion"
    for number, letter in enumerate("ab"):
        write_tiny_checkpoint(models / f"{letter}.safetensors", seed=number)
    write_model(tmp_path / "models" / "Lora" / "ink.safetensors")
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        open_tab(page, "Checkpoint Merger")
        message = page.locator("#modelmerger_message .message")
        page.click("#modelmerger_merge")
        expect(message).to_contain_text("A, the primary model is not chosen")
        choose(page, "modelmerger_primary_model_name", "a.safetensors")
        choose(page, "modelmerger_secondary_model_name", "b.safetensors")
        page.get_by_text("Block weights", exact=True).first.click()
        choose(page, "modelmerger_block_preset", "GRAD_V")
        expect(page.locator("#modelmerger_block_weights textarea")).to_have_value(
            "0,1,0.9167,0.8333,0.75,0.6667,0.5833,0.5,0.4167,0.3333,0.25,0.1667,0.0833,0,"
            "0.0833,0.1667,0.25,0.3333,0.4167,0.5,0.5833,0.6667,0.75,0.8333,0.9167,1"
        )
        page.fill("#modelmerger_custom_name input, #modelmerger_custom_name textarea", "ours")
        page.click("#modelmerger_merge")
        expect(message).to_contain_text(f"Checkpoint saved to {models / 'ours.safetensors'}.", timeout=120_000)
        # Each LoRA gets a line with its weight.
        page.get_by_text("LoRAs to merge into it", exact=True).first.click()
        choose(page, "modelmerger_loras", "ink.safetensors")
        expect(page.locator("#modelmerger_lora_weights textarea")).to_have_value("ink.safetensors: 1")
        # The new file is in all lists without a reload, that above the tabs too, and draws.
        expect_offered(page, "modelmerger_secondary_model_name", "ours.safetensors")
        choose(page, "setting_sd_model_checkpoint", "ours.safetensors")
        open_tab(page, "txt2img")
        page.check("#txt2img_enable-checkbox input")
        expect_offered(page, "txt2img_checkpoint", "ours.safetensors")
        page.uncheck("#txt2img_enable-checkbox input")
        set_number(page, "steps", 2)
        for side in ("width", "height"):
            set_number(page, side, 64)
        generate(page, "a circle")
        expect(page.locator("#txt2img_gallery img").first).to_be_visible(timeout=120_000)
        (picture,) = saved(tmp_path)
        assert "Model: ours" in parameters(picture)
        open_tab(page, "Queue")
        expect(page.get_by_text("Checkpoint Merger", exact=True).last).to_be_visible()
        assert watched.problems == []
