"""The Extras tab: where pictures come from, what is done to them, and the results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.page.controls import Controls
from modules.page.listing import UPSCALERS_NOTE
from modules.page.results import Results, build_results
from modules.page.slots import build_slot
from modules.parameters.extras_request import SCALE_BY, SCALE_TO, AutoCrop, FocalCrop, SplitOversized

MODE: Final = "extras"
_FOLDERS: Final = "<p>Folders of the machine that runs the server.</p>"
_FACES: Final = "<p>For GFPGAN and CodeFormer their files and that of the face detector have to be there.</p>"


@dataclass(frozen=True, slots=True)
class Extras:
    """The components that events need; `controls` are by the name of what they set."""

    controls: Controls
    generate: gr.Button
    interrupt: gr.Button
    skip: gr.Button
    results: Results


def build_extras(
    upscalers: Sequence[str], without: Collection[str] = (), *, folder_button: bool, note: str = ""
) -> Extras:
    """Lay out the tab inside the page being built; the operations named in `without` are not to be seen."""
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(min_width=320, elem_id="extras_settings"):
            controls = {**_sources(), **_upscaling(upscalers, note), **_faces(without), **_cutting(without)}
            _hide(controls, without)
        with gr.Column(min_width=320, elem_id="extras_right"):
            with gr.Column(elem_id="extras_generate_box", elem_classes=["generate-box"]):
                generate = gr.Button("Generate", variant="primary", elem_id="extras_generate")
                with gr.Row(elem_classes=["stop-row"]):
                    interrupt = gr.Button("Interrupt", elem_id="extras_interrupt", min_width=60)
                    skip = gr.Button("Skip", elem_id="extras_skip", min_width=60)
            results = build_results(MODE, folder_button=folder_button)
    return Extras(controls, generate, interrupt, skip, results)


# By the start of their names, the controls of each operation.
_CONTROLS: Final = {
    "Upscale": ("upscaler_", "extras_upscaler_", "resize_mode", "upscaling_", "max_side_length"),
    "GFPGAN": ("gfpgan_",),
    "CodeFormer": ("codeformer_",),
    "Split oversized images": ("split",),
    "Auto focal point crop": ("focal_crop",),
    "Auto-sized crop": ("auto_crop",),
    "Create flipped copies": ("flips",),
}
# Whoever has one of these left needs the size that they work towards.
_SIZED: Final = {"Split oversized images", "Auto focal point crop"}


def _hide(controls: Controls, operations: Collection[str]) -> None:
    """Hide the controls of some operations. What these controls say is left out when the job is made."""
    hidden = tuple(start for name in operations for start in _CONTROLS.get(name, ()))
    target_size = ("upscaling_resize_w", "upscaling_resize_h") if _SIZED - set(operations) else ()
    if "Upscale" in operations and target_size:
        controls["resize_mode"].value = SCALE_TO
    for name, control in controls.items():
        if hidden and name.startswith(hidden) and name not in target_size:
            control.visible = "hidden"


def _fold(title: str, elem_id: str, operations: Collection[str], without: Collection[str]) -> gr.Accordion:
    """A closed fold for some operations, unseen where each of them is."""
    unseen = set(operations) <= set(without)
    return gr.Accordion(title, open=False, elem_id=elem_id, elem_classes=["unseen"] if unseen else None)


def _sources() -> Controls:
    with gr.Tabs(elem_id="mode_extras"):
        with gr.Tab("Single Image", id="single", elem_id="extras_single_tab"):
            build_slot(MODE, "Source")
        with gr.Tab("Batch Process", id="batch", elem_id="extras_batch_process_tab"):
            # Of any suffix: a file that is no picture is named in a message, and the others go on.
            files = gr.File(label="Batch Process", file_count="multiple", height=220, elem_id="extras_image_batch")
        with gr.Tab("Batch from Directory", id="directory", elem_id="extras_batch_directory_tab"):
            gr.HTML(_FOLDERS, elem_classes=["hint"])
            input_dir = gr.Textbox(label="Input directory", max_lines=1, elem_id="extras_batch_input_dir")
            output_dir = gr.Textbox(
                label="Output directory",
                max_lines=1,
                placeholder="Leave blank to save images to the default path.",
                elem_id="extras_batch_output_dir",
            )
            show = gr.Checkbox(True, label="Show result images", elem_id="extras_show_extras_results")
    return {"files": files, "input_dir": input_dir, "output_dir": output_dir, "show": show}


def _upscaling(upscalers: Sequence[str], note: str) -> Controls:
    with gr.Row():
        first = gr.Dropdown(list(upscalers), value="Lanczos", label="Upscaler 1", elem_id="extras_upscaler_1")
        second = gr.Dropdown(list(upscalers), value="None", label="Upscaler 2", elem_id="extras_upscaler_2")
        share = _slider("Upscaler 2 visibility", 0, 1, 0, 0.001, "extras_upscaler_2_visibility")
    gr.HTML(note, elem_classes=["hint", UPSCALERS_NOTE], padding=False)
    mode = gr.Radio(
        [("Scale by", SCALE_BY), ("Scale to", SCALE_TO)], value=SCALE_BY, show_label=False, elem_id="extras_mode"
    )
    with gr.Row(elem_id="extras_scale_by"):
        scale = _slider("Resize", 1, 8, 4, 0.05, "extras_upscaling_resize")
        longest = _slider("Max side length", 0, 8192, 0, 8, "extras_max_side_length")
    with gr.Row(elem_id="extras_scale_to"):
        width = _slider("Width", 64, 8192, 512, 8, "extras_upscaling_resize_w")
        height = _slider("Height", 64, 8192, 512, 8, "extras_upscaling_resize_h")
        crop = gr.Checkbox(True, label="Crop to fit", elem_id="extras_upscaling_crop", min_width=120)
    return {
        "upscaler_1": first,
        "upscaler_2": second,
        "extras_upscaler_2_visibility": share,
        "resize_mode": mode,
        "upscaling_resize": scale,
        "max_side_length": longest,
        "upscaling_resize_w": width,
        "upscaling_resize_h": height,
        "upscaling_crop": crop,
    }


def _faces(without: Collection[str]) -> Controls:
    with _fold("Restore faces: GFPGAN, CodeFormer", "extras_faces", ("GFPGAN", "CodeFormer"), without):
        gr.HTML(_FACES, elem_classes=["hint"])
        with gr.Row():
            gfpgan = _slider("GFPGAN visibility", 0, 1, 0, 0.001, "extras_gfpgan_visibility")
            codeformer = _slider("CodeFormer visibility", 0, 1, 0, 0.001, "extras_codeformer_visibility")
            weight = _slider("CodeFormer weight (0: strongest)", 0, 1, 0, 0.001, "extras_codeformer_weight")
    return {"gfpgan_visibility": gfpgan, "codeformer_visibility": codeformer, "codeformer_weight": weight}


def _cutting(without: Collection[str]) -> Controls:
    split, focal, auto = SplitOversized(), FocalCrop(), AutoCrop()
    operations = ("Split oversized images", "Auto focal point crop", "Auto-sized crop", "Create flipped copies")
    with _fold("Split, crop and flip, for training pictures", "extras_cutting", operations, without):
        gr.HTML("<p>Split and Focal crop work towards the Width and Height of Scale to.</p>", elem_classes=["hint"])
        splits = gr.Checkbox(False, label="Split oversized images", elem_id="extras_split")
        with gr.Row():
            threshold = _slider("Threshold", 0, 1, split.threshold, 0.05, "extras_split_threshold")
            overlap = _slider("Overlap ratio", 0, 0.9, split.overlap_ratio, 0.05, "extras_split_overlap_ratio")
        crops = gr.Checkbox(False, label="Auto focal point crop", elem_id="extras_focal_crop")
        with gr.Row():
            face = _slider("Focal point face weight", 0, 1, focal.face_weight, 0.05, "extras_focal_face")
            entropy = _slider("Focal point entropy weight", 0, 1, focal.entropy_weight, 0.05, "extras_focal_entropy")
            edges = _slider("Focal point edges weight", 0, 1, focal.edges_weight, 0.05, "extras_focal_edges")
        sized = gr.Checkbox(False, label="Auto-sized crop", elem_id="extras_autocrop")
        with gr.Row():
            low = _slider("Dimension lower bound", 64, 2048, auto.mindim, 8, "extras_autocrop_mindim")
            high = _slider("Dimension upper bound", 64, 2048, auto.maxdim, 8, "extras_autocrop_maxdim")
        with gr.Row():
            least = _slider("Area lower bound", 4096, 4194304, auto.minarea, 1, "extras_autocrop_minarea")
            most = _slider("Area upper bound", 4096, 4194304, auto.maxarea, 1, "extras_autocrop_maxarea")
        with gr.Row():
            objective = gr.Radio(
                [("Maximize area", True), ("Minimize error", False)],
                value=True,
                label="Resizing objective",
                elem_id="extras_autocrop_objective",
            )
            error = _slider("Error threshold", 0, 1, auto.threshold, 0.01, "extras_autocrop_threshold")
        flips = gr.CheckboxGroup(
            ["Horizontal", "Vertical", "Both"], value=[], label="Create flipped copies", elem_id="extras_flips"
        )
    return {
        "split": splits,
        "split.threshold": threshold,
        "split.overlap_ratio": overlap,
        "focal_crop": crops,
        "focal_crop.face_weight": face,
        "focal_crop.entropy_weight": entropy,
        "focal_crop.edges_weight": edges,
        "auto_crop": sized,
        "auto_crop.mindim": low,
        "auto_crop.maxdim": high,
        "auto_crop.minarea": least,
        "auto_crop.maxarea": most,
        "auto_crop.maximize_area": objective,
        "auto_crop.threshold": error,
        "flips": flips,
    }


def _slider(label: str, low: float, high: float, value: float, step: float, name: str) -> gr.Slider:
    return gr.Slider(low, high, value, step=step, label=label, elem_id=name, buttons=[], min_width=160)


# The controls that say where pictures come from and go to, and no field of the request by themselves.
PLACES: Final = frozenset({"files", "input_dir", "output_dir", "show"})
