"""The modules of a checkpoint without their weights, and where in its file the weights lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Self

from accelerate.big_modeling import init_empty_weights
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.catalogue.hints import ModelHints, gather_hints
from modules.families import UNET_PREFIX, Family, TextEncoderFacts
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import M, SourceOf
from modules.weights.model import TextEncoder
from modules.weights.original_names import TensorSource, openclip_source, unet_original_name
from modules.weights.tensor_file import TensorFile
from modules.weights.text_shapes import TextEncoderShape, infer_text_encoder
from modules.weights.unet_shapes import UnetShape, infer_unet


@dataclass(frozen=True, slots=True)
class Outline(Generic[M]):
    """How a module is made, and where in the file its parameters are found."""

    make: Callable[[], M]
    source_of: SourceOf


def unet_outline(file: TensorFile, hints: ModelHints) -> tuple[Outline[UNet2DConditionModel], UnetShape]:
    """The UNet of a checkpoint. Raises CheckpointError where its shapes make no UNet."""
    shape = infer_unet(file.below(UNET_PREFIX))
    config = shape.config(hints.unet_groups, hints.unet_heads)

    def source_of(name: str) -> TensorSource:
        return TensorSource(UNET_PREFIX + unet_original_name(name, shape.layers_per_block, shape.attention))

    return Outline(lambda: constructed(UNet2DConditionModel, config, file.path.name, "UNet"), source_of), shape


def text_encoder_outlines(
    file: TensorFile, family: Family, hints: ModelHints
) -> list[tuple[Outline[TextEncoder], TextEncoderShape]]:
    """The text encoders of a checkpoint, in the family's order. Raises CheckpointError where one is missing."""
    heads = hints.text_heads or ()
    return [
        _text_encoder(file, facts, heads[min(index, len(heads) - 1)] if heads else None)
        for index, facts in enumerate(family.text_encoders)
    ]


def _text_encoder(
    file: TensorFile, facts: TextEncoderFacts, heads: int | None
) -> tuple[Outline[TextEncoder], TextEncoderShape]:
    prefix = facts.prefix_in(file.shapes)
    if prefix is None:
        raise CheckpointError(
            f"{file.path.name} has no text encoder inside ({facts.prefixes[0]}*), so it can't read a prompt; "
            "a complete checkpoint is needed."
        )
    shape = infer_text_encoder(file.below(prefix), facts.layout)
    config = shape.config(heads, facts.activation)
    wanted = CLIPTextModelWithProjection if facts.pooled else CLIPTextModel

    def make() -> TextEncoder:
        encoder: TextEncoder = constructed(
            lambda **values: wanted(CLIPTextConfig(**values)), config, file.path.name, "CLIP"
        )
        return encoder

    def source_of(name: str) -> TensorSource:
        bare = name.removeprefix("text_model.")
        source = openclip_source(bare) if facts.layout == "openclip" else TensorSource(bare)
        return replace(source, name=prefix + source.name)

    return Outline(make, source_of), shape


def constructed(make: Callable[..., M], config: dict[str, object], file_name: str, part: str) -> M:
    """Construct a module; a configuration that its class refuses becomes our sentence."""
    try:
        return make(**config)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"The {part} of {file_name} can't be built: {error} A small model must state what shapes don't tell, "
            f"such as webui.unet.norm_num_groups or webui.unet.attention_heads, in {Path(file_name).stem}.json."
        ) from error


@dataclass(frozen=True, slots=True)
class EmptyModel:
    """A checkpoint's UNet and text encoders, their parameters without values; names as in a loaded `Model`."""

    unet: UNet2DConditionModel
    text_encoders: tuple[TextEncoder, ...]
    family: Family
    sources: tuple[SourceOf, ...]
    """Of the UNet, then of each text encoder."""

    @classmethod
    def of(cls, file: TensorFile, family: Family) -> Self:
        """The modules of a checkpoint of this family. Raises CheckpointError where the file has no whole ones."""
        hints = gather_hints(file.path, file.metadata)
        unet, _ = unet_outline(file, hints)
        texts = [outline for outline, _ in text_encoder_outlines(file, family, hints)]
        with init_empty_weights():
            made = unet.make(), tuple(text.make() for text in texts)
        return cls(*made, family, (unet.source_of, *(text.source_of for text in texts)))

    def parts(self) -> Iterator[tuple[str, nn.Module, SourceOf]]:
        """Each module by the name that paths of its layers begin with, and where its parameters are found."""
        yield "unet", self.unet, self.sources[0]
        for index, encoder in enumerate(self.text_encoders):
            yield f"text_encoders.{index}", encoder, self.sources[1 + index]

    def source(self, path: str) -> TensorSource:
        """Where a parameter is found, by its path in the model, "unet.down_blocks…" or "text_encoders.0…"."""
        part, _, name = path.partition(".")
        if part == "unet":
            return self.sources[0](name)
        index, _, name = name.partition(".")
        return self.sources[1 + int(index)](name)
