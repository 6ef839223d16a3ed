"""The page's defaults as people edit them in ui-config.json: value, limits, step and visibility of each control."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from modules.settings.atomic import SaveError, write_text_atomic
from modules.settings.options import read_json_object


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


class UiConfig:
    """ui-config.json: a flat object with keys `<tab>/<label>/<field>`. Entries of unknown controls are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._entries, notices = read_json_object(path)
        self.notices: tuple[str, ...] = tuple(notices)

    def control(self, tab: str, label: str, declared: Control) -> Control:
        """The control as the file wants it: `declared`, with every usable entry in its place.

        An entry of another kind than the declared one (a text for a number) is left aside, as an old file may hold one.
        """
        with self._lock:
            found = {
                one.name: self._entries[key]
                for one in fields(Control)
                if (key := f"{tab}/{label}/{one.name}") in self._entries
                and _usable(getattr(declared, one.name), self._entries[key])
            }
        return replace(declared, **found)

    def save(self, controls: Mapping[tuple[str, str], Control]) -> tuple[str, ...]:
        """Write these controls by (tab, label); returns the keys whose entry changed. Raises UiConfigError."""
        with self._lock:
            entries = dict(self._entries)
            for (tab, label), control in controls.items():
                entries.update(_entries_of(tab, label, control))
            changed = tuple(
                key for key, value in entries.items() if key not in self._entries or self._entries[key] != value
            )
            if changed:
                self._write(entries)
            return changed

    def forget(self, tab: str, label: str) -> None:
        """Let a control have its declared defaults again. Raises UiConfigError."""
        with self._lock:
            prefix = f"{tab}/{label}/"
            entries = {key: value for key, value in self._entries.items() if not key.startswith(prefix)}
            if entries != self._entries:
                self._write(entries)

    def _write(self, entries: dict[str, Any]) -> None:
        try:
            write_text_atomic(self.path, json.dumps(entries, indent=4, ensure_ascii=False))
        except SaveError as problem:
            raise UiConfigError(f"The page's defaults can't be saved: {problem}") from problem
        self._entries = entries


def _entries_of(tab: str, label: str, control: Control) -> dict[str, Any]:
    told = {one.name: getattr(control, one.name) for one in fields(Control)}
    return {f"{tab}/{label}/{name}": value for name, value in told.items() if value is not None or name == "value"}


def _usable(declared: object, written: object) -> bool:
    if declared is None:
        return written is None or isinstance(written, str)
    if isinstance(declared, bool) or isinstance(written, bool):
        return isinstance(declared, bool) and isinstance(written, bool)
    if isinstance(declared, int | float):
        return isinstance(written, int | float)
    return isinstance(written, type(declared))
