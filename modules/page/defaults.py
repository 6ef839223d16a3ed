"""The page's own defaults (ui-config.json): put into the controls when the page is built, looked over and saved."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.blocks import Block

from modules.page.messages import QUICK
from modules.page.scripts import element_files
from modules.settings import Control, Place, UiConfig, UiConfigError

log = logging.getLogger(__name__)
_CONTROLS: Final = (gr.Slider, gr.Radio, gr.Checkbox, gr.Textbox, gr.Number, gr.Dropdown, gr.ColorPicker)
# These have no defaults: what was typed last is kept by the browser, and the others are lists that fill themselves.
_SECTIONS: Final = {"txt2img", "img2img", "extras", "pnginfo", "modelmerger", "train"}


@dataclass(frozen=True, slots=True)
class Known:
    """A control of the page and its place, with what it is without the file."""

    place: Place
    component: gr.components.Component
    declared: Control


class PageDefaults:
    """What ui-config.json says of the controls of one page; `notices` are sentences about values of no use."""

    def __init__(self, path: Path) -> None:
        self.config = UiConfig(path)
        self.known: list[Known] = []
        self._chosen: set[int] = set()

    @property
    def notices(self) -> tuple[str, ...]:
        return self.config.notices

    def apply(self, tabs: gr.Tabs) -> None:
        """Give the controls under `tabs` what the file wants of them."""
        for tab in tabs.children:
            name = str(getattr(tab, "id", ""))
            if name in _SECTIONS:
                self._apply_in(name, tab)
        for notice in self.config.notices:
            log.warning("%s", notice)

    def _apply_in(self, tab: str, block: Block) -> None:
        scripts = element_files(tab)
        seen: set[Place] = set()
        for component in _labelled(block):
            place = Place(tab, str(getattr(component, "label", "")), scripts.get(str(component.elem_id), ""))
            if place in seen:
                continue
            seen.add(place)
            declared = as_control(component)
            self.known.append(Known(place, component, declared))
            wanted = self.config.control(place, declared, _words(component))
            if wanted.value != declared.value:
                self._chosen.add(id(component))
            _put(component, wanted)

    def chose(self, component: Block) -> bool:
        """Whether the file has a value of its own for a control."""
        return id(component) in self._chosen

    def changes(self, values: Sequence[object]) -> list[tuple[Known, Control, Control]]:
        """Controls whose value on the page is not the one they start with: what it is, and what it would be."""
        found = []
        for known, value in zip(self.known, values, strict=True):
            now = as_control(known.component)
            shown = replace(now, value=_word(known.component, value))
            if shown.value != now.value and not (shown.value is None and now.value in ("", [])):
                found.append((known, now, shown))
        return found

    def own(self) -> list[tuple[Known, Control, list[str]]]:
        """Controls for which the file wants something else than the declaration, and which of their limits."""
        found = []
        for known in self.known:
            now = as_control(known.component)
            limits = [
                f"{name} {getattr(now, name):g}"
                for name in ("minimum", "maximum", "step")
                if getattr(now, name) != getattr(known.declared, name)
            ]
            limits += [] if now.visible else ["hidden"]
            if limits or id(known.component) in self._chosen:
                found.append((known, now, limits))
        return found


def as_control(component: gr.components.Component) -> Control:
    """A control as the file describes it: values that stand for words are those words."""
    return Control(
        value=_word(component, getattr(component, "value", None)),
        minimum=getattr(component, "minimum", None),
        maximum=getattr(component, "maximum", None),
        step=getattr(component, "step", None),
        visible=getattr(component, "visible", True) is True,
    )


def wire_defaults(defaults: PageDefaults) -> None:
    """Hidden buttons that the Defaults page presses: they get every control's value as it is on the page."""
    components = [known.component for known in defaults.known]
    answer = gr.Textbox("", visible="hidden", elem_id="defaults_answer")
    chosen = gr.Textbox("", visible="hidden", elem_id="defaults_chosen")
    actions = {"look": _look, "save": _save, "reset": _reset}
    for name, action in actions.items():
        button = gr.Button(name, visible="hidden", elem_id=f"defaults_{name}")
        button.click(
            partial(_answer, action, defaults),
            [chosen, *components],
            answer,
            js="(chosen, ...values) => [window.webui.defaultsChosen(), ...values]",
            preprocess=False,
            **QUICK,
        ).then(None, answer, None, js="(answer) => window.webui.defaultsAnswered(answer)")


Action = Callable[["PageDefaults", str, Sequence[object]], dict[str, Any]]


def _answer(action: Action, defaults: PageDefaults, chosen: str, *values: object) -> str:
    try:
        return json.dumps(action(defaults, chosen, values), ensure_ascii=False)
    except UiConfigError as error:
        return json.dumps({"error": str(error)})


def _look(defaults: PageDefaults, _: str, values: Sequence[object]) -> dict[str, Any]:
    changes = [_row(known, now.value, shown.value) for known, now, shown in defaults.changes(values)]
    own = [_row(known, known.declared.value, now.value) | {"limits": limits} for known, now, limits in defaults.own()]
    return {"changes": changes, "own": own, "notices": defaults.notices}


def _save(defaults: PageDefaults, _: str, values: Sequence[object]) -> dict[str, Any]:
    changes = defaults.changes(values)
    defaults.config.save({known.place: shown for known, _, shown in changes})
    return {"saved": len(changes)}


def _reset(defaults: PageDefaults, chosen: str, _: Sequence[object]) -> dict[str, Any]:
    wanted = {tuple(place) for place in json.loads(chosen or "[]")}
    places = [known.place for known in defaults.known if astuple(known.place) in wanted]
    defaults.config.forget(places)
    return {"reset": len(places)}


def _row(known: Known, before: object, after: object) -> dict[str, Any]:
    return {**asdict(known.place), "before": before, "after": after}


def _labelled(block: Block) -> Iterator[gr.components.Component]:
    if isinstance(block, _CONTROLS) and block.label and block.visible != "hidden":
        yield block
    for child in getattr(block, "children", ()):
        yield from _labelled(child)


def _words(component: gr.components.Component) -> tuple[str, ...]:
    """What may be chosen, by its words; empty where anything may."""
    if getattr(component, "allow_custom_value", False) or getattr(component, "multiselect", False):
        return ()
    return tuple(str(word) for word, _ in getattr(component, "choices", None) or ())


def _word(component: gr.components.Component, value: object) -> object:
    if isinstance(component, gr.Radio | gr.Dropdown):
        return next((word for word, meant in component.choices or () if meant == value), value)
    return value


def _meaning(component: gr.components.Component, word: object) -> object:
    if isinstance(component, gr.Radio | gr.Dropdown):
        return next((meant for shown, meant in component.choices or () if shown == word), word)
    return word


def _put(component: gr.components.Component, control: Control) -> None:
    component.value = _meaning(component, control.value)
    for name in ("minimum", "maximum", "step"):
        if getattr(control, name) is not None:
            setattr(component, name, getattr(control, name))
    if not control.visible:
        # Still part of the page: its value counts, and scripts find it.
        component.visible = "hidden"
