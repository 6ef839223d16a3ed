"""An infotext in the prompt box and a press on the arrow: every control that it names, read off the page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Page

from modules.catalogue import network_hash_of, sha256_of
from modules.page.controls import element_id
from modules.page.form import EXTRA
from tests.browser.conftest import Watched
from tests.browser.steps import expect_toast, open_tab, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

# What a control shows, whatever kind it is: ticked, the chosen words, the entries of a list, a number, or a text.
READ = """(ids) => Object.fromEntries(ids.map(([name, id]) => {
    const root = document.getElementById(id);
    const box = root.matches("input") ? root : root.querySelector("input[type=checkbox]");
    const chosen = root.querySelector("input[type=radio]:checked");
    const number = root.querySelector("input[type=number]");
    const entries = [...root.querySelectorAll(".token")].map((entry) => entry.innerText.trim());
    if (name === "override_settings") return [name, entries.sort().join("; ")];
    if (chosen) return [name, chosen.closest("label").innerText.trim()];
    if (box) return [name, box.checked];
    if (number) return [name, Number(number.value)];
    return [name, root.querySelector("textarea, input").value];
}))"""

SAME = {"hr_sampler_name": "Use same sampler", "hr_scheduler": "Use same scheduler", "hr_prompt": ""}

# (infotext, what the controls of txt2img or img2img show after it, what the page says)
Case = tuple[str, Mapping[str, Any], tuple[str, ...]]

TXT2IMG: tuple[Case, ...] = (
    (
        "a lighthouse on a cliff, (storm:1.2), oil painting\nNegative prompt: blurry, lowres\nSteps: 20, "
        "Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1234567890, Size: 512x512, "
        "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Version: v1.10.1",
        {
            "prompt": "a lighthouse on a cliff, (storm:1.2), oil painting", "negative_prompt": "blurry, lowres",
            "steps": 20, "sampler_name": "Euler a", "scheduler": "Automatic", "cfg_scale": 7, "seed": "1234567890",
            "width": 512, "height": 512, "enable_hr": False, EXTRA: False, "override_settings": "",
        },
        ("v1-5-pruned-emaonly [6ce0161689], which is not here",),
    ),
    (
        "1girl, <lora:inkStyle:0.8>, garden\nNegative prompt: EasyNegative\nSteps: 28, Sampler: DPM++ 2M, "
        "Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, Model hash: a1b2c3d4e5, Model: animeMix_v3, "
        "VAE hash: 63aeecb90f, VAE: vae-ft-mse-840000-ema-pruned.safetensors, Denoising strength: 0.45, Clip skip: 2, "
        "Hires upscale: 1.5, Hires steps: 12, Hires upscaler: R-ESRGAN 4x+, "
        'Lora hashes: "inkStyle: 0f1e2d3c4b5a", TI hashes: "EasyNegative: c74b4e810b03", Version: v1.10.1',
        {
            "prompt": "1girl, <lora:inkStyle:0.8>, garden", "negative_prompt": "EasyNegative", "steps": 28,
            "sampler_name": "DPM++ 2M", "scheduler": "Automatic", "cfg_scale": 6.5, "seed": "42", "width": 512,
            "height": 768, "enable_hr": True, "denoising_strength": 0.45, "hr_scale": 1.5, "hr_second_pass_steps": 12,
            "hr_resize_x": 0, **SAME, "override_settings": "Clip skip: 2",
        },
        (
            "inkStyle (0f1e2d3c4b5a) is not here", "EasyNegative (c74b4e810b03) is not here",
            "animeMix_v3 [a1b2c3d4e5], which is not here", "pruned.safetensors [63aeecb90f] is not here",
            "R-ESRGAN 4x+ is not here",
        ),
    ),
    (
        "castle\nSteps: 50, Sampler: DPM++ 2S a Karras, CFG scale: 12, Seed: 7, Size: 1024x1024, Model hash: 7460a6fa, "
        "Denoising strength: 0.7, First pass size: 0x0, Eta: 0.67, ENSD: 31337",
        {
            "prompt": "castle", "negative_prompt": "", "steps": 50, "sampler_name": "DPM++ 2S a",
            "scheduler": "Automatic", "cfg_scale": 12, "seed": "7", "width": 512, "height": 512, "enable_hr": True,
            "denoising_strength": 0.7, "hr_resize_x": 1024, "hr_resize_y": 1024, "hr_second_pass_steps": 0,
            "override_settings": "ENSD: 31337; Eta: 0.67",
        },
        ("[7460a6fa], which is not here",),
    ),
    (
        "city [day:night:0.5]\nNegative prompt: fog\nSteps: 25, Sampler: DPM++ 2M SDE, Schedule type: Exponential, "
        "CFG scale: 5, Seed: 10, Size: 1024x1024, Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Variation seed: 55, "
        "Variation seed strength: 0.15, Seed resize from: 832x1216, RNG: CPU, "
        'Hires prompt: "city, neon: night", NGMS: 2.5, Version: v1.10.1',
        {
            "prompt": "city [day:night:0.5]", "negative_prompt": "fog", "steps": 25, "sampler_name": "DPM++ 2M SDE",
            "scheduler": "Automatic", "cfg_scale": 5, "seed": "10", "width": 1024, "height": 1024, "enable_hr": False,
            EXTRA: True, "subseed": "55", "subseed_strength": 0.15, "seed_resize_from_w": 832,
            "seed_resize_from_h": 1216, "hr_prompt": "city, neon: night", "override_settings": "NGMS: 2.5; RNG: CPU",
        },
        ("sd_xl_base_1.0 [31e35c80fc], which is not here",),
    ),
    (
        "portrait\nSteps: 30, Sampler: Euler, Schedule type: SGM Uniform, CFG scale: 7, Seed: 3, Size: 1024x1024, "
        "Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Refiner: sd_xl_refiner_1.0 [7440042bbd], "
        "Refiner switch at: 0.8, Version: v1.10.1",
        {
            "prompt": "portrait", "steps": 30, "sampler_name": "Euler", "scheduler": "SGM Uniform", "cfg_scale": 7,
            "seed": "3", "width": 1024, "height": 1024, EXTRA: False, "subseed": "-1", "subseed_strength": 0,
            "seed_resize_from_w": 0, **SAME, "override_settings": "", "refiner_switch_at": 0.8,
        },
        ("sd_xl_base_1.0 [31e35c80fc], which is not here", "The refiner sd_xl_refiner_1.0 [7440042bbd] is not here"),
    ),
    (
        # What is here, under other names: all of it is taken over by its hash.
        "a <lora:renamed:0.7> hill\nSteps: 9, Sampler: k_euler_a, CFG scale: 3.5, Seed: 18446744073709551615, "
        "Size: 640x384, VAE hash: {vae}, VAE: other.pt, Denoising strength: 0.3, Clip skip: 3, ENSD: 5, RNG: NV, "
        "Hires prompt: dusk, Hires negative prompt: noon, Hires upscale: 2, Hires upscaler: Latent (nearest), "
        "Hires sampler: DDIM, Hires schedule type: Beta, Hires checkpoint: demo-emoji.safetensors, "
        'Lora hashes: "renamed: {lora}", Version: v1.10.1',
        {
            "prompt": "a <lora:pen:0.7> hill", "sampler_name": "Euler a", "cfg_scale": 3.5,
            "seed": "18446744073709551615", "width": 640, "height": 384, "enable_hr": True, "denoising_strength": 0.3,
            "hr_scale": 2, "hr_upscaler": "Latent (nearest)", "hr_sampler_name": "DDIM", "hr_scheduler": "Beta",
            "hr_prompt": "dusk", "hr_negative_prompt": "noon",
            "override_settings": "Clip skip: 3; ENSD: 5; RNG: NV; VAE: mine.safetensors",
        },
        ("Read as well, though not shown",),
    ),
)  # fmt: skip

IMG2IMG: tuple[Case, ...] = (
    (
        "red door\nSteps: 30, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 7, Seed: 99, Size: 768x768, "
        "Model hash: 1122334455, Model: inpaintModel, Denoising strength: 0.75, Conditional mask weight: 0.5, "
        "Mask blur: 8, Inpaint area: Only masked, Masked area padding: 48, Masked content: fill, Version: v1.9.4",
        {
            "prompt": "red door", "steps": 30, "sampler_name": "DPM++ SDE", "scheduler": "Automatic", "cfg_scale": 7,
            "seed": "99", "width": 768, "height": 768, "denoising_strength": 0.75, "mask_blur_x": 8,
            "inpaint_full_res": "Only masked", "inpaint_full_res_padding": 48, "inpainting_fill": "fill",
            "inpainting_mask_invert": "Inpaint masked", "override_settings": "Conditional mask weight: 0.5",
        },
        ("inpaintModel [1122334455], which is not here",),
    ),
)  # fmt: skip


def test_every_control_that_an_infotext_names(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    models = server.data_dir / "models"
    lora = network_hash_of(models / "Lora" / "pen.safetensors")[:12]
    vae = sha256_of(models / "VAE" / "mine.safetensors")[:10]
    for mode, cases in (("txt2img", TXT2IMG), ("img2img", IMG2IMG)):
        open_tab(page, mode)
        for infotext, expected, said in cases:
            page.fill(f"#{mode}_prompt textarea", infotext.replace("{vae}", vae).replace("{lora}", lora))
            page.click(f"#{mode}_paste")
            assert shown(page, mode, expected) == expected
            for sentence in said:
                expect_toast(page, sentence)
            page.evaluate("() => { toastsSeen.length = 0; }")
    assert watched.problems == []


def shown(page: Page, mode: str, expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the controls named in `expected` show once they show that, or in the end."""
    ids = [[name, f"{mode}_subseed_show" if name == EXTRA else element_id(name, mode)] for name in expected]
    until = time.monotonic() + 20
    while True:
        values: Mapping[str, Any] = page.evaluate(READ, ids)
        if values == expected or time.monotonic() > until:
            return values
        page.wait_for_timeout(50)
