"""What a checkpoint's metadata says against its tensors, which it is read by."""

from pathlib import Path

from modules.catalogue.card_facts import base_by_name
from modules.catalogue.hints import gather_hints
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.families import Family


def contradiction(path: Path, family: Family) -> str | None:
    """What is wrong in what a checkpoint of that family states as its architecture, as a sentence; None if nothing is.

    Raises:
        ModelFileError: its metadata is malformed.
        OSError: it can't be read.
    """
    stated = gather_hints(path, read_safetensors_metadata(path)).architecture or ""
    said = base_by_name(stated)
    if not said or family.name.startswith(said):
        return None
    return (
        f"{path.name} calls itself {stated[:60]!r} in its metadata, but its tensors are those of {family.label}: "
        "it is used as that."
    )
