"""The short list of models that the page offers: `offered.json`, the one place to add one.

Sizes are for reading; what decides is the SHA-256, the list's where it has one, else the one that the site states.
Where a file comes from several places, the list names the one whose licence lets it be passed on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from modules.downloads.addresses import place_of
from modules.downloads.sites import RemoteFile, Sites

_FILE: Final = Path(__file__).with_name("offered.json")


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file of an offered model: a place on Hugging Face as place_of reads it, or an address on another host."""

    address: str
    kind: str
    size: int
    sha256: str = ""

    @property
    def name(self) -> str:
        return PurePosixPath(self.address).name


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model with all that it needs. `card` is the memory of a card that it runs on, in words."""

    id: str
    title: str
    text: str
    licence: str
    page: str
    card: str
    files: tuple[OfferedFile, ...]


@cache
def offered_models() -> tuple[OfferedModel, ...]:
    """The list in its order."""
    listed = json.loads(_FILE.read_text("utf-8"))["models"]
    return tuple(
        OfferedModel(**{**one, "files": tuple(OfferedFile(**file) for file in one["files"])}) for one in listed
    )


def found(file: OfferedFile, sites: Sites) -> RemoteFile:
    """Where a file of the list is now. Raises DownloadError and ConnectionLost."""
    if "://" in file.address:
        return RemoteFile(file.name, file.address, file.size, file.sha256, file.kind)
    there = sites.look_up(place_of(file.address)).files[0]
    return replace(there, kind=file.kind, sha256=file.sha256 or there.sha256)
