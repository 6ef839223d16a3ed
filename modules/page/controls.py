"""Gradio controls made from the request's declaration: no label, range or default is typed a second time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, TypedDict, Unpack, cast

import gradio as gr

from modules.parameters import GenerationRequest, parameter_of

# A1111's element ids, where they are not the field's own name: user scripts and style sheets know them.
ELEMENT_NAMES: Final = {
    "negative_prompt": "neg_prompt",
    "sampler_name": "sampling",
    "n_iter": "batch_count",
    "enable_hr": "hr-checkbox",
    "enable_refiner": "enable-checkbox",
    "refiner_checkpoint": "checkpoint",
    "refiner_switch_at": "switch_at",
}

# The controls of a part of the page by their parameter's name.
Controls = dict[str, gr.components.Component]


class ControlLayout(TypedDict, total=False):
    """How a control is laid out, in Gradio's words."""

    min_width: int
    scale: int
    visible: bool | Literal["hidden"]


class TextboxLayout(ControlLayout, total=False):
    """The same of a text field."""

    lines: int
    max_lines: int
    placeholder: str
    show_label: bool


class DropdownLayout(ControlLayout, total=False):
    """The same of a dropdown, and what may be chosen in it."""

    multiselect: bool
    allow_custom_value: bool


class ControlEvents(Protocol):
    """The events that Gradio adds to the classes of components while it is imported."""

    change: Any
    input: Any


def events_of(control: gr.components.Component) -> ControlEvents:
    """The events of a control of a form: all of these have both."""
    return cast(ControlEvents, control)


def element_id(name: str, mode: str) -> str:
    """The DOM id of a field's control, as A1111 names it."""
    return f"{mode}_{ELEMENT_NAMES.get(name, name)}"


def slider(name: str, mode: str, **more: Unpack[ControlLayout]) -> gr.Slider:
    """The slider of one declared parameter."""
    declared = parameter_of(GenerationRequest, name)
    about, value = declared.parameter, declared.default_for(mode)
    assert about.minimum is not None and about.maximum is not None, f"{name} has no range"
    assert value is None or isinstance(value, int | float)
    return gr.Slider(
        label=about.label,
        minimum=about.minimum,
        maximum=about.maximum,
        step=about.step,
        value=value,
        elem_id=element_id(name, mode),
        buttons=[],
        **more,
    )


def dropdown(
    name: str, mode: str, choices: Sequence[str | tuple[str, str]], **more: Unpack[DropdownLayout]
) -> gr.Dropdown:
    """The dropdown of one declared parameter, over `choices`: values, or words with the value of each."""
    declared = parameter_of(GenerationRequest, name)
    value: Any = declared.default_for(mode)
    return gr.Dropdown(
        label=declared.parameter.label,
        choices=list(choices),
        value=list(value) if isinstance(value, tuple | dict) else value,
        elem_id=element_id(name, mode),
        **more,
    )


def textbox(name: str, mode: str, **more: Unpack[TextboxLayout]) -> gr.Textbox:
    """The text field of one declared parameter.

    Seeds are texts too: a browser's numbers end at 2^53, seeds at 2^64.
    """
    declared = parameter_of(GenerationRequest, name)
    return gr.Textbox(
        label=declared.parameter.label,
        value=str(declared.default_for(mode)),
        elem_id=element_id(name, mode),
        **more,
    )


def checkbox(name: str, mode: str, **more: Unpack[ControlLayout]) -> gr.Checkbox:
    """The checkbox of one declared parameter."""
    declared = parameter_of(GenerationRequest, name)
    return gr.Checkbox(
        label=declared.parameter.label,
        value=bool(declared.default_for(mode)),
        elem_id=element_id(name, mode),
        **more,
    )


def _position(default: object) -> int:
    """The number of the radio button that is a field's default; False is 0, True 1."""
    assert isinstance(default, int)
    return int(default)


def radio(name: str, mode: str, words: Sequence[str], **more: Unpack[ControlLayout]) -> gr.Radio:
    """The radio buttons of one declared parameter whose values count up from 0, with a word for each."""
    declared = parameter_of(GenerationRequest, name)
    return gr.Radio(
        label=declared.parameter.label,
        choices=[(word, number) for number, word in enumerate(words)],
        value=_position(declared.default_for(mode)),
        elem_id=element_id(name, mode),
        **more,
    )


def tool_button(symbol: str, elem_id: str, *, visible: bool | Literal["hidden"] = True) -> gr.Button:
    """A small button with a symbol; its name and tooltip are in assets/tooltips.js."""
    return gr.Button(symbol, elem_id=elem_id, elem_classes=["tool"], size="sm", min_width=40, scale=0, visible=visible)
