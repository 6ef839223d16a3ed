"""A Gradio control for any declared setting: for the row above the tabs, and for settings shown in a tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.jobs.option_changes import change_options
from modules.page.controls import events_of, tool_button
from modules.page.messages import QUICK, SAY, message
from modules.page.option_choices import checkpoint_choices, option_choices
from modules.settings import Option, OptionError

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Sliders of more steps than these can't be set to a value that is meant.
_MOST_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class OptionControl:
    """The control of one setting; `refresh` looks at the disk again, where that is what is chosen from."""

    key: str
    component: gr.components.Component
    refresh: gr.Button | None = None


def build_option_control(services: Services, key: str, prefix: str = "setting") -> OptionControl:
    """The control with the setting's value, inside the page being built; its element id is A1111's."""
    option = services.options.options[key]
    element = f"{prefix}_{key}"
    with gr.Row(elem_classes=["with-tool", "option-control"], scale=1):
        component = _component(services, option, element)
        files = option.choices_from in ("checkpoints", "vaes", "modules", "loras", "hypernetworks", "upscalers")
        refresh = tool_button("🔄", f"refresh_{key}") if files and prefix == "setting" else None
    return OptionControl(key, component, refresh)


def _component(services: Services, option: Option, element: str) -> gr.components.Component:
    value = services.options.get(option.key)
    shared: dict[str, Any] = {
        "label": option.label,
        "value": list(value) if isinstance(value, tuple) else value,
        "elem_id": element,
        "interactive": option.key not in services.options.frozen,
    }
    choices = _choices(services, option)
    match option.kind:
        case "switch":
            return gr.Checkbox(**shared)
        case "choice":
            return gr.Dropdown(choices, **shared, allow_custom_value=bool(option.choices_from))
        case "texts":
            return gr.Dropdown(choices, **shared, multiselect=True, allow_custom_value=not choices)
        case "colour":
            return gr.ColorPicker(**shared)
        case "whole" | "number" if _slides(option):
            bounds: dict[str, Any] = {"minimum": option.minimum, "maximum": option.maximum, "step": option.step}
            return gr.Slider(**shared, **bounds, buttons=[])
        case "whole" | "number":
            return gr.Number(**shared, precision=0 if option.kind == "whole" else None)
    return gr.Textbox(**shared, max_lines=1)


def _choices(services: Services, option: Option) -> list[tuple[str, str]]:
    if option.choices_from == "checkpoints":
        return checkpoint_choices(services)
    return [(name, name) for name in option_choices(services, option)]


def _slides(option: Option) -> bool:
    low, high = option.minimum, option.maximum
    return low is not None and high is not None and (high - low) / (option.step or 1) <= _MOST_STEPS


def wire_option_control(control: OptionControl, services: Services, page: gr.Blocks) -> None:
    """A change on the control is saved at once; a change elsewhere shows when the page is loaded."""
    notice = gr.Textbox("", visible="hidden", elem_id=f"notice_{control.key}")

    def choose(value: object) -> tuple[Any, str]:
        try:
            change_options(services, {control.key: value})
        except OptionError as error:
            return current(services, control.key), message(str(error), "error")
        return gr.skip(), ""

    def refresh() -> dict[str, Any]:
        services.refresh_models()
        return current(services, control.key)

    component = control.component
    events = (
        [component.submit, component.blur]
        if isinstance(component, gr.Textbox | gr.Number)
        else [events_of(component).input]
    )
    gr.on(
        events,
        choose,
        component,
        [component, notice],
        # Of a slider that is being dragged, the last place counts.
        trigger_mode="always_last",
        preprocess=False,
        **QUICK,
    ).then(None, notice, None, js=SAY)
    page.load(lambda: current(services, control.key), None, component, **QUICK)
    if control.refresh is not None:
        control.refresh.click(refresh, None, component, **QUICK)


def current(services: Services, key: str) -> dict[str, Any]:
    """An update that shows what is in force, and what there is to choose from."""
    option = services.options.options[key]
    value = services.options.get(key)
    shown = list(value) if isinstance(value, tuple) else value
    more: dict[str, Any] = {"choices": _choices(services, option)} if option.kind in ("choice", "texts") else {}
    update: dict[str, Any] = gr.update(value=shown, **more)
    return update
