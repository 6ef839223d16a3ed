"""The files that a merge reads, and what it must know about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import Family, family_of
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import TensorFile

# The UNet's first convolution, whose input channels are those of a kind of checkpoint.
UNET_INPUT: Final = "model.diffusion_model.input_blocks.0.0.weight"
_WIDE: Final = {9: "inpainting", 8: "instruct-pix2pix"}


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A checkpoint as metadata name it. `name` is without suffix, "/" as "_"; a sha256 may be unknown."""

    path: Path
    name: str
    sha256: str | None
    legacy_hash: str | None


def check_checkpoints(files: Sequence[TensorFile]) -> None:
    """Refuse what can't be merged with the first file. Raises CheckpointError naming one that is none, or another's."""
    for file in files:
        kind = classify_tensors(file.shapes)
        if kind is not ModelKind.CHECKPOINT:
            raise CheckpointError(f"{file.path.name} is not a checkpoint but {kind.value}.")
    first, *others = files
    family = family_of(first.shapes)
    for other in others:
        its = family_of(other.shapes)
        if its is None or family is None or not _have_one_layout(its, family):
            labels = [one.label if one else "of no known family" for one in (its, family)]
            raise CheckpointError(
                f"{other.path.name} is {labels[0]}, and {first.path.name} is {labels[1]}: "
                "only checkpoints of one family can be merged."
            )


def _have_one_layout(one: Family, other: Family) -> bool:
    """Whether families have the same tensors: what CosXL learned can be added to other checkpoints of SDXL."""
    return one.text_encoders == other.text_encoders and one.added_numbers == other.added_numbers


def merged_channels(name: str, a: TensorFile, b: TensorFile) -> int | None:
    """How many input channels of A's tensor `name` B has a value for; None if B has the whole.

    Raises:
        CheckpointError: B's is wider, or of another shape altogether.
    """
    ours, theirs = a.shapes[name], b.shapes[name]
    if ours == theirs:
        return None
    same_but_channels = len(ours) == len(theirs) == 4 and (ours[0], ours[2:]) == (theirs[0], theirs[2:])
    if same_but_channels and name == UNET_INPUT:
        if ours[1] in _WIDE and theirs[1] == 4:
            return 4
        if theirs[1] in _WIDE and ours[1] == 4:
            raise CheckpointError(
                f"{b.path.name} is an {_WIDE[theirs[1]]} model and {a.path.name} is none: "
                "choose the former as primary model (A)."
            )
    raise CheckpointError(
        f"{b.path.name} can't be merged with {a.path.name}: {name} has the shape {list(theirs)} in one "
        f"and {list(ours)} in the other."
    )


def wide_suffix(files: Sequence[TensorFile]) -> str:
    """What the name of the result ends with where a wider A is merged with others, as in A1111; else ""."""
    channels = [_input_channels(file) for file in files]
    return f".{_WIDE[channels[0]]}" if channels[0] in _WIDE and 4 in channels[1:] else ""


def _input_channels(file: TensorFile) -> int:
    """Channels that the UNet takes; 0 where the file has no such convolution."""
    shape = file.shapes.get(UNET_INPUT, ())
    return shape[1] if len(shape) == 4 else 0
