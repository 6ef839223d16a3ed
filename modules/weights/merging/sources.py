"""The files that a merge reads, and what it must know about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import Family, family_of
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.scaled_weights import has_scales
from modules.weights.tensor_file import TensorFile
from modules.weights.transformers import TRANSFORMERS

# The UNet's first convolution, whose input channels are those of a kind of checkpoint.
UNET_INPUT: Final = "model.diffusion_model.input_blocks.0.0.weight"
_OF_MODEL: Final = "model"
# Of files that hold all in one.
_OTHER_PARTS: Final = ("vae.", "text_encoders.")
_WIDE: Final = {9: "inpainting", 8: "instruct-pix2pix"}


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A checkpoint as metadata name it. `name` is without suffix, "/" as "_"; a sha256 may be unknown."""

    path: Path
    name: str
    sha256: str | None
    legacy_hash: str | None


def check_checkpoints(files: Sequence[TensorFile]) -> None:
    """Refuse what can't be merged with the first file. Raises CheckpointError naming one that is none, another's, or
    in another layout.
    """
    for file in files:
        kind = classify_tensors(file.shapes)
        if kind is not ModelKind.CHECKPOINT:
            raise CheckpointError(f"{file.path.name} is not a checkpoint but {kind.value}.")
    first, *others = files
    for file in files if others else ():
        check_unscaled(file)
    family = family_of(first.shapes)
    for other in others:
        its = family_of(other.shapes)
        if its is None or family is None or not _have_one_layout(its, family):
            labels = [one.label if one else "of no known family" for one in (its, family)]
            raise CheckpointError(
                f"{other.path.name} is {labels[0]}, and {first.path.name} is {labels[1]}: "
                "only checkpoints of one family can be merged."
            )
        if has_transformer(family) and (lacking := _of_denoiser(first) - other.shapes.keys()):
            raise CheckpointError(
                f"{other.path.name} lacks {len(lacking)} tensors of {first.path.name}, first {min(lacking)}: their "
                "layouts differ (ComfyUI's, diffusers', or all in one file); choose files of one layout."
            )


def _of_denoiser(file: TensorFile) -> set[str]:
    return {name for name in file.shapes if not name.startswith(_OTHER_PARTS)}


def check_unscaled(file: TensorFile) -> None:
    """Raises CheckpointError where products with scales would have to be changed, not the numbers that are stored."""
    if has_scales(file):
        raise CheckpointError(
            f"{file.path.name} keeps its weights in few bits with scales beside them, which can't be merged: "
            "choose a file in 16 or 32 bits."
        )


def names_of_model(family: Family) -> Callable[[str], bool]:
    """Whether a tensor of a checkpoint is the model's, by its name.

    In files of Stable Diffusion those are whose names contain "model", as in A1111; the rest are constants of the noise
    schedule, and leftovers of training. Files of transformers have no such rest.
    """
    return (lambda name: True) if has_transformer(family) else lambda name: _OF_MODEL in name


def has_transformer(family: Family) -> bool:
    """Whether its denoiser is no UNet: none of its blocks are those of lists of block weights."""
    return family.denoiser in TRANSFORMERS


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
