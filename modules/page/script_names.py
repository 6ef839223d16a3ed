"""How scripts are called in the ids of elements, and which of them a tab has. Needs no Gradio."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from modules.features.declaration import Script

_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


def slug(script: Script) -> str:
    """The script's title as part of an element's id."""
    return _NO_WORD.sub("_", script.title.lower()).strip("_")


def on_tab(scripts: tuple[Script, ...], mode: str) -> Iterator[Script]:
    """Those of `scripts` that this tab has."""
    return (script for script in scripts if mode in script.tabs)
