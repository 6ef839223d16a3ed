"""The first hour: from the demo's picture to a checkpoint fetched without leaving the page, with the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import INFOTEXT, generate, open_tab, set_number, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.downloads import models
from tests.downloads.site import Hosted, model_site
from tests.server.server import ROOT, Server

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.long]


def test_from_the_demo_to_a_fetched_checkpoint(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    checkpoint = write_tiny_checkpoint(tmp_path / "hosted" / "mine.safetensors", seed=3).read_bytes()
    (tmp_path / "data").mkdir()
    with model_site() as site:
        site.put("org/name/mine.safetensors", Hosted(checkpoint))
        site.put("org/name/other.safetensors", Hosted(models.lora()))
        site.put("org/name/broken.safetensors", Hosted(models.lora(seed=1), sha256="0" * 64))
        flags = (
            "--use-cpu",
            "all",
            "--no-half",
            "--ckpt",
            str(ROOT / "models" / "Stable-diffusion" / "demo-emoji.safetensors"),
        )
        with Server(tmp_path / "data", *flags, module="modules.server", env={"HF_ENDPOINT": site.url}) as server:
            visit(page, server.url)
            set_number(page, "steps", 1)
            generate(page, "a red apple")
            expect(page.locator(INFOTEXT)).to_contain_text("Model: demo-emoji", timeout=60_000)
            page.click("#demo_get")
            panel = page.locator("#get_models_panel")
            expect(panel.locator(".offered li").first).to_contain_text("Stable Diffusion 1.5")
            address = page.get_by_label("Address or id of a model on Hugging Face or Civitai")
            address.fill("nonsense")
            address.press("Enter")
            expect(panel.get_by_role("alert")).to_contain_text("no address of a model")
            address.fill("org/name")
            address.press("Enter")
            expect(panel.locator(".found li")).to_have_count(3)
            for name in ("broken", "other", "mine"):
                panel.get_by_role("button", name=f"Get: {name}.safetensors").click()
            rows = panel.locator(".list li")
            expect(rows.filter(has_text="mine.safetensors")).to_contain_text("finished", timeout=60_000)
            expect(rows.filter(has_text="other.safetensors")).to_contain_text("lora")
            broken = rows.filter(has_text="broken.safetensors")
            expect(broken).to_contain_text("came damaged: its SHA-256 begins with")
            broken.get_by_role("button", name="Remove: broken.safetensors").press("Enter")
            expect(rows).to_have_count(2)
            page.click("#setting_sd_model_checkpoint input")
            page.get_by_role("option", name="mine.safetensors").first.click()
            open_tab(page, "txt2img")
            generate(page, "a red apple")
            expect(page.locator(INFOTEXT)).to_contain_text("Model: mine", timeout=60_000)
    # What the browser says of the refusal.
    assert [text for text in watched.problems if "422" not in text] == []


def test_the_tab_is_away_with_offline(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with Server(tmp_path, "--offline", module="tests.server.fake_engine_server") as server:
        visit(page, server.url)
        expect(page.get_by_role("tab", name="Queue", exact=True).first).to_be_visible()
        expect(page.get_by_role("tab", name="Get models", exact=True)).to_have_count(0)
        expect(page.locator("#demo_get, #get_models")).to_have_count(0)
