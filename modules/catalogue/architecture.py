"""What a checkpoint is made of, read from the head of its file: for pages and lists, without loading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.embedding_files import vectors_for
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.tensor_shapes import Shapes, read_tensor_shapes
from modules.families import VAE_PREFIXES, Family, family_of

_UNET_INPUT: Final = "model.diffusion_model.input_blocks.0.0.weight"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A checkpoint's family, the widths of its text encoders, and how many channels its UNet takes.

    `context_width` is that of the text that it listens to, `texts_inside` and `has_vae` say whether it has its text
    encoders and its VAE inside; they are looked at in families whose parts come as files of their own.
    """

    family: Family
    text_widths: tuple[int, ...]
    unet_channels: int
    context_width: int = 0
    texts_inside: tuple[bool, ...] = ()
    has_vae: bool = True

    @property
    def has_text(self) -> bool:
        """Whether it lacks no text encoder."""
        return all(self.texts_inside)


def fits_encoders(embedding: Mapping[str, tuple[int, ...]], architecture: Architecture | None) -> bool:
    """Whether a textual inversion with tensors of these shapes is for the text encoders of a checkpoint.

    A checkpoint that says nothing of itself is taken for one with a single text encoder, as older files are.
    """
    if architecture is None:
        return len(embedding) == 1
    roles = [facts.role for facts in architecture.family.text_encoders]
    widths = {name: shape[-1] for name, shape in embedding.items() if shape}
    return vectors_for(widths, roles, architecture.text_widths) is not None


def read_architecture(path: Path) -> Architecture | None:
    """The architecture of a checkpoint; None for what is none, or of a family that is not known here.

    Raises:
        ModelFileError: the file is malformed.
        OSError: it can't be read.
    """
    shapes, _ = read_tensor_shapes(path)
    family = family_of(shapes) if classify_tensors(shapes) is ModelKind.CHECKPOINT else None
    if family is not None and family.context_layers:
        return _transformer(shapes, family)
    entry = shapes.get(_UNET_INPUT, ())
    if family is None or len(entry) != 4:
        return None
    return Architecture(family, family.text_widths(shapes), entry[1])


def _transformer(shapes: Shapes, family: Family) -> Architecture | None:
    prefix = family.file_prefix(shapes)
    context, pooled = (
        next((shapes[prefix + name] for name in names if prefix + name in shapes), ())
        for names in (family.context_layers, family.pooled_layers)
    )
    if len(context) != 2 or (family.pooled_layers and len(pooled) != 2):
        return None
    return Architecture(
        family,
        text_widths=tuple(
            pooled[1] if facts.only_pooled else context[1] // facts.context_width(1) for facts in family.text_encoders
        ),
        unet_channels=family.latent_channels,
        context_width=context[1],
        texts_inside=tuple(facts.prefix_in(shapes) is not None for facts in family.text_encoders),
        has_vae=any(name.startswith(VAE_PREFIXES) for name in shapes),
    )
