"""The Checkpoint Merger tab: A1111's controls, and ours for block weights, LoRAs, and extracting a LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.page.controls import Controls, tool_button
from modules.page.results import LIVE, MESSAGE
from modules.parameters.block_weights import PRESETS
from modules.parameters.merger_request import (
    ADD_DIFFERENCE,
    CONFIG_SOURCES,
    NO_INTERPOLATION,
    NO_VAE,
    WEIGHTED_SUM,
    ExtractRequest,
    MergeRequest,
)

MODE: Final = "modelmerger"
NO_PRESET: Final = "None"
_ABOUT: Final = (
    "<p>Weighted sum: A * (1 - M) + B * M. Add difference: A + (B - C) * M. "
    "No interpolation: A, converted or with a VAE baked in. An inpainting or instruct-pix2pix model has to be A.</p>"
)
_FORMAT: Final = "<p>No .ckpt is written: such a file may hold code, and safetensors lacks nothing that it has.</p>"
_BLOCKS: Final = (
    "<p>25 numbers are IN00 to IN11, M00, OUT00 to OUT11, each in M's place for its block; "
    "with 26 the first one is BASE, for all outside the UNet. For SDXL 19 or 20.</p>"
)
_LORAS: Final = "<p>A line for each of them: its name, a colon and its weight.</p>"
_EXTRACTION: Final = (
    "<p>A LoRA that turns the original model into the tuned one, as far as its rank reaches. It takes minutes.</p>"
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the lists of the tab offer; checkpoints as (shown, title)."""

    checkpoints: Sequence[tuple[str, str]]
    vaes: Sequence[str]
    loras: Sequence[str]


@dataclass(frozen=True, slots=True)
class Merger:
    """The components that events need; controls by the fields of MergeRequest and ExtractRequest that they set."""

    merging: Controls
    extracting: Controls
    preset: gr.Dropdown
    refresh: gr.Button
    read_metadata: gr.Button
    merge: gr.Button
    extract: gr.Button
    interrupt: gr.Button


def build_merger(choices: Choices) -> Merger:
    """Lay out the tab inside the page being built."""
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(min_width=320, elem_id="modelmerger_settings"):
            gr.HTML(_ABOUT, elem_classes=["hint"], padding=False)
            models, refresh = _models(choices)
            merging = {**models, **_formula(), **_saving(choices)}
            metadata, read_metadata = _metadata()
            blocks, preset = _block_weights()
            merging |= {**metadata, **blocks, **_loras(choices)}
            extracting, extract = _extraction(choices)
        with gr.Column(min_width=320, elem_id="modelmerger_right"):
            with gr.Column(elem_id="modelmerger_generate_box", elem_classes=["generate-box"]):
                merge = gr.Button("Merge", variant="primary", elem_id="modelmerger_merge")
                with gr.Row(elem_classes=["stop-row"]):
                    interrupt = gr.Button("Interrupt", elem_id="modelmerger_interrupt", min_width=60)
            gr.HTML(LIVE, elem_id="modelmerger_live", padding=False)
            gr.HTML(MESSAGE, elem_id="modelmerger_message", padding=False)
    return Merger(merging, extracting, preset, refresh, read_metadata, merge, extract, interrupt)


def _models(choices: Choices) -> tuple[Controls, gr.Button]:
    controls: Controls = {}
    with gr.Row():
        for name, label in (
            ("primary_model_name", "Primary model (A)"),
            ("secondary_model_name", "Secondary model (B)"),
            ("tertiary_model_name", "Tertiary model (C)"),
        ):
            controls[name] = _checkpoints(choices, label, name)
        refresh = tool_button("🔄", "modelmerger_refresh")
    controls["custom_name"] = gr.Textbox(label="Custom Name (Optional)", max_lines=1, elem_id="modelmerger_custom_name")
    return controls, refresh


def _checkpoints(choices: Choices, label: str, name: str) -> gr.Dropdown:
    return gr.Dropdown(list(choices.checkpoints), value=None, label=label, elem_id=f"modelmerger_{name}", min_width=160)


def _formula() -> Controls:
    start = MergeRequest()
    multiplier = gr.Slider(
        0,
        1,
        start.multiplier,
        step=0.05,
        label="Multiplier (M) - set to 0 to get model A",
        elem_id="modelmerger_interp_amount",
        buttons=[],
    )
    method = gr.Radio(
        [NO_INTERPOLATION, WEIGHTED_SUM, ADD_DIFFERENCE],
        value=start.interp_method,
        label="Interpolation Method",
        elem_id="modelmerger_interp_method",
    )
    return {"multiplier": multiplier, "interp_method": method}


def _saving(choices: Choices) -> Controls:
    with gr.Row():
        gr.Radio(
            ["safetensors"], value="safetensors", label="Checkpoint format", elem_id="modelmerger_checkpoint_format"
        )
        save_as = gr.Radio(
            [("The files' own types", ""), ("Save as float16", "float16"), ("Save as bfloat16", "bfloat16")],
            value="",
            label="Precision",
            elem_id="modelmerger_save_as_half",
        )
    gr.HTML(_FORMAT, elem_classes=["hint"], padding=False)
    config = gr.Radio(
        [(label, number) for number, label in enumerate(CONFIG_SOURCES)],
        value=0,
        label="Copy config from",
        elem_id="modelmerger_config_method",
    )
    with gr.Row():
        vae = gr.Dropdown([NO_VAE, *choices.vaes], value=NO_VAE, label="Bake in VAE", elem_id="modelmerger_bake_in_vae")
        discard = gr.Textbox(
            label="Discard weights with matching name",
            max_lines=1,
            placeholder="Regular expression; e.g. ^model_ema",
            elem_id="modelmerger_discard_weights",
        )
    return {"save_as": save_as, "config_source": config, "bake_in_vae": vae, "discard_weights": discard}


def _metadata() -> tuple[Controls, gr.Button]:
    with gr.Accordion("Metadata", open=False, elem_id="modelmerger_metadata"):
        with gr.Row():
            save = gr.Checkbox(True, label="Save metadata", elem_id="modelmerger_save_metadata")
            recipe = gr.Checkbox(True, label="Add merge recipe metadata", elem_id="modelmerger_add_recipe")
            copy = gr.Checkbox(True, label="Copy metadata from merged models", elem_id="modelmerger_copy_metadata")
        box = gr.Textbox("{}", label="Metadata in JSON format", lines=4, elem_id="modelmerger_metadata_json")
        read = gr.Button("Read metadata from selected checkpoints", size="sm", elem_id="modelmerger_read_metadata")
    controls: Controls = {
        "save_metadata": save,
        "add_merge_recipe": recipe,
        "copy_metadata_fields": copy,
        "metadata_json": box,
    }
    return controls, read


def _block_weights() -> tuple[Controls, gr.Dropdown]:
    with gr.Accordion("Block weights", open=False, elem_id="modelmerger_blocks"):
        gr.HTML(_BLOCKS, elem_classes=["hint"], padding=False)
        preset = gr.Dropdown(
            [NO_PRESET, *PRESETS], value=NO_PRESET, label="Preset of block weights", elem_id="modelmerger_block_preset"
        )
        weights = gr.Textbox(label="Block weights", lines=2, elem_id="modelmerger_block_weights")
    return {"block_weights": weights}, preset


def _loras(choices: Choices) -> Controls:
    with gr.Accordion("LoRAs to merge into it", open=False, elem_id="modelmerger_with_loras"):
        names = gr.Dropdown(list(choices.loras), value=[], multiselect=True, label="LoRAs", elem_id="modelmerger_loras")
        weights = gr.Textbox("", label="Weights of the LoRAs", lines=2, elem_id="modelmerger_lora_weights")
        gr.HTML(_LORAS, elem_classes=["hint"], padding=False)
    return {"loras": names, "lora_weights": weights}


def _extraction(choices: Choices) -> tuple[Controls, gr.Button]:
    start = ExtractRequest()
    with gr.Accordion("Extract a LoRA", open=False, elem_id="modelmerger_extraction"):
        gr.HTML(_EXTRACTION, elem_classes=["hint"], padding=False)
        with gr.Row():
            tuned = _checkpoints(choices, "Tuned model", "tuned")
            original = _checkpoints(choices, "Original model", "original")
        with gr.Row():
            rank = gr.Slider(1, 256, start.rank, step=1, label="Rank", elem_id="modelmerger_rank", buttons=[])
            conv_rank = gr.Slider(
                0,
                256,
                start.conv_rank,
                step=1,
                label="Rank of 3x3 convolutions (0: without)",
                elem_id="modelmerger_conv_rank",
                buttons=[],
            )
        save_as = gr.Radio(
            ["float32", "float16", "bfloat16"],
            value=start.save_as,
            label="Precision of the LoRA",
            elem_id="modelmerger_lora_precision",
        )
        name = gr.Textbox(label="Name of the LoRA (Optional)", max_lines=1, elem_id="modelmerger_lora_name")
        extract = gr.Button("Extract LoRA", elem_id="modelmerger_extract")
    controls: Controls = {
        "tuned": tuned,
        "original": original,
        "rank": rank,
        "conv_rank": conv_rank,
        "save_as": save_as,
        "custom_name": name,
    }
    return controls, extract
