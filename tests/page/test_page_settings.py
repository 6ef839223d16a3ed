"""What settings make of the page: its order, the controls above and in the tabs, its defaults, and what is locked."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.api.options import option_routes
from modules.jobs.job import EngineStatus
from modules.page.defaults import PageDefaults
from modules.page.layout import layout_of
from modules.page.option_choices import TABS
from modules.page.page import build_page
from modules.page.paste import form_values
from modules.page.process import ServerProcess
from modules.page.settings_tab import settings_routes
from modules.page.system_page import system_routes
from modules.page.theme import create_theme
from modules.page.uploads import UploadStore
from modules.prompt import Style
from modules.protocol import MachineFacts
from modules.server.serve import wants_browser
from modules.settings import Flags, OptionStore, frozen_keys, parse_flags
from tests.page.fakes import any_visitor, open_services

# Gradio leaves an event loop unclosed for each page it builds; see conftest.py.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")

CONFIG = {
    "quicksettings_list": ["sd_vae", "no_such", "CLIP_stop_at_last_layers", "eta_noise_seed_delta", "tiling"],
    "ui_tab_order": ["PNG Info", "img2img"],
    "hidden_tabs": ["Extras"],
    "ui_reorder_list": ["seed", "cfg"],
    "samplers_in_dropdown": False,
    "dimensions_and_batch_together": False,
    "compact_prompt_box": True,
    "extra_options_txt2img": ["eta_ancestral", "no_such"],
    "postprocessing_enable_in_main_ui": ["Upscale", "Caption"],
}
UI_CONFIG = {
    "customscript/sampler.py/txt2img/Sampling steps/value": 33,
    "customscript/seed.py/txt2img/Seed/value": 7,
    "txt2img/Width/value": 768,
    "img2img/Width/value": 512,
    "txt2img/Batch size/maximum": 32,
    "txt2img/Styles/visible": False,
    "img2img/Masked content/value": "latent noise",
    "txt2img/Upscaler/value": "Gone",
    "customscript/sd_upscale.py/img2img/Tile overlap/value": 96,
    "customscript/outpainting_mk_2.py/img2img/Mask blur/maximum": 32,
    "customscript/xyz_grid.py/txt2img/Y type/value": "Steps",
    "webui/Tabs@tabs/selected": "img2img",
}


def services_of(folder: Path, *words: str) -> Iterator[Any]:
    opened = open_services(parse_flags(["--data-dir", str(folder), *words], {}))
    yield opened
    opened.jobs.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from services_of(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[gr.Blocks, PageDefaults]]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "ui-config.json").write_text(json.dumps(UI_CONFIG))
    for services in services_of(folder):
        defaults = PageDefaults(services.paths.ui_config_file)
        yield build_page(services, UploadStore(folder / "uploads"), defaults, folder_button=True), defaults


def element(page: gr.Blocks, name: str) -> Any:
    return next(one for one in page.blocks.values() if one.elem_id == name)


def names(block: Any) -> list[str]:
    return [child.elem_id or type(child).__name__ for child in block.children]


def test_tabs_in_the_order_that_was_set(built: tuple[gr.Blocks, PageDefaults]) -> None:
    tabs = element(built[0], "tabs")
    labels = [tab.label for tab in tabs.children]
    assert labels[:3] == ["PNG Info", "img2img", "txt2img"] and set(labels) == set(TABS)
    assert [tab.label for tab in tabs.children if tab.visible is False] == ["Extras"]
    assert tabs.selected == "img2img", "as ui-config.json says"


def test_groups_of_controls_in_the_order_that_was_set(built: tuple[gr.Blocks, PageDefaults]) -> None:
    settings = names(element(built[0], "txt2img_settings"))
    assert settings[:3] == ["txt2img_toprow", "txt2img_seed_row", "txt2img_seed_extras"]
    assert settings.index("txt2img_column_batch") > settings.index("sampler_selection_txt2img")
    assert isinstance(element(built[0], "txt2img_sampling"), gr.Radio)


def test_settings_above_the_tabs_have_controls_of_their_kind(built: tuple[gr.Blocks, PageDefaults]) -> None:
    kinds = {
        "sd_vae": gr.Dropdown,
        "CLIP_stop_at_last_layers": gr.Slider,
        "eta_noise_seed_delta": gr.Number,
        "tiling": gr.Checkbox,
    }
    for key, kind in kinds.items():
        assert isinstance(element(built[0], f"setting_{key}"), kind)
    # Operations of Extras, on the tabs that make pictures.
    assert isinstance(element(built[0], "script_img2img_upscale_upscaler_1_name"), gr.Dropdown)
    assert not [one for one in built[0].blocks.values() if str(one.elem_id).startswith("script_txt2img_gfpgan")]
    # Not in the order, but what events are wired to.
    assert "unseen" in element(built[0], "setting_sd_model_checkpoint").parent.parent.elem_classes
    assert isinstance(element(built[0], "txt2img_option_eta_ancestral"), gr.Slider)


def test_ui_config_of_a1111_is_put_into_the_controls(built: tuple[gr.Blocks, PageDefaults]) -> None:
    page, defaults = built
    assert element(page, "txt2img_steps").value == 33 and element(page, "txt2img_seed").value == "7"
    assert element(page, "txt2img_batch_size").maximum == 32 and element(page, "txt2img_styles").visible == "hidden"
    assert element(page, "img2img_inpainting_fill").value == 2, "the third choice"
    assert element(page, "script_img2img_sd_upscale_overlap").value == 96
    assert element(page, "script_img2img_outpainting_mk2_mask_blur").maximum == 32
    assert element(page, "img2img_mask_blur_x").maximum == 64, "it has the same label"
    assert element(page, "script_txt2img_x_y_z_plot_y_type").value == "Steps"
    # A size that the file gives goes before the checkpoint's; the declared default, which A1111 writes, gives none.
    assert element(page, "txt2img_width").value == 768 and element(page, "img2img_width").value == 128
    assert [text for text in defaults.notices if "txt2img/Upscaler/value is 'Gone'" in text]
    labels = {(known.place.tab, known.place.label) for known, _, _ in defaults.own()}
    assert labels >= {("txt2img", "Sampling steps"), ("txt2img", "Batch size"), ("txt2img", "Styles")}
    assert ("img2img", "Width") not in labels


def test_another_layout_has_another_name(built: tuple[gr.Blocks, PageDefaults], plain: Any, tmp_path: Path) -> None:
    other = build_page(plain, UploadStore(tmp_path), folder_button=True)
    assert layout_of(built[0]) and layout_of(other) and layout_of(built[0]) != layout_of(other)


def settings_client(folder: Path, *words: str) -> tuple[TestClient, Any]:
    flags = parse_flags(["--data-dir", str(folder), *words], {})
    services = open_services(flags)
    services.jobs.close()
    services.options = OptionStore(services.paths.config_file, frozen=frozen_keys(flags))
    app = FastAPI()
    app.include_router(settings_routes(services, any_visitor))
    app.include_router(option_routes(services))
    return TestClient(app), services


def test_what_a_flag_has_frozen_is_marked_and_refused(tmp_path: Path) -> None:
    client, services = settings_client(
        tmp_path, "--freeze-settings-in-sections", "VAE", "--freeze-specific-settings", "tiling", "--hide-ui-dir-config"
    )
    sections = {section["section"]: section["options"] for section in client.get("/internal/settings").json()}
    assert "saving-paths" not in sections
    frozen = {one["key"] for options in sections.values() for one in options if one["frozen"]}
    assert {"tiling", "sd_vae"} <= frozen and "samples_format" not in frozen
    refused = client.post("/internal/settings", json={"values": {"tiling": True, "samples_format": "jpg"}})
    assert refused.status_code == 422 and "tiling is frozen by a command line flag" in refused.json()["detail"]
    assert services.options.changed_from_default() == ()
    refused = client.post("/sdapi/v1/options", json={"tiling": True, "samples_format": "jpg"})
    assert refused.status_code == 422 and "tiling is frozen" in refused.text
    back = client.post("/sdapi/v1/options", json=client.get("/sdapi/v1/options").json())
    assert back.status_code == 200, back.text
    assert "tiling" not in services.options.changed_from_default()
    answer = client.post("/internal/settings", json={"values": {"samples_format": "jpg", "hidden_tabs": ["Extras"]}})
    assert answer.json() == {"changed": ["samples_format", "hidden_tabs"], "needs": ["nothing", "reload UI"]}
    assert client.post("/internal/settings", json={"reset": ["samples_format"]}).json()["changed"] == ["samples_format"]


@pytest.mark.parametrize(
    ("key", "value", "loads"),
    [("sd_model_checkpoint", "other.safetensors [aaaaaaaaaa]", True), ("sd_vae", "None", True),
     ("fp8_storage", "Enable", True), ("cross_attention_optimization", "V1", False), ("tiling", True, False)],
)  # fmt: skip
def test_a_changed_model_is_loaded_at_once(tmp_path: Path, key: str, value: object, loads: bool) -> None:
    client, services = settings_client(tmp_path)
    assert services.jobs.loaded is not None
    assert client.post("/internal/settings", json={"values": {key: value}}).json()["changed"] == [key]
    # The fake records what it was to load: None stands for what the settings choose.
    assert (services.jobs.loaded is None) == loads


@pytest.mark.parametrize(
    ("rule", "prompt", "styles"),
    [
        ("Apply if any", "a cat", ["Oil"]),
        ("Apply", "a cat", ["Oil"]),
        ("Discard", "a cat", None),
        ("Ignore", "a cat, oil painting", None),
    ],
)
def test_styles_in_pasted_parameters(plain: Any, rule: str, prompt: str, styles: list[str] | None) -> None:
    plain.styles.save(Style("Oil", "oil painting"))
    plain.options.update({"infotext_styles": rule})
    values, _ = form_values(plain, "a cat, oil painting\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 64x64")
    assert values["prompt"] == prompt and values.get("styles") == styles


def test_themes_by_name() -> None:
    assert isinstance(create_theme("gradio/soft"), gr.themes.Soft)
    assert type(create_theme("somebody/elses")) is type(create_theme()) is gr.themes.Default


def test_the_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not wants_browser(Flags(), "Local") and wants_browser(Flags(autolaunch=True), "Disable")
    monkeypatch.setenv("DISPLAY", ":0")
    assert wants_browser(Flags(), "Local") and not wants_browser(Flags(), "Disable")
    assert not wants_browser(Flags(listen=True), "Local") and wants_browser(Flags(listen=True), "Remote")
    assert not wants_browser(Flags(nowebui=True), "Remote")


class EngineOnly:
    """A job service of which only the engine's state is read."""

    def engine(self) -> EngineStatus:
        facts = MachineFacts(
            device="cuda:0",
            device_name="RTX 3060",
            unet_dtype="float16",
            vae_dtype="float32",
            text_dtype="float16",
            dtype_why="its VAE in fp32 as --no-half-vae asks",
            attention="sdp",
            attention_why="the card has a kernel for it",
            channels_last=True,
            threads=8,
            memory_mode="medvram",
            memory_why="2.1 GB free, 3.6 GB wanted",
            free_memory=2_100_000_000,
            total_memory=12_000_000_000,
            weights=2_130_000_000,
        )
        return EngineStatus("ready", "Ready.", "cat", "RTX 3060 in fp16", 7, facts=facts)


def test_the_system_page_says_what_was_chosen_and_why_and_no_secret(tmp_path: Path) -> None:
    _, services = settings_client(tmp_path, "--gradio-auth", "me:geheim", "--api-auth", "you:verraten", "--medvram")
    services.jobs = EngineOnly()
    process = ServerProcess()
    with process.profile.step("Building the page"):
        process.log.emit(logging.LogRecord("x", logging.WARNING, "", 0, "a file was set aside", None, None))
    app = FastAPI()
    app.include_router(system_routes(services, process, any_visitor))
    client = TestClient(app)
    answer = client.get("/internal/system").json()
    facts = {title: dict(part["facts"]) for part in answer["sections"] for title in [part["title"]]}
    chosen = facts["What was chosen, and why"]
    assert chosen["Memory mode"] == "medvram: 2.1 GB free, 3.6 GB wanted"
    assert chosen["Its memory"] == "2.1 of 12.0 GB free" and chosen["Device"] == "RTX 3060 (cuda:0)"
    assert chosen["Precision"].endswith("its VAE in fp32 as --no-half-vae asks") and "kernel" in chosen["Attention"]
    assert facts["Folders and flags"]["Flags that are set"] == "--data-dir, --medvram, --gradio-auth, --api-auth"
    assert "Building the page" in facts["Start of the server"]
    assert answer["logs"][0]["lines"][0].endswith("WARNING a file was set aside")
    everything = client.get("/internal/system").text + client.get("/internal/system-report").text
    assert "geheim" not in everything and "verraten" not in everything
    assert client.post("/internal/actions/dance").status_code == 404
