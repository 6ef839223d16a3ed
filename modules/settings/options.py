"""The settings that are in force: read from config.json, changed as a whole or not at all."""

import difflib
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from modules.files import SaveError, decoded, write_text_atomic
from modules.settings.flags import Flags
from modules.settings.migrations import migrated
from modules.settings.option import Option, OptionError, OptionValue
from modules.settings.sections import SECTIONS
from modules.settings.tables import OPTIONS


class OptionStore:
    """Options by key, stored in a flat JSON file that an A1111 installation wrote as well.

    Keys that are not declared here stay in the file untouched. In place of a value of the wrong kind the default
    applies; it stays in the file until the option is set. A file that isn't JSON is set aside. `notices` says both.
    Safe to use from several threads.
    """

    def __init__(
        self, path: Path, options: Mapping[str, Option] = OPTIONS, frozen: frozenset[str] = frozenset()
    ) -> None:
        self.path = path
        self.options = options
        self.frozen = frozen
        self._lock = threading.RLock()
        self._values: dict[str, OptionValue] = {}
        self._foreign: dict[str, Any] = {}
        self._lost = False
        self.notices: tuple[str, ...] = ()
        self.reload()

    def reload(self) -> None:
        """Read the file again."""
        content, notices, lost = read_json_object(self.path)
        written = migrated(content)
        values: dict[str, OptionValue] = {}
        foreign: dict[str, Any] = {}
        for key, value in written.items():
            option = self.options.get(key)
            if option is None:
                foreign[key] = value
                continue
            try:
                values[key] = option.checked(value)
            except OptionError as problem:
                foreign[key] = value
                notices.append(f"{self.path.name}: {problem} The default applies.")
        with self._lock:
            self._values, self._foreign, self.notices = values, foreign, tuple(notices)
            self._lost = lost

    def get(self, key: str) -> OptionValue:
        """The value in force. Raises OptionError for a key that isn't declared."""
        # Without the lock, which is held while the file is written: what is in force is replaced as a whole.
        return self._values.get(key, self._option(key).default)

    def switch(self, key: str) -> bool:
        """The value of a switch."""
        return cast(bool, self._typed(key, "switch"))

    def whole(self, key: str) -> int:
        """The value of a whole number."""
        return cast(int, self._typed(key, "whole"))

    def number(self, key: str) -> float:
        """The value of a number."""
        return float(cast(float, self._typed(key, "number", "whole")))

    def text(self, key: str) -> str:
        """The value of a text, choice or colour; "" when nothing is chosen."""
        return cast(str | None, self._typed(key, "text", "choice", "colour")) or ""

    def texts(self, key: str) -> tuple[str, ...]:
        """The value of a list of texts."""
        return cast(tuple[str, ...], self._typed(key, "texts"))

    def as_dict(self) -> dict[str, Any]:
        """Every declared option as JSON, for /sdapi/v1/options."""
        with self._lock:
            return {key: as_json(self._values.get(key, option.default)) for key, option in self.options.items()}

    def changed_from_default(self) -> tuple[str, ...]:
        """Keys whose value is not the default."""
        return tuple(key for key, option in self.options.items() if self.get(key) != option.default)

    def update(
        self, changes: Mapping[str, object], *, through_api: bool = False, skip_unknown: bool = False
    ) -> tuple[str, ...]:
        """Check all of `changes`, save them, then apply them; returns the keys whose value changed.

        Nothing applies when one value is refused or the file can't be written (OptionError). A client that sends the
        whole list back is not refused for frozen or API-protected options that it leaves as they are.
        """
        with self._lock:
            values = dict(self._values)
            changed = []
            for key, value in changes.items():
                if skip_unknown and key not in self.options:
                    continue
                option = self._option(key)
                checked = option.checked(value)
                if checked == self.get(key):
                    continue
                self._refuse_protected(option, through_api)
                values[key] = checked
                changed.append(key)
            if changed:
                foreign = {key: value for key, value in self._foreign.items() if key not in changed}
                self._save(values, foreign)
                self._values, self._foreign = values, foreign
            return tuple(changed)

    def reset(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Set options back to their defaults; returns the keys whose value changed."""
        return self.update({key: self._option(key).default for key in keys})

    def snapshot(self, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
        """What a job carries, as JSON: every option that changes a picture or how it is saved, `overrides` in place.

        The store itself stays as it is, so an override never outlives its request. Raises OptionError.
        """
        checked = {key: self._option(key).checked(value) for key, value in (overrides or {}).items()}
        with self._lock:
            return {
                key: as_json(checked[key] if key in checked else self._values.get(key, option.default))
                for key, option in self.options.items()
                if option.changes_picture or option.travels
            }

    def _option(self, key: str) -> Option:
        option = self.options.get(key)
        if option is None:
            near = difflib.get_close_matches(key, self.options, n=1)
            raise OptionError(f"There is no setting {key[:80]!r}" + (f"; did you mean {near[0]!r}?" if near else "."))
        return option

    def _typed(self, key: str, *kinds: str) -> OptionValue:
        option = self._option(key)
        if option.kind not in kinds:
            raise OptionError(f"The setting {key} is a {option.kind}, not a {kinds[0]}.")
        return self.get(key)

    def protection(self, key: str, *, through_api: bool = False) -> str:
        """Why an option can't be changed, as a sentence; empty when it can."""
        if key in self.frozen:
            return f"The setting {key} is frozen by a command line flag (--freeze-settings and its kin)."
        if through_api and self._option(key).restrict_api:
            return f"The setting {key} can't be changed through the API; change it on the settings page."
        return ""

    def _refuse_protected(self, option: Option, through_api: bool) -> None:
        refusal = self.protection(option.key, through_api=through_api)
        if refusal:
            raise OptionError(refusal)

    def _save(self, values: Mapping[str, OptionValue], foreign: Mapping[str, Any]) -> None:
        declared = {key: as_json(values.get(key, option.default)) for key, option in self.options.items()}
        if self.path.is_file() and not os.access(self.path, os.R_OK):
            # What stands in it is unknown here, and would be lost.
            raise OptionError(
                f"{self.path} may not be read by this program, so nothing is saved over it: check its owner."
            )
        if self._lost:
            raise OptionError(f"{self.path} was not understood, so nothing is saved over it: move it away and restart.")
        try:
            write_text_atomic(self.path, json.dumps({**declared, **foreign}, indent=4, ensure_ascii=False))
        except SaveError as problem:
            raise OptionError(f"The settings can't be saved, and nothing was changed: {problem}") from problem


def frozen_keys(flags: Flags, options: Mapping[str, Option] = OPTIONS) -> frozenset[str]:
    """Keys that --freeze-settings, --freeze-settings-in-sections and --freeze-specific-settings hold as they are."""
    if flags.freeze_settings:
        return frozenset(options)
    sections = {name.lower() for name in _listed(flags.freeze_settings_in_sections)}
    named = set(_listed(flags.freeze_specific_settings))
    return frozenset(
        key
        for key, option in options.items()
        if key in named or option.section.lower() in sections or SECTIONS[option.section].lower() in sections
    )


def unknown_frozen(flags: Flags, options: Mapping[str, Option] = OPTIONS) -> tuple[str, ...]:
    """What those flags name that is neither a setting nor a section: a person may think that it is locked."""
    sections = {name.lower() for option in options.values() for name in (option.section, SECTIONS[option.section])}
    given = (
        ("--freeze-specific-settings", "setting", _listed(flags.freeze_specific_settings), set(options)),
        ("--freeze-settings-in-sections", "section", _listed(flags.freeze_settings_in_sections), sections),
    )
    return tuple(
        f"{flag} names {name[:80]!r}, which is no {kind} of this program: nothing is locked by it."
        for flag, kind, names, known in given
        for name in names
        if name not in known and name.lower() not in known
    )


def as_json(value: OptionValue) -> bool | int | float | str | list[str] | None:
    """A value as JSON knows it: lists for tuples."""
    return list(value) if isinstance(value, tuple) else value


class JsonFile(NamedTuple):
    """What a file of settings holds. `lost`: it stays as it is, and writing it anew would lose it."""

    content: dict[str, Any]
    notices: list[str]
    lost: bool = False


def read_json_object(path: Path) -> JsonFile:
    """A JSON object from a file, and what has to be said about it.

    No file is an empty object. A file that holds anything else is renamed to `<name>.corrupt-<time>`, so that it can be
    repaired by hand, and read as empty.
    """
    try:
        content = json.loads(decoded(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return JsonFile({}, [])
    except OSError as problem:
        return JsonFile({}, [f"{path} can't be read ({problem.strerror}); defaults apply."], lost=True)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        return JsonFile(content, [])
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        path.replace(aside)
    except OSError as problem:
        notice = f"{path} isn't a JSON object and can't be set aside ({problem.strerror}); defaults apply."
        return JsonFile({}, [notice], lost=True)
    return JsonFile({}, [f"{path} isn't a JSON object; it was set aside as {aside.name} and defaults apply."])


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
