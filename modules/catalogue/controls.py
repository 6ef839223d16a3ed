"""Control models as lists name them, and the one that a name means.

Behaviour reproduced: sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.entries import ModelFile
from modules.catalogue.model_errors import ModelNotFoundError
from modules.files import comparable

CONTROL_SUFFIXES: Final = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
_HASH = re.compile(r"\s*\[[0-9a-fA-F]*\]\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFile(ModelFile):
    """A file of a control model."""

    legacy_hash: str

    @property
    def title(self) -> str:
        """By which units, requests and infotexts name it."""
        return f"{self.stem} [{self.legacy_hash}]" if self.legacy_hash else self.stem


def find_control(wanted: str, files: Sequence[ControlFile], folder: Path | None) -> ControlFile:
    """The file that `wanted` means: its title; else its stem in any case, whatever hash is behind it; else the shortest
    title that contains it.

    Raises:
        ModelNotFoundError: there is none; the sentence names the nearest ones, or the `folder` where files belong.
    """
    exact = comparable(wanted.strip())
    bare = _HASH.sub("", exact).lower()
    for file in files:
        if comparable(file.title) == exact:
            return file
    for file in files:
        if comparable(file.stem).lower() == bare:
            return file
    inside = [file for file in files if bare and bare in comparable(file.title).lower()]
    if inside:
        return min(inside, key=lambda file: len(file.title))
    if not files:
        raise ModelNotFoundError(f"There is no control model; put its file into {folder} and press refresh.")
    near = difflib.get_close_matches(bare, [file.stem for file in files], 2, 0.4)
    hint = (
        f"; the nearest are {' and '.join(near)}." if len(near) > 1 else f"; did you mean {near[0]}?" if near else "."
    )
    raise ModelNotFoundError(f"No control model is called {wanted[:80]!r}{hint}")
