"""Text encoders and VAEs in files of their own: what they are, and which of them a checkpoint that lacks them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.architecture import Architecture
from modules.catalogue.entries import ModelFile
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.tensor_shapes import Shapes, read_tensor_shapes
from modules.families import TOKEN_EMBEDDING, VAE_PREFIXES, TextEncoderFacts, TextLayout

# Names of files under which text encoders are published, by their roles.
_KNOWN_AS: Final = {
    "qwen3_4b": "qwen_3_4b.safetensors",
    "qwen3_8b": "qwen_3_8b.safetensors",
    "clip_l": "clip_l.safetensors",
    "t5xxl": "t5xxl_fp16.safetensors or t5xxl_fp8_e4m3fn.safetensors",
}
# By layouts of text encoders in files of their own: what stands before their names there, and what others lack.
_TEXT_MARKS: Final[Mapping[TextLayout, tuple[str, str]]] = {
    "qwen3": ("", "model.layers.0.self_attn.q_norm.weight"),
    "t5": ("", "encoder.block.0.layer.1.DenseReluDense.wi_0.weight"),
    "transformers": ("text_model.", "text_model.embeddings.position_embedding.weight"),
}
# What UMT5 has in each block, and T5 in the first one alone.
_OF_UMT5: Final = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What a file holds: a VAE of latents with so many channels, or a text encoder of a layout and a width."""

    vae_channels: int = 0
    layout: TextLayout | None = None
    width: int = 0


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A file in the folders of VAEs or of text encoders, and what it holds."""

    file: ModelFile
    facts: PartFacts


@dataclass(frozen=True, slots=True)
class ChosenParts:
    """The files that a checkpoint takes beside its own. `vae` is None where it has one, or another is chosen."""

    vae: ModelFile | None = None
    texts: tuple[ModelFile, ...] = ()


class MissingPartError(Exception):
    """A part that a checkpoint needs isn't there, or isn't unique; the message is the sentence to show."""


def read_part(path: Path) -> PartFacts | None:
    """What the file holds; None for anything that is neither a VAE nor a text encoder known here.

    Raises:
        ModelFileError: the file is malformed.
        OSError: it can't be read.
    """
    shapes, _ = read_tensor_shapes(path)
    kind = classify_tensors(shapes)
    if kind is ModelKind.VAE:
        channels = _vae_channels(shapes)
        return PartFacts(vae_channels=channels) if channels else None
    for layout, (prefix, mark) in _TEXT_MARKS.items():
        embedding = shapes.get(prefix + TOKEN_EMBEDDING[layout], ())
        if mark in shapes and len(embedding) == 2 and _OF_UMT5 not in shapes:
            return PartFacts(layout=layout, width=embedding[1])
    return None


def _vae_channels(shapes: Shapes) -> int:
    """Channels of the latents as a denoiser has them; 0 for VAEs of other constructions (Wan)."""
    if "bn.running_mean" in shapes:
        # The statistics are of patches of what its decoder takes.
        return shapes["bn.running_mean"][0]
    found = (shapes.get(f"{prefix}decoder.conv_in.weight", ()) for prefix in ("", *VAE_PREFIXES))
    return next((shape[1] for shape in found if len(shape) == 4), 0)


def choose_parts(
    name: str, architecture: Architecture, chosen: Sequence[ModelPart], others: Sequence[ModelPart], *, needs_vae: bool
) -> ChosenParts:
    """The parts of the checkpoint `name`: those that somebody chose, and for the rest what alone fits among the others.

    Raises:
        MissingPartError: nothing fits, or several do.
    """
    family = architecture.family
    texts: list[ModelFile] = []
    each = zip(family.text_encoders, architecture.text_widths, architecture.texts_inside, strict=False)
    for facts, width in ((facts, width) for facts, width, inside in each if not inside):

        def fits(part: ModelPart, facts: TextEncoderFacts = facts, width: int = width) -> bool:
            return (part.facts.layout, part.facts.width) == (facts.layout, width)

        where = _KNOWN_AS.get(facts.role, "it"), "models/text_encoder"
        found = _only(name, f"{family.label}'s text encoder ({facts.role})", where, fits, chosen, others)
        texts.append(found.file)
    vae = None
    if needs_vae:
        found = _only(
            name, f"{family.label}'s VAE", (family.vae_file, "models/VAE"),
            lambda part: part.facts.vae_channels == family.latent_channels, chosen, others,
        )  # fmt: skip
        vae = found.file
    return ChosenParts(vae, tuple(texts))


def check_vae(name: str, architecture: Architecture, vae: ModelPart) -> None:
    """Raise MissingPartError where a VAE is for other latents than those of the checkpoint `name`."""
    wanted = architecture.family.latent_channels
    if vae.facts.vae_channels not in (0, wanted):
        raise MissingPartError(
            f"{name} works on {wanted} latent channels, and {vae.file.name} has {vae.facts.vae_channels}: "
            "choose another SD VAE, or Automatic."
        )


def _only(
    name: str,
    what: str,
    where: tuple[str, str],
    fits: Callable[[ModelPart], bool],
    chosen: Sequence[ModelPart],
    others: Sequence[ModelPart],
) -> ModelPart:
    for among, hint in ((chosen, "choose one of them"), (others, "choose one under VAE / Text Encoder in Settings")):
        fitting = [part for part in among if fits(part)]
        if len(fitting) > 1:
            listed = ", ".join(part.file.name for part in fitting[:4])
            raise MissingPartError(f"{name} needs {what}, and {listed} are each one: {hint}.")
        if fitting:
            return fitting[0]
    file, folder = where
    raise MissingPartError(f"{name} needs {what}, and no file here fits: put {file} into {folder} and press refresh.")
