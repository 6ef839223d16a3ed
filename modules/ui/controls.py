"""Gradio controls made from the request's declaration: no label, range or default is typed a second time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import gradio as gr

from modules.parameters import GenerationRequest, parameter_of

# A1111's element ids, where they are not the field's own name: user scripts and style sheets know them.
ELEMENT_NAMES: Final = {
    "negative_prompt": "neg_prompt",
    "sampler_name": "sampling",
    "n_iter": "batch_count",
}


class CheckedByUs:
    """Hands the raw value to our function: `parse_request` refuses with the control's name, Gradio without.

    Gradio picks the component to draw by the class's name, so a subclass is named as its parent.
    """

    def preprocess(self, payload: Any) -> Any:
        return payload


class Slider(CheckedByUs, gr.Slider):  # type: ignore[misc]
    """A slider with its number box."""


class Dropdown(CheckedByUs, gr.Dropdown):  # type: ignore[misc]
    """A list to choose from; what is on offer may change while a page is open."""


class Textbox(CheckedByUs, gr.Textbox):  # type: ignore[misc]
    """A text; seeds are texts too, for a browser's numbers end at 2^53 and seeds at 2^64."""


def element_id(name: str, mode: str) -> str:
    """The DOM id of a field's control, as A1111 names it."""
    return f"{mode}_{ELEMENT_NAMES.get(name, name)}"


def slider(name: str, mode: str, **more: Any) -> Slider:
    """The slider of one declared parameter."""
    declared = parameter_of(GenerationRequest, name)
    about = declared.parameter
    return Slider(
        label=about.label,
        minimum=about.minimum,
        maximum=about.maximum,
        step=about.step,
        value=declared.default_for(mode),
        elem_id=element_id(name, mode),
        buttons=[],
        **more,
    )


def dropdown(name: str, mode: str, choices: Sequence[str], **more: Any) -> Dropdown:
    """The dropdown of one declared parameter, over `choices`."""
    declared = parameter_of(GenerationRequest, name)
    value = declared.default_for(mode)
    return Dropdown(
        label=declared.parameter.label,
        choices=list(choices),
        value=list(value) if isinstance(value, tuple) else value,
        elem_id=element_id(name, mode),
        **more,
    )


def textbox(name: str, mode: str, **more: Any) -> Textbox:
    """The text field of one declared parameter; numbers are shown as text."""
    declared = parameter_of(GenerationRequest, name)
    return Textbox(
        label=declared.parameter.label,
        value=str(declared.default_for(mode)),
        elem_id=element_id(name, mode),
        **more,
    )


def tool_button(symbol: str, elem_id: str, **more: Any) -> Any:
    """A small button with a symbol; its name and tooltip are in assets/tooltips.js."""
    return gr.Button(symbol, elem_id=elem_id, elem_classes=["tool"], size="sm", min_width=40, scale=0, **more)
