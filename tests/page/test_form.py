"""The form's values: controls made from the declaration, requests made from values, and values brought back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from modules.jobs.services import Services
from modules.page.controls import element_id
from modules.page.form import EXTRA, OVERRIDES, REFINER, SEEDS, Form, request_from, stored_values
from modules.page.overrides import override_texts, overrides_from
from modules.page.page import build_page
from modules.page.paste import form_values
from modules.page.scripts import is_of_script
from modules.page.txt2img import MODE, build_txt2img
from modules.page.uploads import UploadStore
from modules.parameters import GenerationRequest, RequestError, declared_parameters, parameter_of
from modules.parameters.infotext import parse_infotext
from modules.settings import OptionStore, parse_flags
from tests.page.fakes import FakeCatalogue, open_services

# Gradio leaves an event loop open for each page it builds; see conftest.py.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

LATER = {"tiling", "restore_faces", "hr_cfg", "firstpass_image"}


@pytest.fixture
def services(tmp_path: Path) -> Any:
    return open_services(parse_flags(["--data-dir", str(tmp_path)], {}))


@pytest.fixture
def form(services: Any) -> Form:
    with gr.Blocks():
        return build_txt2img(services, folder_button=True).form


def test_every_declared_parameter_of_txt2img_has_a_control(form: Form) -> None:
    wanted = {one.name for one in declared_parameters(GenerationRequest) if MODE in one.parameter.modes}
    missing = wanted - set(form.names)
    assert missing == LATER


def test_controls_say_what_the_declaration_says(form: Form) -> None:
    checked = 0
    for name, control in form.controls.items():
        if name in (EXTRA, REFINER) or is_of_script(name):
            continue
        about = parameter_of(GenerationRequest, name).parameter
        assert control.label == about.label
        assert control.elem_id == element_id(name, MODE)
        if isinstance(control, gr.Slider):
            assert (control.minimum, control.maximum, control.step) == (about.minimum, about.maximum, about.step)
            assert control.value == parameter_of(GenerationRequest, name).default_for(MODE)
            checked += 1
    assert checked >= 9


def test_an_untouched_form_asks_for_the_defaults(form: Form) -> None:
    values = [control.value for control in form.components]
    assert form.request(values) == GenerationRequest()


def test_no_event_keeps_a_loading_status(services: Any, tmp_path: Path) -> None:
    """Gradio tells each status of an event to every component that any event shows progress on."""
    page = build_page(services, UploadStore(tmp_path), folder_button=True)
    asking = [event for event in page.fns.values() if event.fn is not None]
    assert len(asking) > 20
    assert [event.api_name for event in asking if event.show_progress_on != []] == []


def test_no_control_belongs_to_two_events_of_which_the_last_counts(services: Any, tmp_path: Path) -> None:
    """Gradio fires all events of a control again when one of them has waited: two would fire each other for ever."""
    page = build_page(services, UploadStore(tmp_path), folder_button=True)
    waiting = [event for event in page.fns.values() if event.fn is not None and event.trigger_mode == "always_last"]
    targets = Counter(target for event in waiting for target in event.targets)
    assert len(targets) > 20
    shared = [block for (block, _), count in targets.items() if count > 1]
    assert [page.blocks[block].elem_id for block in shared if block in page.blocks] == []


def test_the_page_has_a1111s_element_ids(services: Any, tmp_path: Path) -> None:
    page = build_page(services, UploadStore(tmp_path), folder_button=True)
    ids = {block.elem_id for block in page.blocks.values()}
    expected = [
        "txt2img_prompt",
        "txt2img_neg_prompt",
        "txt2img_generate",
        "txt2img_interrupt",
        "txt2img_skip",
        "txt2img_steps",
        "txt2img_sampling",
        "txt2img_scheduler",
        "txt2img_width",
        "txt2img_height",
        "txt2img_res_switch_btn",
        "txt2img_batch_count",
        "txt2img_batch_size",
        "txt2img_cfg_scale",
        "txt2img_seed",
        "txt2img_random_seed",
        "txt2img_reuse_seed",
        "txt2img_subseed_show",
        "txt2img_subseed",
        "txt2img_subseed_strength",
        "txt2img_gallery",
        "html_info_txt2img",
        "txt2img_styles",
        "txt2img_token_counter",
        "txt2img_negative_token_counter",
        "setting_sd_model_checkpoint",
        "tabs",
        "tab_txt2img",
        "quicksettings",
        "txt2img_script_list",
    ]
    assert [name for name in expected if name not in ids] == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seed": "abc"}, "Seed is 'abc'"),
        ({"seed": str(2**70)}, "Seed is"),
        ({"steps": 0}, "Sampling steps is 0"),
        ({"steps": None}, "Sampling steps is empty"),
        ({"width": 100}, "Width is 100: it must be a multiple of 8"),
        ({"width": 10**9}, "Width is"),
        ({"cfg_scale": float("nan")}, "CFG Scale is nan"),
        ({"prompt": "x" * 1_000_001}, "Prompt is"),
        ({OVERRIDES: ["Nonsense: 3"]}, "names no setting"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_control(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError) as refusal:
        request_from(MODE, values)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


def test_variation_counts_only_while_extra_is_ticked() -> None:
    values = {"subseed": "5", "subseed_strength": 0.4, "seed_resize_from_w": 256}
    assert request_from(MODE, {**values, EXTRA: False}) == GenerationRequest()
    ticked = request_from(MODE, {**values, EXTRA: True})
    assert (ticked.subseed, ticked.subseed_strength, ticked.seed_resize_from_w) == (5, 0.4, 256)


def test_the_refiner_counts_only_while_its_box_is_ticked() -> None:
    values = {"refiner_checkpoint": "a", "refiner_switch_at": 0.4}
    assert request_from(MODE, {**values, REFINER: False}) == GenerationRequest()
    ticked = request_from("img2img", {**values, REFINER: True})
    assert (ticked.refiner_checkpoint, ticked.refiner_switch_at, ticked.has_refiner) == ("a", 0.4, True)


@given(st.integers(-1, 2**64 - 1))
def test_seeds_keep_every_digit(seed: int) -> None:
    assert request_from(MODE, {"seed": f" {seed} "}).seed == seed


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_whatever_lies_in_the_browser_is_never_an_error(text: str) -> None:
    assert isinstance(stored_values(text, ("prompt", "steps", EXTRA, *SEEDS)), dict)


def test_stored_values_come_back_and_broken_ones_are_forgotten() -> None:
    stored = {
        "prompt": "a",
        "steps": 33,
        "width": 3,
        "seed": "7",
        EXTRA: True,
        "gone": 1,
        OVERRIDES: ["a"],
        "styles": 3,
    }
    names = ("prompt", "steps", "width", "seed", EXTRA, OVERRIDES, "styles")
    accepted = stored_values(json.dumps(stored), names)
    assert accepted == {"prompt": "a", "steps": 33, "seed": "7", EXTRA: True, OVERRIDES: ["a"]}


def test_override_texts_go_both_ways() -> None:
    overrides: dict[str, JsonValue] = {
        "CLIP_stop_at_last_layers": 2,
        "randn_source": "NV",
        "eta_noise_seed_delta": 31337,
    }
    texts = override_texts(overrides)
    assert texts[0] == "Clip skip: 2"
    assert overrides_from(texts) == overrides


INFOTEXT = (
    "a lighthouse, (storm:1.2)\nNegative prompt: blurry\nSteps: 28, Sampler: Euler a, Schedule type: Karras, "
    "CFG scale: 6.5, Seed: 18446744073709551615, Size: 640x384, Variation seed: 55, Variation seed strength: 0.15, "
    "Clip skip: 2, Version: v1.10.1"
)


def test_an_infotext_fills_the_form_and_asks_for_the_same_again(services: Any, form: Form) -> None:
    values, _ = form_values(services, INFOTEXT)
    assert values["seed"] == "18446744073709551615"
    assert values[EXTRA] is True
    assert values[OVERRIDES] == ["Clip skip: 2"]
    request = request_from(MODE, {name: value for name, value in values.items() if name in form.names})
    assert (request.steps, request.sampler_name, request.scheduler) == (28, "Euler a", "Karras")
    assert (request.width, request.height, request.cfg_scale, request.subseed) == (640, 384, 6.5, 55)
    assert request.override_settings == {"CLIP_stop_at_last_layers": 2}


def test_an_old_version_is_followed_unless_the_settings_say_otherwise(services: Any) -> None:
    old = "a [cat:dog:0.5]\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Version: v1.5.1"
    overrides = form_values(services, old)[0][OVERRIDES]
    assert isinstance(overrides, list) and any("Old prompt editing" in text for text in overrides)
    services.options.update({"auto_backcompat": False})
    assert not form_values(services, old)[0][OVERRIDES]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("chosen", ["", "demo-emoji.safetensors"])
def test_a_picture_of_the_loaded_checkpoint_needs_no_word_about_it(services: Any, chosen: str, swap: bool) -> None:
    """Nobody has chosen yet, or the title was stored before the file was hashed; what is loaded counts."""
    services.options.update({"sd_model_checkpoint": chosen, "disable_weights_auto_swap": not swap})
    line = "a cat\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 64x64, Model hash: {}, Model: {}"
    for hashed in ("0123456789", "0123456789abcdef"[:8]):
        values, notices = form_values(services, line.format(hashed, "demo-emoji"))
        assert (values[OVERRIDES], notices) == ([], ())
    values, notices = form_values(services, line.format("aaaaaaaaaa", "other"))
    assert bool(values[OVERRIDES]) is swap and bool(notices) is not swap


def test_a_plain_prompt_is_only_a_prompt(services: Any) -> None:
    values, notices = form_values(services, "just a prompt")
    assert values["prompt"] == "just a prompt"
    assert "steps" not in values and notices == ()
    assert parse_infotext("just a prompt")["Prompt"] == "just a prompt"


def test_a_page_can_be_built_without_any_checkpoint(tmp_path: Path) -> None:
    full = open_services(parse_flags(["--data-dir", str(tmp_path)], {}))

    class Empty(FakeCatalogue):
        def checkpoints(self) -> tuple[()]:
            return ()

    empty = SimpleNamespace(**{**vars(full), "catalogue": Empty(), "options": OptionStore(tmp_path / "config.json")})
    empty.current_checkpoint = lambda: None
    assert build_page(cast(Services, empty), UploadStore(tmp_path), folder_button=False) is not None
