"""What happens on the Checkpoint Merger tab: its values become a job of the queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import gradio as gr
from pydantic import BaseModel, ValidationError

from modules.catalogue import ModelFileError, ModelNotFoundError
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.jobs.job import JobError
from modules.page.controls import Controls, events_of
from modules.page.file_lists import FileList
from modules.page.merger_tab import MODE, NO_PRESET, Choices, Merger
from modules.page.messages import QUICK, SAY, message, refusal, unusable
from modules.page.option_choices import checkpoint_choices
from modules.page.viewers import pressed_by
from modules.parameters import RequestError
from modules.parameters.block_weights import PRESETS, write_block_weights
from modules.parameters.merger_request import NO_VAE, ExtractRequest, MergeRequest, MergerRequest
from modules.parameters.request import merger_job

if TYPE_CHECKING:
    from modules.jobs.services import Services

_MODELS: Final = ("primary_model_name", "secondary_model_name", "tertiary_model_name")


def merger_choices(services: Services) -> Choices:
    """What the tab's lists offer now."""
    catalogue = services.catalogue
    return Choices(
        checkpoint_choices(services),
        [entry.name for entry in catalogue.vaes()],
        [entry.name for entry in catalogue.loras()],
    )


def merger_lists(tab: Merger, services: Services) -> list[FileList]:
    """The tab's controls that offer files."""
    models = [*(tab.merging[name] for name in _MODELS), tab.extracting["tuned"], tab.extracting["original"]]
    return [
        *(FileList(one, lambda: merger_choices(services).checkpoints) for one in models),
        FileList(tab.merging["bake_in_vae"], lambda: [NO_VAE, *merger_choices(services).vaes], NO_VAE),
        FileList(tab.merging["loras"], lambda: merger_choices(services).loras),
    ]


def wire_merger(tab: Merger, services: Services) -> None:
    """Connect the tab."""
    client = gr.Textbox("", visible="hidden", elem_id="modelmerger_client")
    submitted = gr.Textbox("", visible="hidden", elem_id="modelmerger_submitted")
    notice = gr.Textbox("", visible="hidden", elem_id="modelmerger_notice")
    for button, controls, make in (
        (tab.merge, tab.merging, merge_request),
        (tab.extract, tab.extracting, extract_request),
    ):
        button.click(
            submitter(controls, make, services),
            [*controls.values(), client],
            submitted,
            js=f"(...values) => window.webui.stamp(values, '{MODE}')",
            trigger_mode="multiple",
            # The raw values: our error names the control, Gradio's own would not.
            preprocess=False,
            **QUICK,
        ).then(None, submitted, None, js=f"(answer) => window.webui.submitted(answer, '{MODE}')")
    tab.interrupt.click(None, None, None, js="() => window.webui.interrupt()")
    tab.preset.input(preset_weights, tab.preset, tab.merging["block_weights"], **QUICK)
    weights = tab.merging["lora_weights"]
    loras = tab.merging["loras"]
    events_of(loras).change(weight_lines, [loras, weights], weights, preprocess=False, **QUICK)
    tab.read_metadata.click(
        lambda *names: metadata_box(services, names),
        [tab.merging[name] for name in _MODELS],
        [tab.merging["metadata_json"], notice],
        preprocess=False,
        **QUICK,
    ).then(None, notice, None, js=SAY)


def submitter(
    controls: Controls, make: Callable[[Mapping[str, Any], Mapping[str, str]], MergerRequest], services: Services
) -> Callable[..., str]:
    """The function behind Merge and Extract: the controls' values and the browser's id."""
    labels = {name: str(getattr(control, "label", "") or name) for name, control in controls.items()}

    def submit(pressed: gr.Request, *values: object) -> str:
        *fields, client = values
        try:
            request = merger_job(make(dict(zip(controls, fields, strict=True)), labels))
            sender = pressed_by(pressed, client)
            job = services.jobs.submit(request, client=sender.client, user=sender.user)
        except (RequestError, JobError) as error:
            return refusal(error)
        return json.dumps({"id": job.id})

    return submit


def merge_request(named: Mapping[str, Any], labels: Mapping[str, str]) -> MergeRequest:
    """What the controls ask for. Raises RequestError naming the control whose value can't be used."""
    values = _with_texts(named, MergeRequest())
    names, weights = values.pop("loras") or [], _weights(values.pop("lora_weights"), labels["lora_weights"])
    for name in weights.keys() - set(names):
        raise RequestError(f"{labels['lora_weights']}: {name[:80]!r} is none of the LoRAs that are chosen.")
    loras = [{"name": name, "weight": weights.get(name, 1.0)} for name in names]
    try:
        return MergeRequest.model_validate({**values, "loras": loras})
    except ValidationError as error:
        raise unusable(error, labels) from error


def weight_lines(names: list[str] | None, text: str | None) -> str:
    """A line with the weight of each chosen LoRA: those that are written already, 1 for the others."""
    written = dict(_lines(text))
    return "\n".join(f"{name}: {written.get(name, '1')}" for name in names or [])


def _weights(text: str | None, label: str) -> dict[str, float]:
    """The weights of LoRAs by name. Raises RequestError for a line without a number."""
    found: dict[str, float] = {}
    for name, weight in _lines(text):
        try:
            found[name] = float(weight)
        except ValueError as error:
            raise RequestError(f"{label}: {weight[:40]!r} for {name[:80]!r} is no number.") from error
    return found


def _lines(text: str | None) -> Iterator[tuple[str, str]]:
    """(name, what stands behind its last colon) of each line."""
    for line in (text or "").splitlines():
        name, _, weight = line.rpartition(":")
        if line.strip():
            yield name.strip(), weight.strip()


def extract_request(named: Mapping[str, Any], labels: Mapping[str, str]) -> ExtractRequest:
    """What the controls ask for. Raises RequestError naming the control whose value can't be used."""
    try:
        return ExtractRequest.model_validate(_with_texts(named, ExtractRequest()))
    except ValidationError as error:
        raise unusable(error, labels) from error


def _with_texts(named: Mapping[str, Any], start: BaseModel) -> dict[str, Any]:
    """The values, where Gradio has nothing for an empty text or list with an empty text."""
    return {
        name: "" if value is None and isinstance(getattr(start, name, None), str) else value
        for name, value in named.items()
    }


def preset_weights(name: str) -> str:
    """The numbers of a preset; none for "None"."""
    return "" if name == NO_PRESET else write_block_weights(PRESETS[name])


def metadata_box(services: Services, names: tuple[str | None, ...]) -> tuple[str, str]:
    """The metadata of the chosen checkpoints as JSON, later ones before earlier ones, and what can't be read."""
    merged: dict[str, str] = {}
    for name in filter(None, names):
        try:
            merged |= read_safetensors_metadata(services.catalogue.find_checkpoint(name).path)
        except (ModelNotFoundError, ModelFileError, OSError) as error:
            return json.dumps(merged, indent=4, ensure_ascii=False), message(str(error), "error")
    return json.dumps(merged, indent=4, ensure_ascii=False), ""
