"""A tab's form as values: in page order, to a request, and back from storage or an infotext."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from gradio.events import Dependency

from modules.page.overrides import EXTRA_OPTION, option_overrides, overrides_from
from modules.page.scripts import NONE, SCRIPT, is_of_script, is_sound, offered, page_scripts
from modules.parameters import GenerationRequest, RequestError, parameter_of, parse_request
from modules.settings import OPTIONS, OptionError

# Page-only: the checkbox that shows the variation controls. They apply only while it is ticked, as in A1111.
EXTRA: Final = "seed_extra"
VARIATION: Final = ("subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
SEEDS: Final = ("seed", "subseed")
# Page-only: the checkbox of the refiner, which works only while it is ticked.
REFINER: Final = "enable_refiner"
REFINER_FIELDS: Final = ("refiner_checkpoint", "refiner_switch_at")
OVERRIDES: Final = "override_settings"
# Page-only: img2img's size is the sliders', or the picture's times a scale.
SIZE_FROM: Final = "size_from"
SCALE: Final = "scale"
RESIZE_TO: Final = "Resize to"
RESIZE_BY: Final = "Resize by"
# Page-only: how much of the mask of Inpaint sketch shows through, in percent.
MASK_ALPHA: Final = "mask_alpha"
PAGE_ONLY: Final = (EXTRA, REFINER, SIZE_FROM, SCALE, MASK_ALPHA)


@dataclass(frozen=True, slots=True)
class Form:
    """The controls of one tab by field name; the order is that of every event's inputs."""

    mode: str
    controls: Mapping[str, gr.components.Component]
    # Values that an event has for the controls, on their way: see `fill`.
    arriving: gr.Textbox

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.controls)

    @property
    def components(self) -> list[gr.components.Component]:
        return list(self.controls.values())

    def request(self, values: Sequence[object], given: Mapping[str, object] | None = None) -> GenerationRequest:
        """The request that the form holds, with `given` values of some controls instead of their own.

        Raises RequestError naming the control that is wrong.
        """
        return request_from(self.mode, {**dict(zip(self.names, values, strict=True)), **(given or {})})

    def arrival(self, values: Mapping[str, Any]) -> str:
        """What an event answers in `arriving` for the controls that `values` names; the others stay as they are."""
        if SCRIPT in values and not offered(self.mode, values[SCRIPT]):
            values = {**values, SCRIPT: NONE}
        return json.dumps({name: values[name] for name in self.names if name in values})

    def fill(self, event: Dependency) -> Dependency:
        """Put what `event` answered in `arriving` into the controls.

        In the browser: for an update from the server Gradio makes every control anew there, those that stay included.
        """
        names = json.dumps(self.names)
        js = f"(text) => {{ const values = JSON.parse(text || '{{}}'); return {names}.map((name) => values[name]); }}"
        then: Callable[..., Dependency] = event.then
        return then(None, self.arriving, self.components, js=js)


def arriving_box(mode: str) -> gr.Textbox:
    """The hidden box of a form's arriving values."""
    return gr.Textbox("", visible="hidden", elem_id=f"{mode}_arriving")


def request_from(mode: str, values: Mapping[str, Any]) -> GenerationRequest:
    """The request behind a form's values. Raises RequestError."""
    own = {name: value for name, value in values.items() if not name.startswith(EXTRA_OPTION)}
    fields = {name: value for name, value in own.items() if name not in PAGE_ONLY and not is_of_script(name)}
    if not values.get(EXTRA):
        fields = {name: value for name, value in fields.items() if name not in VARIATION}
    if not values.get(REFINER):
        fields = {name: value for name, value in fields.items() if name not in REFINER_FIELDS}
    for name in SEEDS:
        if name in fields:
            fields[name] = _seed(name, fields[name])
    if OVERRIDES in fields:
        # What was read from a picture goes before the settings that are shown in the tab.
        fields[OVERRIDES] = option_overrides(values) | overrides_from(fields[OVERRIDES] or ())
    if "mask_blur_x" in fields:
        fields["mask_blur_y"] = fields["mask_blur_x"]
    missing = next((name for name, value in fields.items() if value is None), None)
    if missing is not None:
        raise RequestError(f"{parameter_of(GenerationRequest, missing).parameter.label} is empty: give it a value.")
    scripts = page_scripts(mode, values)
    return parse_request({"mode": mode, "scripts": scripts, **{name: _plain(value) for name, value in fields.items()}})


def _seed(name: str, value: object) -> int:
    text = str(value if value is not None else "").strip()
    if text == "":
        return -1
    try:
        return int(text)
    except ValueError:
        label = parameter_of(GenerationRequest, name).parameter.label
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise RequestError(f"{label} is {shown!r}: give a whole number, or -1 for a random one.") from None


def _plain(value: object) -> object:
    # A slider's 20 arrives as 20.0 after someone typed into its number box.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def stored_values(text: str, names: Sequence[str]) -> dict[str, Any]:
    """What a browser kept of the form, as far as it is still a form: anything else is forgotten, never an error."""
    try:
        stored = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: stored[name] for name in names if name in stored and _sound(name, stored[name])}


def _sound(name: str, value: object) -> bool:
    if name in (EXTRA, REFINER):
        return isinstance(value, bool)
    if name == SIZE_FROM:
        return value in (RESIZE_TO, RESIZE_BY)
    if name == SCALE:
        return isinstance(value, int | float) and 0.05 <= value <= 4
    if name == MASK_ALPHA:
        return isinstance(value, int | float) and 0 <= value <= 100
    if is_of_script(name):
        return is_sound(name, value)
    if name in SEEDS:
        return isinstance(value, str)
    if name.startswith(EXTRA_OPTION):
        return _takes(name.removeprefix(EXTRA_OPTION), value)
    if name == OVERRIDES:
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    try:
        parse_request({name: _plain(value)})
    except RequestError:
        return False
    return True


def _takes(key: str, value: object) -> bool:
    try:
        OPTIONS[key].checked(_plain(value))
    except OptionError:
        return False
    return True
