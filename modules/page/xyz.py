"""X/Y/Z plot on the page: lists of values where an axis has one, swapping and filling, and the number of pictures."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.features.controlnet.declare import CONTROL_MODES, NO_MODEL, RESIZE_MODES
from modules.features.controlnet.preprocessors.declare import PREPROCESSORS
from modules.features.declaration import Script
from modules.features.detail.declare import TAB
from modules.features.xyz_plot.declare import XyzArguments
from modules.intake.script_choices import choices_of
from modules.page import listing
from modules.page.controls import Controls, events_of
from modules.page.messages import QUICK
from modules.page.option_choices import option_choices
from modules.parameters import RequestError
from modules.parameters.xyz import (
    AXES,
    DETAIL_SEARCHES,
    NAMES,
    NOTHING,
    SEARCH,
    Axis,
    argument_of,
    joined_values,
    split_values,
    value_counts,
)
from modules.settings import OPTIONS

if TYPE_CHECKING:
    from modules.jobs.services import Services


_HINTS: Final = {
    "whole": "1, 2, 5 or 1-5 or 1-9 (+2) or 10-50 [5]",
    "number": "1, 2.5 or 1-3 (+0.5) or 0.0-1.0 [6]",
    "text": 'one, two, "three, with a comma"',
}
_SWITCH: Final = ("True", "False")
_OWN_HINTS: Final = {
    **dict.fromkeys((SEARCH, *DETAIL_SEARCHES), 'what is searched, what replaces it, "or, this"'),
    "Prompt order": "parts of the prompt, in all orders",
    "Size": "512x512, 512x768",
}


def axis_choices(services: Services, label: str) -> list[str]:
    """The values that an axis offers; empty for those that are typed."""
    match label:
        case "Sampler" | "Hires sampler":
            return listing.samplers(services)
        case "Schedule type":
            return listing.schedules()
        case "Hires upscaler":
            return list(listing.hires_upscalers(services))
        case "Refiner checkpoint":
            return ["None", *listing.checkpoint_titles(services)]
        case "Styles":
            return [style.name for _, styles in services.styles.grouped() for style in styles]
        case "[ControlNet] Model":
            return [NO_MODEL, *(file.title for file in services.catalogue.controls())]
        case "[ControlNet] Preprocessor":
            return [one.name for one in PREPROCESSORS]
        case "[ControlNet] Control Mode":
            return list(CONTROL_MODES)
        case "[ControlNet] Resize Mode":
            return list(RESIZE_MODES)
    axis = _axis(label)
    if axis is None or not axis.listed:
        return []
    if axis.tab is not None:
        (argument,) = [one for one in TAB if one.name == axis.tab]
        return choices_of(services.lists, argument, "img2img") or list(_SWITCH)
    if axis.argument is not None:
        return choices_of(services.lists, argument_of(*axis.argument), "img2img") or list(_SWITCH)
    if not axis.options:
        return list(_SWITCH)
    option = OPTIONS[axis.options[0]]
    return option_choices(services, option) or list(_SWITCH)


def hint(label: str) -> str:
    """How values for an axis are written."""
    axis = _axis(label)
    if axis is None or label == NOTHING:
        return ""
    return _OWN_HINTS.get(label) or _HINTS[axis.kind]


def count_line(arguments: Mapping[str, Any], mode: str) -> str:
    """How many pictures the axes come to, or what is wrong with their values; empty while there are none."""
    try:
        counts = value_counts(XyzArguments.read(arguments), mode)
    except RequestError as error:
        return str(error)
    if not counts:
        return ""
    count = math.prod(counts)
    if len(counts) == 1:
        return "1 picture." if count == 1 else f"{count} pictures."
    return f"{count} pictures: {' × '.join(map(str, counts))}."


def with_lists(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as the controls show them: values of an axis that has a list stand in the list."""
    shown = dict(arguments)
    for name in NAMES:
        axis, text = _axis(str(shown[f"{name}_type"])), str(shown[f"{name}_values"])
        if axis is None or not axis.listed or shown["csv_mode"] or shown[f"{name}_values_dropdown"] or not text:
            continue
        try:
            shown |= {f"{name}_values_dropdown": split_values(text), f"{name}_values": ""}
        except RequestError:
            continue
    return shown


def build_plot(
    script: Script, make: Callable[[str], gr.components.Component], prefix: str, services: Services, mode: str
) -> Controls:
    """Lay out the script's controls, which `make` makes by the argument's name, and connect them."""
    controls: Controls = {}
    fills: dict[str, gr.Button] = {}
    for name in NAMES:
        with gr.Row(elem_classes=["axis"]):
            for argument in _arguments(name):
                controls[argument] = make(argument)
            box = controls[f"{name}_values"]
            if isinstance(box, gr.Textbox):
                box.placeholder = hint(str(controls[f"{name}_type"].value))
            fills[name] = gr.Button("Fill", elem_id=f"{prefix}_fill_{name}", min_width=60, scale=0, visible="hidden")
    with gr.Row(elem_classes=["swaps"]):
        for one, other in (("x", "y"), ("y", "z"), ("x", "z")):
            label = f"Swap {one.upper()}/{other.upper()} axes"
            swap = gr.Button(label, elem_id=f"{prefix}_swap_{one}{other}", size="sm", min_width=60)
            both = [controls[argument] for axis in (one, other) for argument in _arguments(axis)]
            swap.click(None, both, both, js="(a, b, c, d, e, f) => [d, e, f, a, b, c]")
    rest = [argument.name for argument in script.valued if argument.name not in controls]
    controls |= {name: make(name) for name in rest}
    count = gr.HTML("", elem_id=f"{prefix}_count", elem_classes=["script-note"])
    _wire_lists(controls, fills, services)
    _wire_count(controls, count, mode)
    return controls


def _wire_lists(controls: Controls, fills: Mapping[str, gr.Button], services: Services) -> None:
    types, typed = [controls[f"{name}_type"] for name in NAMES], controls["csv_mode"]

    def offered(*values: object) -> list[Any]:
        *labels, as_text = values
        updates: list[Any] = []
        for label in map(str, labels):
            choices = axis_choices(services, label)
            in_list = bool(choices) and not as_text
            updates.append(gr.update(visible="hidden" if in_list else True, placeholder=hint(label)))
            updates.append(gr.update(visible=True if in_list else "hidden", choices=choices))
            updates.append(gr.update(visible=True if choices else "hidden"))
        return updates

    changed: list[Any] = [
        part for name in NAMES for part in (*(controls[one] for one in _arguments(name)[1:]), fills[name])
    ]
    gr.on(
        [events_of(control).change for control in (*types, typed)],
        offered,
        [*types, typed],
        changed,
        # Gradio's "always_last" is the counting's below, and only one event of a control may have it.
        trigger_mode="multiple",
        preprocess=False,
        **QUICK,
    )

    def filled(label: object, as_text: object) -> tuple[Any, Any]:
        choices = axis_choices(services, str(label))
        return (joined_values(choices), gr.skip()) if as_text else (gr.skip(), choices)

    for name, button in fills.items():
        kind, *values = (controls[one] for one in _arguments(name))
        button.click(filled, [kind, typed], values, preprocess=False, **QUICK)


def _wire_count(controls: Controls, count: gr.HTML, mode: str) -> None:
    names = [argument for name in NAMES for argument in _arguments(name)] + ["csv_mode"]
    inputs = [controls[name] for name in names]

    def counted(*values: object) -> str:
        arguments = dict(zip(names, values, strict=True))
        arguments |= {name: arguments[name] or "" for name in names if name.endswith("_values")}
        return html.escape(count_line(arguments, mode))

    gr.on(
        [events_of(control).change for control in inputs],
        counted,
        inputs,
        count,
        trigger_mode="always_last",
        preprocess=False,
        **QUICK,
    )


def _arguments(name: str) -> Sequence[str]:
    return (f"{name}_type", f"{name}_values", f"{name}_values_dropdown")


def _axis(label: str) -> Axis | None:
    return next((axis for axis in AXES if axis.label == label), None)
