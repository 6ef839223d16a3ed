"""Extra networks by the names that prompts use: a file's stem, or what a LoRA calls itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from modules.catalogue.entries import ModelFile
from modules.files import comparable

_HASH: Final = re.compile(r"[0-9a-f]{12,64}")
# What no LoRA may be called beside its file's name: "none" is a choice of the setting sd_lora.
_FORBIDDEN: Final = frozenset({"none"})


@dataclass(frozen=True, slots=True)
class NetworkLabel:
    """What a LoRA's trainer wrote into its metadata: its name, and the hash of its tensors in small letters.

    Empty where it didn't, and where what stands there is no hash.
    """

    alias: str
    sha256: str

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self:
        """Read it from the metadata of a file."""
        stated = metadata.get("sshs_model_hash", "").lower()
        return cls(metadata.get("ss_output_name", ""), stated if _HASH.fullmatch(stated) else "")


class NetworkList:
    """The networks of one kind at one moment."""

    def __init__(self, files: tuple[ModelFile, ...], alias_of: Callable[[ModelFile], str] = lambda file: "") -> None:
        """`alias_of` is what a file calls itself, empty if it doesn't; looked up when a name is no file's stem."""
        self._alias_of = alias_of
        self._by_stem = {comparable(file.stem): file for file in files}
        self._all = files

    def find(self, name: str) -> ModelFile | None:
        """The file that a tag means by `name`, None if it is not here.

        As in A1111 of two files of one stem the last one in the folders' order, and an alias that two files share means
        neither. A stem goes before another file's alias, so that a file is always found by its own name.
        """
        wanted = comparable(name)
        return self._by_stem.get(wanted) or self._by_alias.get(wanted)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """Those that a tag can mean by their stem."""
        return tuple(self._by_stem.values())

    @property
    def names(self) -> frozenset[str]:
        """Every name by which one of them is found."""
        return frozenset((*self._by_stem, *self._by_alias))

    @cached_property
    def _by_alias(self) -> dict[str, ModelFile]:
        found: dict[str, ModelFile] = {}
        seen, shared = set[str](), set(_FORBIDDEN)
        for file in self._all:
            alias = comparable(self._alias_of(file) or file.stem)
            if alias.lower() in seen:
                shared.add(alias.lower())
            seen.add(alias.lower())
            found[alias] = file
        return {alias: file for alias, file in found.items() if alias.lower() not in shared}
