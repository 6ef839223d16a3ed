"""The controls: labels, keyboard, tool buttons, token counters, width of a phone, and what a reload keeps."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from modules.page.form import EXTRA, OVERRIDES, REFINER
from modules.page.scripts import is_of_script
from modules.parameters import GenerationRequest, parameter_of
from tests.amounts import some
from tests.browser.conftest import DESKTOP, Watched
from tests.browser.steps import (
    BAR,
    INFOTEXT,
    NEGATIVE,
    PROMPT,
    SEED,
    begun,
    expect_toast,
    generate,
    saved,
    set_number,
    stored_form,
)
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_every_control_has_its_label(settled: Watched) -> None:
    page = settled.page
    page.check("#txt2img_subseed_show input")
    page.locator(PROMPT).press("x")
    page.wait_for_function("() => localStorage.getItem('webui-txt2img')")
    labels = [
        parameter_of(GenerationRequest, name).parameter.label
        for name in stored_form(page)
        if name not in (EXTRA, OVERRIDES, REFINER) and not is_of_script(name)
    ]
    assert len(labels) >= 16
    missing = [label for label in labels if page.get_by_label(label).count() == 0]
    assert missing == []


def test_every_button_has_a_name_in_words(settled: Watched) -> None:
    page = settled.page
    names = page.evaluate(
        "() => [...document.querySelectorAll('#quicksettings button, #tab_txt2img button')]"
        ".filter((button) => button.offsetParent).map((button) => button.ariaLabel || button.innerText)"
    )
    assert len(names) >= 12
    assert [name for name in names if not any("a" <= letter.lower() <= "z" for letter in name)] == []


def test_the_keyboard(settled: Watched) -> None:
    page = settled.page
    box = page.locator(PROMPT)
    box.fill("a cat, slow")
    box.evaluate("(box) => box.setSelectionRange(3, 3)")
    box.press("Control+ArrowUp")
    expect(box).to_have_value("a (cat:1.1), slow")
    box.press("Control+ArrowUp")
    expect(box).to_have_value("a (cat:1.2), slow")
    box.press("Control+ArrowDown")
    box.press("Control+ArrowDown")
    expect(box).to_have_value("a cat, slow")
    box.press("Alt+ArrowRight")
    expect(box).to_have_value("slow, a cat")
    set_number(page, "steps", 150)
    box.fill("slow cat")
    box.press("Control+Enter")
    expect(page.locator(BAR)).to_be_visible()
    begun(page)
    page.keyboard.press("Alt+Enter")
    expect(page.locator(BAR)).to_be_hidden()


def test_who_types_or_drags_is_followed_after_a_pause(settled: Watched) -> None:
    page = settled.page
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url) if "/gradio_api/" in request.url else None)
    page.locator(PROMPT).press_sequentially("a red cat on a mat", delay=5)
    expect(page.locator("#txt2img_token_counter")).to_have_text("6/75")
    slider = page.locator("#txt2img_steps input[type=range]")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + box["height"] / 2, steps=20)
    page.mouse.up()
    page.wait_for_function("() => JSON.parse(localStorage.getItem('webui-txt2img')).steps > 30")
    # A busy machine pauses in between; each key and each pixel was a call once.
    assert len(calls) < 10, calls


def test_tokens_are_counted_and_the_reading_is_shown(settled: Watched) -> None:
    page = settled.page
    page.fill(PROMPT, "a (red:1.3) apple [and:or:0.5] <b>pear</b>")
    page.fill(NEGATIVE, "blurry " * 80)
    expect(page.locator("#txt2img_negative_token_counter")).to_have_text("80/150")
    page.click("#txt2img_reading button")
    reading = page.locator("#txt2img_reading_html")
    expect(reading).to_contain_text("steps 1–")
    expect(reading.locator(".up").first).to_contain_text("1.3")
    expect(reading.locator("b")).to_have_count(0)


def test_size_seed_and_clear_buttons(settled: Watched) -> None:
    page = settled.page
    set_number(page, "width", 256)
    set_number(page, "height", 384)
    page.click("#txt2img_res_switch_btn")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("384")
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("256")
    page.fill(SEED, "4242")
    generate(page, "with a seed")
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 4242", timeout=30_000)
    page.click("#txt2img_random_seed")
    expect(page.locator(SEED)).to_have_value("-1")
    page.click("#txt2img_reuse_seed")
    expect(page.locator(SEED)).to_have_value("4242")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#txt2img_clear_prompt")
    expect(page.locator(PROMPT)).to_have_value("with a seed")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#txt2img_clear_prompt")
    expect(page.locator(PROMPT)).to_have_value("")
    page.click("#txt2img_paste")
    expect(page.locator(PROMPT)).to_have_value(re.compile("^with a seed"))
    page.fill(
        PROMPT, "pasted\nNegative prompt: bad\nSteps: 7, Sampler: Euler a, CFG scale: 3.5, Seed: 5, Size: 320x192"
    )
    page.click("#txt2img_paste")
    expect(page.locator(PROMPT)).to_have_value("pasted")
    expect(page.locator(NEGATIVE)).to_have_value("bad")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("7")
    expect(page.locator("#txt2img_cfg_scale input[type=number]")).to_have_value("3.5")
    expect(page.locator("#txt2img_sampling input")).to_have_value("Euler a")


def test_choosing_a_checkpoint_sets_its_size_and_loads_it(settled: Watched, server: Server) -> None:
    page = settled.page
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("128")
    expect(page.locator("#demo_notice")).to_be_visible()
    _choose_checkpoint(page, "other.safetensors")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("256")
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("192")
    expect(page.locator("#demo_notice")).to_be_hidden()
    _choose_checkpoint(page, "demo-emoji.safetensors")
    expect(page.locator("#demo_notice")).to_be_visible()
    page.click("#demo_notice .examples button >> nth=0")
    expect(page.locator(PROMPT)).not_to_have_value("")
    folder = re.compile(re.escape(str(server.data_dir / "models" / "Stable-Diffusion")), re.IGNORECASE)
    expect(page.locator("#demo_notice code")).to_have_text(folder)
    page.click("#refresh_sd_model_checkpoint")
    expect_toast(page, " checkpoints found.")
    # On a phone it is one line until more is wanted, and it can be taken away.
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#demo_rest")).to_be_hidden()
    box = page.locator("#demo_notice").bounding_box()
    assert box is not None and box["height"] < 60
    page.click("#demo_more")
    expect(page.locator("#demo_rest")).to_be_visible()
    page.click("#demo_dismiss")
    expect(page.locator("#demo_notice")).to_be_hidden()
    page.set_viewport_size(DESKTOP["viewport"])


@pytest.mark.long
def test_an_axis_of_a_plot_is_filled_counted_and_swapped(settled: Watched, server: Server) -> None:
    page = settled.page
    _choose(page, "#txt2img_script_list", "X/Y/Z plot")
    plot = "#script_txt2img_x_y_z_plot"
    typed = page.locator(f"{plot}_x_values textarea, {plot}_x_values input")
    expect(typed).to_have_attribute("placeholder", re.compile(r"1-9 \(\+2\)"))
    typed.fill("1-3")
    expect(page.locator(f"{plot}_count")).to_have_text("3 pictures.")
    expect(page.locator(f"{plot}_y_values_dropdown")).to_be_hidden()
    _choose(page, f"{plot}_y_type", "RNG source")
    expect(page.locator(f"{plot}_y_values_dropdown")).to_be_visible()
    expect(page.locator(f"{plot}_y_values")).to_be_hidden()
    page.click(f"{plot}_fill_y")
    expect(page.locator(f"{plot}_y_values_dropdown .token")).to_have_count(3)
    expect(page.locator(f"{plot}_count")).to_have_text("9 pictures: 3 × 3.")
    page.click(f"{plot}_swap_xy")
    expect(page.locator(f"{plot}_x_values_dropdown .token")).to_have_count(3)
    expect(page.locator(f"{plot}_y_type input")).to_have_value("Seed")
    expect(page.locator(f"{plot}_count")).to_have_text("9 pictures: 3 × 3.")
    page.check(f"{plot}_csv_mode input")
    expect(page.locator(f"{plot}_x_values_dropdown")).to_be_hidden()
    page.click(f"{plot}_fill_x")
    page.fill(PROMPT, "a plot")
    page.click("#txt2img_generate")
    expect(page.locator(INFOTEXT)).to_contain_text("a plot", timeout=60_000)
    job = server.json("/v1/jobs")[0]
    arguments = job["request"]["scripts"]["X/Y/Z plot"]
    assert (arguments["x_type"], arguments["x_values"]) == ("RNG source", "GPU, CPU, NV")
    assert arguments["y_values"] == "1, 2, 3"
    page.uncheck(f"{plot}_csv_mode input")
    _choose(page, "#txt2img_script_list", "None")
    assert settled.problems == []


def _choose(page: Page, dropdown: str, name: str) -> None:
    page.click(f"{dropdown} input")
    page.get_by_role("option", name=name, exact=True).click()


def _choose_checkpoint(page: Page, name: str) -> None:
    page.click("#setting_sd_model_checkpoint input")
    page.get_by_role("option", name=name).click()


@pytest.mark.parametrize("theme", some(["dark", "light"], 1))
def test_nothing_is_wider_than_the_screen(settled: Watched, theme: str) -> None:
    page = settled.page
    if theme == "dark":
        page.click("#theme_switch")
    assert page.evaluate("() => document.body.classList.contains('dark')") is (theme == "dark")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_function("(width) => document.documentElement.scrollWidth <= width", arg=width)
        outside = page.evaluate(
            "(width) => [...document.querySelectorAll('button, input, textarea')]"
            # Two strips scroll, where tests before have left many pictures and jobs.
            ".filter((one) => one.offsetParent && !one.closest('[aria-hidden=true], .thumbnails'))"
            ".filter((one) => one.getBoundingClientRect().right > width + 1).map((one) => one.id || one.className)",
            width,
        )
        assert outside == []
    results, settings = (page.locator(f"#txt2img_{name}").bounding_box() for name in ("results", "settings"))
    assert results is not None and settings is not None and results["y"] < settings["y"]
    assert settled.problems == []
    page.set_viewport_size(DESKTOP["viewport"])
    if theme == "dark":
        page.click("#theme_switch")


def test_save_zip_and_png_info(settled: Watched, server: Server) -> None:
    page = settled.page
    page.fill(SEED, "777")
    generate(page, "kept picture")
    expect(page.locator(INFOTEXT)).to_contain_text("kept picture", timeout=30_000)
    page.click("#save_txt2img")
    expect_toast(page, "kept picture")
    expect(page.locator("#download_files_txt2img")).to_contain_text("kept picture")
    page.click("#save_zip_txt2img")
    expect(page.locator("#download_files_txt2img")).to_contain_text(".zip")
    page.get_by_role("tab", name="PNG Info").click()
    page.set_input_files("#pnginfo_image input[type=file]", saved(server.data_dir)[-1])
    expect(page.locator("#pnginfo_html")).to_contain_text("Seed: 777")
    page.click("#pnginfo_send_to_txt2img")
    expect(page.locator(PROMPT)).to_have_value(re.compile("^kept picture"))
    expect(page.locator(PROMPT)).to_be_visible()


def test_styles_are_merged_by_button_and_by_the_server(settled: Watched, server: Server) -> None:
    (server.data_dir / "styles.csv").write_text("name,prompt,negative_prompt\nOil,oil of {prompt},photo\n")
    page = settled.page
    page.click("#txt2img_styles_refresh")
    page.fill(PROMPT, "a cat")
    page.click("#txt2img_styles input")
    page.get_by_role("option", name="Oil").click()
    page.keyboard.press("Escape")
    generate(page, "a dog")
    expect(page.locator(INFOTEXT)).to_contain_text("oil of a dog", timeout=30_000)
    page.click("#txt2img_style_apply")
    expect(page.locator(PROMPT)).to_have_value("oil of a dog")
    expect(page.locator(NEGATIVE)).to_have_value("photo")


def test_a_list_works_by_keys_stays_below_its_field_and_closes_behind_who_leaves(settled: Watched) -> None:
    page = settled.page
    _choose(page, "#txt2img_sampling", "DPM++ 2M")
    field, lists = page.locator("#txt2img_sampling input"), page.locator(".options")
    # Where there is room for it, which a low window has not at first.
    field.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    field.click()
    above, below = page.locator(PROMPT).bounding_box(), lists.bounding_box()
    assert above is not None and below is not None and below["y"] > above["y"] + above["height"]
    page.keyboard.type("zzz")
    page.keyboard.press("Tab")
    expect(page.locator("#txt2img_scheduler input")).to_be_focused()
    expect(lists).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    expect(field).to_have_value("DPM++ 2M")
    page.keyboard.press("Escape")
    expect(lists).to_have_count(0)
    field.click()
    expect(lists).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(lists).to_have_count(0)
    expect(field).to_be_focused()
    expect(field).to_have_value("DPM++ SDE")
    page.keyboard.type("heun")
    page.keyboard.press("Enter")
    expect(field).to_have_value("DPM++ 2M SDE Heun")
    page.keyboard.press("Tab")
    expect(page.locator("#txt2img_scheduler input")).to_be_focused()
    # The form has heard of it.
    page.wait_for_function("() => localStorage.getItem('webui-txt2img')?.includes('DPM++ 2M SDE Heun')")
