"""The modules of a checkpoint without their weights, and where in its file the weights lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, Protocol, Self

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Stack

from modules.catalogue.hints import ModelHints, gather_hints
from modules.catalogue.tensor_shapes import Shapes
from modules.families import Family, TextEncoderFacts, TextLayout
from modules.hardware.model_configs import DenoiserModule
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.empty_weights import empty_weights
from modules.weights.fill import M, SourceOf
from modules.weights.model import TextEncoder
from modules.weights.original_names import TensorSource, openclip_source, unet_original_name
from modules.weights.qwen3_shapes import infer_qwen3
from modules.weights.t5_shapes import infer_t5, t5_source
from modules.weights.tensor_file import TensorFile
from modules.weights.text_shapes import infer_text_encoder
from modules.weights.transformers import TRANSFORMERS, DenoiserShape, TransformerFiles, TransformerShape
from modules.weights.unet_shapes import UnetShape, infer_unet


@dataclass(frozen=True, slots=True)
class Outline(Generic[M]):
    """How a module is made, and where in the file its parameters are found."""

    make: Callable[[], M]
    source_of: SourceOf


class TextShape(Protocol):
    """What the shapes of a text encoder's weights say, whatever it is made of."""

    @property
    def hidden(self) -> int: ...

    @property
    def projected(self) -> int | None: ...


def denoiser_outline(
    file: TensorFile, family: Family, hints: ModelHints
) -> tuple[Outline[DenoiserModule], DenoiserShape]:
    """What makes the picture. Raises CheckpointError where its shapes make none."""
    prefix = family.file_prefix(file.shapes)
    shapes = file.below(prefix)
    if (kind := TRANSFORMERS.get(family.denoiser)) is not None:
        return _transformer_outline(file, prefix, shapes, kind)
    return _unet_outline(file, prefix, shapes, hints)


def _unet_outline(
    file: TensorFile, prefix: str, shapes: Shapes, hints: ModelHints
) -> tuple[Outline[DenoiserModule], UnetShape]:
    shape = infer_unet(shapes)
    config = shape.config(hints.unet_groups, hints.unet_heads)

    def source_of(name: str) -> TensorSource:
        return TensorSource(prefix + unet_original_name(name, shape.layers_per_block, shape.attention))

    return Outline(lambda: constructed(UNet2DConditionModel, config, file.path.name, "UNet"), source_of), shape


def _transformer_outline(
    file: TensorFile, prefix: str, shapes: Shapes, kind: TransformerFiles
) -> tuple[Outline[DenoiserModule], TransformerShape]:
    shape = kind.infer(shapes)

    def source_of(name: str) -> TensorSource:
        source = kind.source(name, shapes)
        return replace(source, name=prefix + source.name)

    def make() -> DenoiserModule:
        return constructed(kind.make, shape.config(), file.path.name, "transformer")

    return Outline(make, source_of), shape


@dataclass(frozen=True, slots=True)
class TextPart:
    """One text encoder of a checkpoint: the file that it lies in, how it is made, and what its shapes say.

    `width` are the channels that it conditions with.
    """

    file: TensorFile
    outline: Outline[TextEncoder]
    shape: TextShape
    width: int


def text_encoder_parts(
    file: TensorFile, apart: Sequence[TensorFile], family: Family, hints: ModelHints
) -> list[TextPart]:
    """The text encoders of a checkpoint, in the family's order, some of them perhaps in files of their own.

    Raises CheckpointError where one is missing, where two files hold the same one, and for a file that holds none.
    """
    heads = hints.text_heads or ()
    found = [
        _text_part(file, apart, facts, heads[min(index, len(heads) - 1)] if heads else None)
        for index, facts in enumerate(family.text_encoders)
    ]
    used = {part.file.path for part in found}
    idle = next((one for one in apart if one.path not in used), None)
    if idle is not None:
        raise CheckpointError(f"{idle.path.name} is no text encoder of {family.label}: choose other modules.")
    return found


def _text_part(file: TensorFile, apart: Sequence[TensorFile], facts: TextEncoderFacts, heads: int | None) -> TextPart:
    holding = [one for one in apart if facts.prefix_in(one.shapes) is not None]
    if len(holding) > 1:
        raise CheckpointError(
            f"{holding[0].path.name} and {holding[1].path.name} are two text encoders of one kind ({facts.role}): "
            "choose one of them."
        )
    holder = holding[0] if holding else file
    prefix = facts.prefix_in(holder.shapes)
    if prefix is None:
        raise CheckpointError(
            f"{file.path.name} has no text encoder inside ({facts.prefixes[0]}*), so it can't read a prompt; "
            "a complete checkpoint is needed."
        )
    return _PARTS[facts.layout](holder, facts, prefix, heads)


def _qwen3_part(file: TensorFile, facts: TextEncoderFacts, prefix: str, heads: int | None) -> TextPart:
    shape = infer_qwen3(file.below(prefix))
    if facts.joined_states:
        # What lies behind the last hidden state that conditions isn't needed, but for a layer: the norm behind the last
        # layer changes its hidden state.
        needed = max(facts.joined_states) + 1
        if shape.layers < needed:
            raise CheckpointError(
                f"The text encoder in {file.path.name} has {shape.layers} layers, and its hidden states up to layer "
                f"{needed} are needed: choose another text encoder."
            )
        shape = replace(shape, layers=needed)

    def make() -> TextEncoder:
        encoder: TextEncoder = constructed(
            lambda **values: Qwen3Model(Qwen3Config(**values)), shape.config(), file.path.name, "text encoder"
        )
        return encoder

    outline = Outline(make, lambda name: TensorSource(f"{prefix}model.{name}"))
    return TextPart(file, outline, shape, facts.context_width(shape.hidden))


def _t5_part(file: TensorFile, facts: TextEncoderFacts, prefix: str, heads: int | None) -> TextPart:
    shape = infer_t5(file.below(prefix))

    def make() -> TextEncoder:
        encoder: TextEncoder = constructed(
            lambda **values: T5Stack(T5Config(**values)), shape.config(), file.path.name, "text encoder"
        )
        return encoder

    def source_of(name: str) -> TensorSource:
        source = t5_source(name)
        return replace(source, name=prefix + source.name)

    return TextPart(file, Outline(make, source_of), shape, facts.context_width(shape.hidden))


def _clip_part(file: TensorFile, facts: TextEncoderFacts, prefix: str, heads: int | None) -> TextPart:
    shape = infer_text_encoder(file.below(prefix), facts.layout)
    config = shape.config(heads, facts.activation)
    wanted = CLIPTextModelWithProjection if facts.pooled and facts.projected else CLIPTextModel

    def make() -> TextEncoder:
        encoder: TextEncoder = constructed(
            lambda **values: wanted(CLIPTextConfig(**values)), config, file.path.name, "CLIP"
        )
        return encoder

    def source_of(name: str) -> TensorSource:
        bare = name.removeprefix("text_model.")
        source = openclip_source(bare) if facts.layout == "openclip" else TensorSource(bare)
        return replace(source, name=prefix + source.name)

    return TextPart(file, Outline(make, source_of), shape, facts.context_width(shape.hidden))


_PARTS: Final[Mapping[TextLayout, Callable[[TensorFile, TextEncoderFacts, str, int | None], TextPart]]] = {
    "transformers": _clip_part,
    "openclip": _clip_part,
    "qwen3": _qwen3_part,
    "t5": _t5_part,
}


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
    """A checkpoint's UNet and text encoders, their parameters without values; names as in a loaded `Model`.

    Text encoders that lie in other files are not among them, nor among those of its `family`.
    """

    unet: DenoiserModule
    text_encoders: tuple[TextEncoder, ...]
    family: Family
    sources: tuple[SourceOf, ...]
    """Of the UNet, then of each text encoder."""

    @classmethod
    def of(cls, file: TensorFile, family: Family) -> Self:
        """The modules of a checkpoint of this family. Raises CheckpointError where the file has no whole ones."""
        hints = gather_hints(file.path, file.metadata)
        unet, _ = denoiser_outline(file, family, hints)
        inside = tuple(facts for facts in family.text_encoders if facts.prefix_in(file.shapes) is not None)
        family = replace(family, text_encoders=inside)
        texts = [part.outline for part in text_encoder_parts(file, (), family, hints)]
        with empty_weights():
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
