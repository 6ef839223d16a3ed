"""Inpainting with the engine that people get: only what was painted changes, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from modules.parameters import parse_infotext
from tests.browser.conftest import Watched
from tests.browser.steps import drop, open_input, paint, parameters, saved, visit
from tests.checkpoints import write_tiny_checkpoint
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

MASK = "#img2maskimg"
RESULT = "#html_info_img2img"


@pytest.mark.long
def test_only_the_mask_changes(watched: Watched, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    scene = tmp_path / "scene.png"
    Image.effect_noise((128, 128), 60).convert("RGB").save(scene)
    page = watched.page
    with Server(tmp_path, "--use-cpu", "all", "--no-half", module="modules.server") as server:
        visit(page, server.url)
        open_input(page, "Inpaint")
        drop(page, MASK, scene)
        page.click("#img2img_detect_size")
        for name, value in {"steps": 4, "mask_blur_x": 2, "denoising_strength": 1}.items():
            box = page.locator(f"#img2img_{name} input[type=number]")
            box.fill(str(value))
            box.press("Tab")
        paint(page, MASK, (0.35, 0.5), (0.65, 0.5))
        page.fill("#img2img_prompt textarea", "a red circle")
        page.click("#img2img_generate")
        expect(page.locator(RESULT)).to_contain_text("Mask blur: 2", timeout=180_000)
        (result,) = saved(tmp_path)
        parsed = parse_infotext(parameters(result))
        assert (parsed["Size-1"], parsed["Size-2"], parsed["Denoising strength"]) == ("128", "128", "1")
        with Image.open(scene) as before, Image.open(result) as after:
            changed = np.asarray(before, dtype=int) != np.asarray(after.convert("RGB"), dtype=int)
        touched = changed.any(axis=2)
        # The stroke is a tenth of the picture; beyond it and its blur no bit differs.
        assert touched[60:68, 50:78].mean() > 0.9
        assert not touched[:40].any() and not touched[88:].any()
        assert not touched[:, :24].any() and not touched[:, 104:].any()
        assert watched.problems == []
