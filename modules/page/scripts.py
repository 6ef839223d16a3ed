"""The scripts of a tab: those that are always on, the list of the others, and the controls of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.features.declaration import Argument, Script, ScriptError, checked_arguments
from modules.features.table import ALWAYS_ON, SCRIPTS, SELECTABLE, find_script
from modules.intake.script_choices import choices_of
from modules.page.controls import Controls, events_of
from modules.page.script_names import FORM, GROUPS, on_tab, slug, slug_of
from modules.page.slots import build_slot
from modules.page.units import build_units, read_units, units_text
from modules.page.xyz import build_plot, with_lists
from modules.parameters import RequestError
from modules.parameters.xyz import TITLE as PLOT
from modules.parameters.xyz import axis_labels

if TYPE_CHECKING:
    from modules.jobs.services import Services


# Page-only: which script is chosen. The arguments of all of them follow, whether it is theirs or not.
SCRIPT: Final = "script"
NONE: Final = "None"
_PREFIX: Final = "script/"


def group_control(group: str) -> str:
    """The name in the form of the control with all that a group's features are given."""
    return f"{_PREFIX}{slug_of(group)}/{FORM.name}"


def control_name(script: Script, argument: Argument) -> str:
    """The name of an argument's control in the form."""
    return f"{_PREFIX}{slug(script)}/{argument.name}"


def element_files(mode: str) -> dict[str, str]:
    """By the id of each element of the tab that belongs to a script, the script's file."""
    return {
        element_name(script, argument, mode): script.file
        for script in on_tab(SCRIPTS, mode)
        for argument in script.valued
    }


def element_name(script: Script, argument: Argument, mode: str) -> str:
    """The id of an argument's element."""
    return f"script_{mode}_{slug(script)}_{argument.name}"


def is_of_script(name: str) -> bool:
    """Whether a control of the form belongs to the scripts."""
    return name == SCRIPT or name.startswith(_PREFIX)


def build_scripts(services: Services, mode: str) -> Controls:
    """Lay them out inside the tab being built."""
    controls: Controls = {}
    shown = services.options.texts("postprocessing_enable_in_main_ui")
    for script in on_tab(ALWAYS_ON, mode):
        if script.group or (script.postprocesses and script.title not in shown):
            continue
        with gr.Accordion(script.title, open=False, elem_id=f"script_{mode}_{slug(script)}"):
            controls |= _arguments(services, script, mode)
    for group in GROUPS:
        own = slug_of(group)
        with gr.Accordion(group, open=False, elem_id=f"script_{mode}_{own}"):
            elem_id = f"script_{mode}_{own}_{FORM.name}"
            controls[group_control(group)] = build_units(FORM, mode, group, own, elem_id)
    titles = [NONE, *(script.title for script in on_tab(SELECTABLE, mode))]
    about: dict[str, Any] = {"value": NONE, "label": "Script", "filterable": False, "elem_id": f"{mode}_script_list"}
    # A group of its own: Gradio would put the list into one frame with what stands above it.
    with gr.Column(elem_id=f"{mode}_script_container"):
        controls[SCRIPT] = gr.Dropdown(titles, **about)
    for script in on_tab(SELECTABLE, mode):
        # assets/scripts.js shows those of the chosen script.
        with gr.Column(elem_id=f"script_{mode}_{slug(script)}", elem_classes=["script-controls"]):
            if mode == "img2img" and script.pictures > 1:
                build_slot(f"script_{slug(script)}", "Second picture")
            controls |= (_plot if script.title == PLOT else _arguments)(services, script, mode)
    events_of(controls[SCRIPT]).change(
        None, controls[SCRIPT], None, js=f"(title) => window.webui?.chooseScript('{mode}', title)"
    )
    return controls


def _arguments(services: Services, script: Script, mode: str) -> Controls:
    controls: Controls = {}
    for argument in script.arguments:
        if not argument.shown or mode not in argument.tabs:
            continue
        if argument.look == "units":
            name, elem_id = control_name(script, argument), element_name(script, argument, mode)
            controls[name] = build_units(argument, mode, script.title, slug(script), elem_id)
            continue
        control = _control(services, argument, mode, element_name(script, argument, mode))
        if argument.look != "note":
            controls[control_name(script, argument)] = control
    return controls


def _plot(services: Services, script: Script, mode: str) -> Controls:
    arguments = {argument.name: argument for argument in script.valued}

    def make(name: str) -> gr.components.Component:
        return _control(services, arguments[name], mode, element_name(script, arguments[name], mode))

    built = build_plot(script, make, f"script_{mode}_{slug(script)}", services, mode)
    return {control_name(script, arguments[name]): control for name, control in built.items()}


def _control(services: Services, argument: Argument, mode: str, elem_id: str) -> gr.components.Component:
    value: Any = argument.default
    about: dict[str, Any] = {"label": argument.label, "value": value, "elem_id": elem_id}
    choices = axis_labels(mode) if argument.listed == "axes" else choices_of(services.lists, argument, mode)
    match argument.look:
        case "note":
            return gr.HTML(str(value), elem_id=elem_id, elem_classes=["script-note"])
        case "checkbox":
            return gr.Checkbox(**about)
        case "radio":
            return gr.Radio(choices, **about)
        case "dropdown":
            return gr.Dropdown(choices, filterable=False, **about)
        case "checkboxes":
            return gr.CheckboxGroup(choices, **about)
        case "words":
            # What is offered depends on another control, which also shows it.
            return gr.Dropdown(choices, multiselect=True, allow_custom_value=True, visible="hidden", **about)
        case "textbox":
            return gr.Textbox(lines=argument.lines, **about)
        case "boxes":
            return _boxes(mode, **about)
    limits: dict[str, Any] = {"minimum": argument.minimum, "maximum": argument.maximum, "step": argument.step}
    return gr.Slider(**limits, **about, buttons=[])


def _boxes(mode: str, *, elem_id: str, **about: Any) -> gr.Textbox:  # noqa: ANN401 - whatever Gradio takes
    """A text of boxes, and the place below it where assets/boxes.js draws them."""
    text = gr.Textbox(elem_id=elem_id, **about)
    gr.HTML(f'<div class="boxes" data-text="{elem_id}" data-mode="{mode}"></div>', padding=False)
    text.change(None, text, None, js=f"(text) => window.webui?.showBoxes('{elem_id}', text)")
    return text


def page_scripts(mode: str, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The scripts that a form's values ask for. Raises RequestError."""
    chosen = str(values.get(SCRIPT) or NONE)
    values = {**values, **_grouped(values)}
    found = {}
    for script in on_tab(SCRIPTS, mode):
        arguments = {
            argument.name: _read(argument, values[name])
            for argument in script.valued
            if (name := control_name(script, argument)) in values
        }
        if script.title == chosen or (script.always_on and script.is_active(arguments)):
            empty = next((argument for argument in script.valued if arguments.get(argument.name, "") is None), None)
            if empty is not None:
                raise RequestError(f"{script.title}: {empty.label} is empty: give it a value.")
            found[script.title] = arguments
    if chosen not in (NONE, *found):
        raise RequestError(f"There is no script {chosen[:60]!r} on this tab: choose one of the list.")
    return found


def _grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the forms of groups give to each argument of their features, by control. Raises RequestError."""
    given: dict[str, Any] = {}
    for group in GROUPS:
        for unit in read_units(values.get(group_control(group)), group):
            script = find_script(str(unit.get("title"))) if isinstance(unit, Mapping) else None
            if script is None or script.group != group:
                raise RequestError(f"{group} could not be read: reload the page.")
            given |= {control_name(script, one): unit[one.name] for one in script.valued if one.name in unit}
    return given


def _group_text(group: str, scripts: Mapping[str, Mapping[str, Any]]) -> str:
    return units_text([{"title": title, **own} for title, own in scripts.items() if _group_of(title) == group])


def _group_of(title: str) -> str:
    script = find_script(title)
    return "" if script is None else script.group


def _read(argument: Argument, value: Any) -> Any:  # noqa: ANN401 - whatever Gradio has
    return read_units(value, argument.label) if argument.look == "units" else value


def script_controls(scripts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a request's scripts put into the form, by control."""
    values: dict[str, Any] = {SCRIPT: next((script.title for script in SELECTABLE if script.title in scripts), NONE)}
    values |= {group_control(group): _group_text(group, scripts) for group in GROUPS}
    for script in ALWAYS_ON:
        if script.group:
            continue
        first = script.arguments[0]
        values[control_name(script, first)] = "[]" if first.look == "units" else script.title in scripts
    for script in SCRIPTS:
        if script.title not in scripts or script.group:
            continue
        arguments = with_lists(scripts[script.title]) if script.title == PLOT else scripts[script.title]
        for argument in (one for one in script.valued if one.shown):
            value = arguments[argument.name]
            if argument.look == "units" and isinstance(value, list):
                value = units_text(value)
            values[control_name(script, argument)] = value
    return values


def offered(mode: str, title: str) -> bool:
    """Whether the tab's list has this script."""
    script = find_script(title)
    return title == NONE or (script is not None and not script.always_on and mode in script.tabs)


def is_sound(name: str, value: object) -> bool:
    """Whether what a browser kept of a script's control is still a value for it."""
    if name == SCRIPT:
        return isinstance(value, str) and (value == NONE or find_script(value) is not None)
    if name in map(group_control, GROUPS):
        try:
            return all(is_sound(one, own) for one, own in _grouped({name: value}).items())
        except RequestError:
            return False
    for script in SCRIPTS:
        for argument in script.valued:
            if name == control_name(script, argument):
                try:
                    value = _read(argument, value)
                    # What a browser stored may be anything: this checks whether it fits.
                    checked_arguments(script, {argument.name: value})  # type: ignore[dict-item]  # whatever JSON a browser stored
                except (ScriptError, RequestError):
                    return False
                return True
    return False
