"""A LoRA's card clicked on the page, and the picture that the engine makes with it: seen, recorded, pasted back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from modules.catalogue.hashes import network_hash_of
from tests.browser.conftest import Watched
from tests.browser.steps import INFOTEXT, PROMPT, SEED, generate, open_tab, parameters, saved, set_number, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.networks import write_trained_lora
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MADE = 180_000


@pytest.mark.long
def test_a_clicked_card_changes_the_picture_and_its_name_is_found_again(watched: Watched, tmp_path: Path) -> None:
    stated = {"modelspec.resolution": "64x64"}
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors", metadata=stated)
    loras = tmp_path / "models" / "Lora"
    digits = network_hash_of(write_trained_lora(loras / "ink.safetensors"))[:12]
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        set_number(page, "steps", 4)
        page.fill(SEED, "5")
        page.press(SEED, "Tab")
        generate(page, "a cat")
        expect(page.locator(INFOTEXT)).to_contain_text("a cat", timeout=MADE)
        tabs = page.locator("#txt2img_extra_tabs")
        tabs.get_by_role("tab", name="Lora", exact=True).click()
        page.locator(".cards[data-mode=txt2img][data-kind=lora] .card-main").click()
        expect(page.locator(PROMPT)).to_have_value("a cat <lora:ink:1>")
        tabs.get_by_role("tab", name="Generation", exact=True).click()
        page.click("#txt2img_generate")
        expect(page.locator(INFOTEXT)).to_contain_text(f'Lora hashes: "ink: {digits}"', timeout=MADE)
        plain, changed = saved(tmp_path)[-2:]
        assert Image.open(plain).tobytes() != Image.open(changed).tobytes()

        # On a machine where the file has another name, the hash finds it.
        (loras / "ink.safetensors").rename(loras / "brush.safetensors")
        open_tab(page, "txt2img")
        page.fill(PROMPT, parameters(changed))
        page.click("#txt2img_paste")
        expect(page.locator(PROMPT)).to_have_value("a cat <lora:brush:1>")
        page.click("#txt2img_generate")
        expect(page.locator(INFOTEXT)).to_contain_text(f"brush: {digits}", timeout=MADE)
        assert Image.open(saved(tmp_path)[-1]).tobytes() == Image.open(changed).tobytes()
    assert watched.problems == []
