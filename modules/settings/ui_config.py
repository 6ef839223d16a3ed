"""The page's defaults as people edit them in ui-config.json: value, limits, step and visibility of each control."""

import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from modules.files import SaveError, write_text_atomic
from modules.settings.options import read_json_object

# Controls that A1111 builds from scripts of its own have the script's file before their key.
_GENERATION: Final = {
    "Sampling method": "sampler.py",
    "Schedule type": "sampler.py",
    "Sampling steps": "sampler.py",
    "Seed": "seed.py",
    "Extra": "seed.py",
    "Variation seed": "seed.py",
    "Variation strength": "seed.py",
    "Resize seed from width": "seed.py",
    "Resize seed from height": "seed.py",
    "Refiner": "refiner.py",
    "Checkpoint": "refiner.py",
    "Switch at": "refiner.py",
}
_EXTRAS: Final = {
    label: f"postprocessing_{name}.py"
    for name, labels in {
        "upscale": (
            *("Upscaler 1", "Upscaler 2", "Upscaler 2 visibility"),
            *("Resize", "Max side length", "Width", "Height", "Crop to fit"),
        ),
        "split_oversized": ("Split oversized images", "Threshold", "Overlap ratio"),
        "focal_crop": (
            *("Auto focal point crop", "Focal point face weight"),
            *("Focal point entropy weight", "Focal point edges weight"),
        ),
        "autosized_crop": (
            *("Auto-sized crop", "Dimension lower bound", "Dimension upper bound"),
            *("Area lower bound", "Area upper bound", "Resizing objective", "Error threshold"),
        ),
    }.items()
    for label in labels
}
_FILES: Final = {"txt2img": _GENERATION, "img2img": _GENERATION, "extras": _EXTRAS}
# Which tab is open at first.
_SELECTED: Final = "webui/Tabs@tabs/selected"


class UiConfigError(RuntimeError):
    """ui-config.json can't be written; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the file may say about one control; None where the control has no such thing."""

    value: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a control stands: on which tab, under which label, and in which script's part of it, by its file."""

    tab: str
    label: str
    script: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """What its keys begin with: A1111's first, then what else is understood."""
        plain = f"{self.tab}/{self.label}"
        if self.script:
            return (f"customscript/{self.script}/{plain}",)
        file = _FILES.get(self.tab, {}).get(self.label)
        return (plain,) if file is None else (f"customscript/{file}/{plain}", plain)


class UiConfig:
    """ui-config.json: a flat object with keys `<tab>/<label>/<field>`. Entries of unknown controls stay.

    `notices` says which entries are of no use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._entries, notices, self._lost = read_json_object(path)
        self.notices: tuple[str, ...] = tuple(notices)

    def control(self, place: Place, declared: Control, choices: Sequence[str] = ()) -> Control:
        """The control as the file wants it: `declared`, with every usable entry in its place.

        An entry of another kind than the declared one (a text for a number), or a value that is none of `choices`, is
        left aside, as an old file may hold one.
        """
        with self._lock:
            found: dict[str, Any] = {}
            for one in fields(Control):
                key = self._key(place, one.name)
                if key not in self._entries:
                    continue
                meant = _converted(getattr(declared, one.name), self._entries[key])
                if not _usable(getattr(declared, one.name), meant):
                    self._notice(key, "it is of another kind than the control's")
                elif one.name == "value" and choices and meant not in (None, *choices):
                    self._notice(key, "it is none of the control's choices")
                else:
                    found[one.name] = meant
        return _sound(replace(declared, **found), declared)

    def save(self, controls: Mapping[Place, Control]) -> tuple[str, ...]:
        """Write these controls by their place; returns the keys whose entry changed. Raises UiConfigError."""
        with self._lock:
            entries = self._read_again()
            for place, control in controls.items():
                wanted = {one.name: getattr(control, one.name) for one in fields(Control)}
                for name, value in wanted.items():
                    if value is not None or name == "value":
                        entries[self._key(place, name)] = value
            changed = tuple(
                key for key, value in entries.items() if key not in self._entries or self._entries[key] != value
            )
            if changed:
                self._write(entries)
            return changed

    def selected(self, tabs: Sequence[str]) -> str | None:
        """Which of these tabs is open at first; None where the file names none of them."""
        with self._lock:
            wanted = self._entries.get(_SELECTED)
        return wanted if isinstance(wanted, str) and wanted in tabs else None

    def forget(self, places: Iterable[Place]) -> None:
        """Remove the entries of these controls, so that their declared defaults apply again. Raises UiConfigError."""
        keys = {f"{key}/{one.name}" for place in places for key in place.keys for one in fields(Control)}
        with self._lock:
            entries = {key: value for key, value in self._read_again().items() if key not in keys}
            if entries != self._entries:
                self._write(entries)

    def _read_again(self) -> dict[str, Any]:
        """A copy of the entries as the file has them now: people edit it while the program runs."""
        self._entries, notices, self._lost = read_json_object(self.path)
        self.notices = tuple(dict.fromkeys((*self.notices, *notices)))
        return dict(self._entries)

    def _key(self, place: Place, name: str) -> str:
        """The key that the file has for this, else A1111's."""
        keys = [f"{key}/{name}" for key in place.keys]
        return next((key for key in keys if key in self._entries), keys[0])

    def _notice(self, key: str, why: str) -> None:
        value = repr(self._entries[key])
        shown = value if len(value) <= 60 else f"{value[:57]}..."
        self.notices = (*self.notices, f"{self.path.name}: {key} is {shown}: {why}. The control's own default applies.")

    def _write(self, entries: dict[str, Any]) -> None:
        if self._lost:
            raise UiConfigError(
                f"{self.path} was not understood, so nothing is saved over it: move it away and restart."
            )
        try:
            write_text_atomic(self.path, json.dumps(entries, indent=4, ensure_ascii=False))
        except SaveError as problem:
            raise UiConfigError(f"The page's defaults can't be saved: {problem}") from problem
        self._entries = entries


def _converted(declared: object, written: object) -> object:
    # A1111's seeds are numbers; texts hold larger ones.
    if isinstance(declared, str) and isinstance(written, int) and not isinstance(written, bool):
        return str(written)
    return written


def _usable(declared: object, written: object) -> bool:
    if declared is None:
        return written is None or isinstance(written, str)
    if isinstance(declared, bool) or isinstance(written, bool):
        return isinstance(declared, bool) and isinstance(written, bool)
    if isinstance(declared, int | float):
        return isinstance(written, int | float) and math.isfinite(written)
    return isinstance(written, type(declared))


def _sound(wanted: Control, declared: Control) -> Control:
    """Limits that leave no room, and a value outside of them, are those of the declaration."""
    low, high = wanted.minimum, wanted.maximum
    if low is not None and high is not None and low >= high:
        wanted = replace(wanted, minimum=declared.minimum, maximum=declared.maximum)
    if wanted.step is not None and wanted.step <= 0:
        wanted = replace(wanted, step=declared.step)
    if isinstance(wanted.value, int | float) and wanted.minimum is not None and wanted.maximum is not None:
        return replace(wanted, value=min(max(wanted.value, wanted.minimum), wanted.maximum))
    return wanted
