"""How scripts are called in the ids of elements, and which of them a tab has. Needs no Gradio."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from modules.features.declaration import Argument, Script
from modules.features.table import ALWAYS_ON

_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
# The only argument, for the page, of a group of features: a unit for each, by its title.
FORM: Final = Argument("features", "Features", [], "units")
GROUPS: Final = tuple(dict.fromkeys(script.group for script in ALWAYS_ON if script.group))


def slug(script: Script) -> str:
    """The script's title as part of an element's id."""
    return slug_of(script.title)


def slug_of(title: str) -> str:
    """A title as part of an element's id."""
    return _NO_WORD.sub("_", title.lower()).strip("_")


def on_tab(scripts: tuple[Script, ...], mode: str) -> Iterator[Script]:
    """Those of `scripts` that this tab has."""
    return (script for script in scripts if mode in script.tabs)


def of_group(group: str, mode: str) -> tuple[Script, ...]:
    """A group's features on a tab."""
    return tuple(script for script in on_tab(ALWAYS_ON, mode) if script.group == group)
