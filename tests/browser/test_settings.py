"""The Settings tab: options drawn, searched, changed, refused and reset; its pages; what they change on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.settings import OPTIONS, SECTIONS
from tests.browser.conftest import FAKE_ENGINE, Watched
from tests.browser.steps import NEGATIVE, PROMPT, change_settings, expect_toast, generate, open_tab, set_number, visit
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]

# Of the kind that an A1111 installation leaves behind.
A1111_CONFIG = {
    "CLIP_stop_at_last_layers": 2,
    "quicksettings": "sd_model_checkpoint, sd_vae, CLIP_stop_at_last_layers, tiling",
    "extra_options_txt2img": ["eta_ancestral"],
    "control_net_unit_count": 3,
    "s_noise": "loud",
}
A1111_UI_CONFIG = {
    "txt2img/Prompt/visible": True,
    "customscript/sampler.py/txt2img/Sampling steps/value": 31,
    "txt2img/Batch size/maximum": 24,
    "txt2img/Upscaler/value": "Gone",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "config.json").write_text(json.dumps(A1111_CONFIG))
    (folder / "ui-config.json").write_text(json.dumps(A1111_UI_CONFIG))
    (folder / "styles.csv").write_text("name,prompt,negative_prompt\nPhoto,photo of {prompt},drawing\n", "utf-8-sig")
    with Server(folder, "--freeze-specific-settings", "randn_source", module=FAKE_ENGINE) as running:
        yield running


def open_page(page: Page, name: str) -> None:
    open_tab(page, "Settings")
    page.click(f"#settings_page_{name}")


def written(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / name).read_text("utf-8"))
    return found


def test_settings_are_found_changed_refused_and_reset(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    open_page(page, "options")
    panel = page.locator("#settings_panel")
    shown = {option.section for option in OPTIONS.values() if not option.hidden}
    expect(panel.locator("details")).to_have_count(len(shown & set(SECTIONS)))

    page.fill("#settings_search", "jpeg quality")
    field = page.locator("#option_jpeg_quality")
    expect(page.locator("#option_CLIP_stop_at_last_layers")).to_be_hidden()
    # What is meant comes first, before entries of menus, and what is found is counted.
    page.fill("#settings_search", "lora")
    found = panel.locator("#settings_found .setting")
    expect(found.first.locator("#option_sd_lora")).to_be_visible()
    expect(page.locator("#settings_count")).to_have_text(f"{found.count()} settings found.")
    menus = panel.locator(".setting", has=page.locator("#option_quicksettings_list"))
    last_words = found.all_inner_texts().index(menus.inner_text())
    assert all("lora" in text.lower() for text in found.all_inner_texts()[:3])
    assert last_words >= found.count() - 5
    page.fill("#settings_search", "jpeg_quality")
    expect(field).to_be_visible()

    field.fill("90")
    expect(page.locator("#settings_apply")).to_have_text("Apply 1 change")
    page.click("#settings_apply")
    expect(page.locator(".setting.other #option_jpeg_quality")).to_have_value("90")
    expect(page.locator("#settings_apply")).to_be_disabled()
    assert server.json("/sdapi/v1/options")["jpeg_quality"] == 90

    field.fill("101")
    page.click("#settings_apply")
    expect_toast(page, "takes from 1 to 100, not 101")
    assert server.json("/sdapi/v1/options")["jpeg_quality"] == 90
    # What is typed and not applied stays while something else is saved.
    field.fill("95")
    with page.expect_response("**/internal/settings"):
        line = page.locator(".setting", has=page.locator("#option_CLIP_stop_at_last_layers"))
        line.locator("button.reset").evaluate("(reset) => reset.click()")
    expect(page.locator(".setting.other #option_CLIP_stop_at_last_layers")).to_have_count(0)
    expect(field).to_have_value("95")
    expect(page.locator("#settings_apply")).to_have_text("Apply 1 change")
    change_settings(page, {"CLIP_stop_at_last_layers": 2})
    page.click("#settings_apply")
    expect(page.locator("#settings_apply")).to_be_disabled()
    assert server.json("/sdapi/v1/options")["jpeg_quality"] == 95

    # What A1111's file has changed is marked as well, and what a flag has frozen is locked.
    page.fill("#settings_search", "")
    expect(panel.locator("#settings_found .setting")).to_have_count(0)
    page.check("#settings_changed")
    expect(page.locator(".setting.other #option_CLIP_stop_at_last_layers")).to_be_visible()
    expect(page.locator("#option_samples_format")).to_be_hidden()
    expect(page.locator("#option_randn_source")).to_be_disabled()

    page.locator(".setting", has=field).get_by_role("button").click()
    expect(page.locator(".setting.other #option_jpeg_quality")).to_have_count(0)
    assert server.json("/sdapi/v1/options")["jpeg_quality"] == 80
    saved = written(server.data_dir, "config.json")
    assert (saved["control_net_unit_count"], saved["s_noise"]) == (3, "loud"), "nothing of another program is lost"
    # The refused value is reported by the browser as a failed request; nothing else may have gone wrong.
    assert [problem for problem in watched.problems if "422" not in problem] == []


@pytest.mark.long
def test_settings_above_the_tabs_and_in_a_tab(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    expect(page.locator("#setting_sd_vae input")).to_have_value("Automatic")
    expect(page.locator("#setting_CLIP_stop_at_last_layers input[type=number]")).to_have_value("2")
    page.check("#setting_tiling input")
    page.wait_for_function("() => fetch('sdapi/v1/options').then((a) => a.json()).then((o) => o.tiling)")

    # A setting in the tab is for this request only.
    field = page.locator("#txt2img_option_eta_ancestral input[type=number]")
    field.fill("0.5")
    field.press("Tab")
    page.fill(PROMPT, "a cat")
    page.click("#txt2img_generate")
    expect(page.locator("#html_info_txt2img")).to_contain_text("a cat", timeout=60_000)
    job = server.json("/v1/jobs")[0]
    assert job["request"]["override_settings"]["eta_ancestral"] == 0.5
    assert server.json("/sdapi/v1/options")["eta_ancestral"] == 1.0
    assert watched.problems == []


@pytest.mark.long
def test_defaults_are_read_saved_and_reset(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    steps = page.locator("#txt2img_steps input[type=number]")
    expect(steps).to_have_value("31")
    expect(page.locator("#txt2img_batch_size input[type=number]")).to_have_attribute("max", "24")
    set_number(page, "cfg_scale", 9.5)
    open_page(page, "defaults")
    expect(page.locator("#defaults_changes")).to_contain_text("CFG Scale")
    expect(page.locator("#defaults_own")).to_contain_text("Sampling steps")
    expect(page.get_by_text("it is none of the control's choices")).to_be_visible()
    page.click("#defaults_apply")
    page.wait_for_function("() => !document.querySelector('#defaults_changes')")
    assert written(server.data_dir, "ui-config.json")["txt2img/CFG Scale/value"] == 9.5

    # A new browser starts with it, and a reset takes it away again.
    page.evaluate("() => localStorage.clear()")
    visit(page, server.url)
    expect(page.locator("#txt2img_cfg_scale input[type=number]")).to_have_value("9.5")
    open_page(page, "defaults")
    page.locator("#defaults_own tr", has_text="CFG Scale").get_by_role("button").click()
    page.wait_for_function("() => !document.querySelector('#defaults_own')")
    assert "txt2img/CFG Scale/value" not in written(server.data_dir, "ui-config.json")
    assert watched.problems == []


@pytest.mark.long
def test_the_styles_dialog(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    page.fill(PROMPT, "a cat")
    page.click("#txt2img_styles_edit_button")
    page.fill("#txt2img_styles_edit_select", "Photo")
    expect(page.locator("#txt2img_edit_style_prompt")).to_have_value("photo of {prompt}")
    page.click("#txt2img_style_apply_dialog")
    expect(page.locator(PROMPT)).to_have_value("photo of a cat")
    expect(page.locator(NEGATIVE)).to_have_value("drawing")

    page.fill("#txt2img_styles_edit_select", "#no")
    page.click("#txt2img_edit_style_save")
    expect(page.locator("#txt2img_styles_dialog output.error")).to_contain_text("does not begin with #")
    page.fill("#txt2img_styles_edit_select", "Mine")
    page.click("#txt2img_style_copy")
    page.click("#txt2img_edit_style_save")
    expect(page.locator("#txt2img_styles_dialog output")).to_have_text("Saved.")
    lines = (server.data_dir / "styles.csv").read_text("utf-8-sig").splitlines()
    assert lines[1:] == ["Photo,photo of {prompt},drawing", "Mine,photo of a cat,drawing"]
    page.keyboard.press("Escape")
    page.click("#txt2img_styles input")
    page.get_by_role("option", name="Mine").click()
    page.click("#txt2img_styles_edit_button")
    expect(page.locator("#txt2img_styles_edit_select")).to_have_value("Mine")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#txt2img_edit_style_delete")
    expect(page.locator("#txt2img_styles_dialog output")).to_have_text("Deleted.")
    page.click("#txt2img_edit_style_close")
    expect(page.locator("#txt2img_styles .token")).to_have_count(0)
    assert "Mine" in (server.data_dir / "styles.csv.bak").read_text("utf-8-sig")
    assert [problem for problem in watched.problems if "422" not in problem] == []


@pytest.mark.long
def test_styles_of_several_files_stand_under_their_names(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("name,prompt,negative_prompt\nPhoto,photo of {prompt},\n", "utf-8")
    (tmp_path / "painters.csv").write_text("name,prompt,negative_prompt\nOil,oil painting,\n", "utf-8")
    page = watched.page
    with Server(tmp_path, "--styles-file", "styles.csv", "--styles-file", "p*.csv", module=FAKE_ENGINE) as server:
        visit(page, server.url)
        page.click("#txt2img_styles input")
        options = page.locator("#txt2img_styles [role=option]")
        listed = [text.strip(" ✓\n-") for text in options.all_inner_texts()]
        assert listed == ["styles.csv", "Photo", "painters.csv", "Oil"]
        # By the keyboard as well, a line that names a file is nothing to be picked.
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        options.filter(has_text="Oil").click()
        expect(page.locator("#txt2img_styles .token")).to_have_text([re.compile("Oil")])
        page.fill(PROMPT, "a cat")
        page.click("#txt2img_style_apply")
        expect(page.locator(PROMPT)).to_have_value("a cat, oil painting")
        # A file that is no table of styles is named, and the others are still there.
        (tmp_path / "poor.csv").write_text("model,price\nA,1\n")
        page.click("#txt2img_styles_edit_button")
        expect(page.locator("#txt2img_styles_dialog output.error")).to_contain_text("poor.csv has no column `name`")
        page.fill("#txt2img_styles_edit_select", "Oil")
        expect(page.locator("#txt2img_edit_style_prompt")).to_have_value("oil painting")
    assert watched.problems == []


@pytest.mark.long
def test_the_system_page_and_a_page_built_anew(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    open_page(page, "system")
    expect(page.locator("#settings_content")).to_contain_text("Ready: a fake, int8.")
    expect(page.locator("#settings_content")).to_contain_text("Building the page")
    open_page(page, "actions")
    page.click("#action_unload_checkpoint")
    expect_toast(page, "The checkpoint is being unloaded.")

    # What the engine warns of, where the settings ask for it.
    change_settings(page, {"show_warnings": True})
    open_tab(page, "txt2img")
    generate(page, "warns of something")
    expect_toast(page, "the fake is only a fake")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken: 0.1 sec.")
    expect(page.locator("#html_log_txt2img")).to_contain_text("A: 1.23 GB, Sys: 2.0/8.0 GB (25%)")
    open_page(page, "actions")

    # Tabs are moved and hidden without a restart; whoever has the page open gets the new one.
    body = json.dumps({"values": {"ui_tab_order": ["PNG Info"], "hidden_tabs": ["Extras"]}})
    headers = {"Content-Type": "application/json"}
    page.evaluate("([body, headers]) => fetch('internal/settings', { method: 'POST', headers, body })", [body, headers])
    other = watched.page.context.new_page()
    visit(other, server.url)
    page.click("#action_reload_ui")
    for one in (page, other):
        expect(one.locator("#tabs > .tab-wrapper [role=tab]:visible").first).to_have_text("PNG Info", timeout=30_000)
        assert "Extras" not in one.locator("#tabs > .tab-wrapper [role=tab]:visible").all_inner_texts()
    assert watched.problems == []


@pytest.mark.long
def test_the_page_in_german(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"localization": "de_DE", "hires_fix_show_prompts": true}')
    page = watched.page
    with Server(tmp_path, module=FAKE_ENGINE) as server:
        visit(page, server.url)
        expect(page.locator("#txt2img_generate")).to_have_text("Erzeugen")
        expect(page.locator(PROMPT)).to_have_attribute("placeholder", re.compile("^Prompt\n.Strg.Eingabe erzeugt"))
        expect(page.locator("#txt2img_clear_prompt")).to_have_attribute("title", "Prompt leeren")
        for name in page.locator("#tabs > .tab-wrapper [role=tab]:visible").all_inner_texts():
            open_tab(page, name.strip())
        for name in ("defaults", "actions", "system", "options"):
            page.click(f"#settings_page_{name}")
            page.wait_for_selector(".settings-page > *")
        # Sentences with something filled in, and words found in the other language.
        page.fill("#settings_search", "qualität von jpeg")
        page.fill("#option_jpeg_quality", "101")
        page.click("#settings_apply")
        expect(page.get_by_text("Die Einstellung jpeg_quality nimmt von 1 bis 100, nicht 101.")).to_be_visible()
        open_tab(page, "txt2img")
        # Entries of lists are shown translated, and sent in English: the script's controls appear.
        scripts = page.locator("#txt2img_script_list input")
        expect(scripts).to_have_value("Keine")
        scripts.click()
        page.get_by_role("option", name="X/Y/Z", exact=False).click()
        expect(page.locator("#script_txt2img_x_y_z_plot")).to_be_visible()
        page.click("#txt2img_styles_edit_button")
        expect(page.locator("#txt2img_styles_dialog")).to_contain_text("Negativer Prompt")
        left = page.evaluate("() => window.webui.untranslated()")
    names = {*sampler_labels(), *schedule_labels(), *LATENT_UPSCALE_MODES, *OPTIONS}
    names |= {choice for option in OPTIONS.values() for choice in option.choices} | {
        "Sync",
        "Styles changed",
        "Files changed",
        "Use checkpoint",
    }
    # Of what is hidden, Gradio's own names.
    names |= {"Textbox", "Number", "Radio", "Nearest", "CodeFormer", "GFPGAN"}
    data = re.compile(r"(demo-emoji|other)\.safetensors.*|a fake.*|[\d.]+(\+cpu)?|[a-z0-9_]+|Linux.*|.*/.*|--.*|de_DE")
    missing = [text for text in left if text not in names and not data.fullmatch(text)]
    assert not missing, f"localizations/de_DE.json lacks, or the page should mark as foreign: {json.dumps(missing)}"
