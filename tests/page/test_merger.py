"""The Checkpoint Merger's values on their way to a job, and what its buttons fill in."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from modules.catalogue import Catalogue, ModelFolders
from modules.page.merger_events import (
    extract_request,
    merge_request,
    metadata_box,
    preset_weights,
    submitter,
    weight_lines,
)
from modules.page.merger_tab import Choices, Merger, build_merger
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.block_weights import read_block_weights
from modules.parameters.merger_request import BakedLora, ExtractRequest, MergeRequest
from tests.weights.test_merging import write

CHOICES = Choices([("a", "a.safetensors [1]")], ["mse.pt"], ["pen.safetensors", "ink.safetensors"])


@pytest.fixture(scope="module")
def tab() -> Merger:
    with gr.Blocks():
        return build_merger(CHOICES)


def values_of(controls: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    return (
        {name: getattr(control, "value", None) for name, control in controls.items()},
        {name: str(control.label) for name, control in controls.items()},
    )


def test_the_tab_starts_with_the_defaults_of_the_requests(tab: Merger) -> None:
    assert merge_request(*values_of(tab.merging)) == MergeRequest()
    assert extract_request(*values_of(tab.extracting)) == ExtractRequest()


def test_values_become_a_request(tab: Merger) -> None:
    values, labels = values_of(tab.merging)
    values |= {"primary_model_name": "a", "secondary_model_name": "b", "multiplier": 0.5, "save_as": "bfloat16"}
    values |= {
        "loras": ["pen.safetensors", "ink.safetensors"],
        "lora_weights": "ink.safetensors: -1\n\npen.safetensors:0.5",
    }
    request = merge_request(values, labels)
    assert request.models == ("a", "b") and request.save_as == "bfloat16" and request.multiplier == 0.5
    assert request.loras == (
        BakedLora(name="pen.safetensors", weight=0.5),
        BakedLora(name="ink.safetensors", weight=-1),
    )
    plain = merge_request(values | {"lora_weights": None}, labels)
    assert [lora.weight for lora in plain.loras] == [1, 1]


def test_each_lora_has_a_line_with_its_weight() -> None:
    lines = weight_lines(["a: b.pt", "ink.pt"], "ink.pt: 0.5\ngone.pt: 3")
    assert lines == "a: b.pt: 1\nink.pt: 0.5"
    assert weight_lines(["ink.pt"], lines) == "ink.pt: 0.5" and weight_lines(None, lines) == ""


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"multiplier": None}, "Multiplier (M) - set to 0 to get model A is None: input should be a valid number."),
        ({"block_weights": "1,2"}, "Block weights is '1,2': there are 2 numbers where 25"),
        ({"discard_weights": "("}, "Discard weights with matching name is '(': it is no regular expression"),
        ({"metadata_json": "{"}, "Metadata in JSON format is '{': it is no JSON."),
        ({"loras": ["pen"], "lora_weights": "ink: 2"}, "Weights of the LoRAs: 'ink' is none of the LoRAs that are"),
        ({"loras": ["pen"], "lora_weights": "pen: x"}, "Weights of the LoRAs: 'x' for 'pen' is no number."),
    ],
)
def test_a_value_that_means_nothing_is_named_with_its_control(
    tab: Merger, changed: dict[str, Any], sentence: str
) -> None:
    values, labels = values_of(tab.merging)
    with pytest.raises(RequestError) as refused:
        merge_request(values | changed, labels)
    assert str(refused.value).startswith(sentence) and "\n" not in str(refused.value)


def test_merge_queues_a_job_of_this_browser_and_says_why_not(tab: Merger) -> None:
    queued: list[tuple[GenerationRequest, str | None]] = []

    def submit(request: GenerationRequest, client: str | None, user: str | None) -> SimpleNamespace:
        if request.merger is not None and request.merger.custom_name == "taken":
            raise RequestError("It is there already.")
        queued.append((request, client))
        return SimpleNamespace(id="7")

    services: Any = SimpleNamespace(jobs=SimpleNamespace(submit=submit))
    values, _ = values_of(tab.merging)
    press = submitter(tab.merging, merge_request, services)
    assert json.loads(press(gr.Request(username=None), *values.values(), "me")) == {"id": "7"}
    ((request, client),) = queued
    assert request.mode == "modelmerger" and request.merger == MergeRequest() and client == "me"
    values["custom_name"] = "taken"
    assert json.loads(press(gr.Request(username=None), *values.values(), "me")) == {"error": "It is there already."}


def test_a_preset_fills_in_its_numbers() -> None:
    assert read_block_weights(preset_weights("GRAD_A"))["M00"] == 1 and preset_weights("None") == ""


def test_metadata_of_the_chosen_checkpoints_are_read_together(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", 0, metadata={"author": "a", "of a": "1"})
    write(tmp_path / "b.safetensors", 1, metadata={"author": "b"})
    (tmp_path / "broken.safetensors").write_bytes(b'12345678{"x": 1')
    services: Any = SimpleNamespace(
        catalogue=Catalogue(ModelFolders(checkpoints=(tmp_path,)), tmp_path / "hashes.json")
    )
    text, said = metadata_box(services, ("a", None, "b"))
    assert json.loads(text) == {"author": "b", "of a": "1"} and said == ""
    text, said = metadata_box(services, ("a", "broken", ""))
    assert json.loads(text)["author"] == "a" and "broken.safetensors" in json.loads(said)["text"]
