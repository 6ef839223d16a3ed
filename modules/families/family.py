"""What is known of an architecture of models, and of its parts: facts without torch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from modules.families.prediction import FlowTraining, PredictionType

UNET_PREFIX: Final = "model.diffusion_model."
# What the tensors of a VAE begin with inside of a checkpoint: in A1111's files, and in ComfyUI's.
VAE_PREFIX: Final = "first_stage_model."
VAE_PREFIXES: Final = (VAE_PREFIX, "vae.")

# How a text encoder's tensors are named: as in transformers' `CLIPTextModel`, or as in OpenCLIP, whose attention has
# query, key and value in one matrix; or as in transformers' `Qwen3ForCausalLM`, a language model, or its
# `T5EncoderModel`.
TextLayout = Literal["transformers", "openclip", "qwen3", "t5"]
# How a text encoder reads a text: in chunks of 75 tokens; whole, as a message to a language model; or whole, as it is.
ReadsText = Literal["chunks", "message", "text"]
# What makes the picture: the UNet of latent diffusion, or one of these families' transformers.
DenoiserKind = Literal["unet", "z_image", "flux", "flux2"]
# Which setting of clip skip a text encoder follows: the one for all, that of SDXL's first encoder if the option
# `sdxl_clip_l_skip` is on, or none.
ClipSkip = Literal["always", "sdxl_clip_l_skip", "never"]
# For which models the published tables of noise levels are that it uses.
StepTables = Literal["SD1", "SDXL"]
# What a UNet takes beside its text, each number as 256 sines and cosines: height and width of the picture, top and left
# of its crop, height and width that were aimed at, an aesthetic score.
AddedNumbers = Literal["size", "crop", "target", "aesthetic score"]
# What Forge's one slider means, by the label and the key in infotext that it has: by how much levels are moved towards
# the noise, or how much a model follows the text that was distilled to do so by itself.
DistilledScale = Literal["Shift", "Distilled CFG Scale"]
# The sines and cosines of one of those numbers.
ADDED_WIDTH: Final = 256

TOKEN_EMBEDDING: Final[Mapping[TextLayout, str]] = {
    "transformers": "embeddings.token_embedding.weight",
    "openclip": "token_embedding.weight",
    "qwen3": "model.embed_tokens.weight",
    "t5": "shared.weight",
}
"""The tensor that every text encoder of a layout has, (vocabulary, width)."""


@dataclass(frozen=True, slots=True)
class TextEncoderFacts:
    """One text encoder of a family."""

    role: str
    """The field's name of it: `clip_l`, `clip_g` (OpenCLIP bigG) or `clip_h`. Embeddings for several use it too."""
    prefixes: tuple[str, ...]
    """What the names of its tensors begin with in a checkpoint; the first that fits."""
    network_prefixes: tuple[str, ...]
    """What the names of its layers begin with in network files (LoRA and its relatives): in trainers' flattened names,
    which end in "_" there, and in diffusers' dotted ones."""
    layout: TextLayout = "openclip"
    reads: ReadsText = "chunks"
    activation: Literal["quick_gelu", "gelu"] = "gelu"
    pads_with_end: bool = False
    """A chunk is filled up with the end mark, otherwise with zeros."""
    layer: int = 2
    """The hidden state that conditions, counted from the last one, which is 1."""
    joined_states: tuple[int, ...] = ()
    """Several hidden states that condition side by side in its place, counted from the embeddings, which are 0."""
    empty_thought: bool = False
    """A language model's answer begins with a thought that it did not have."""
    filled_up: bool = False
    """A language model's texts are filled up to the longest one allowed, and what is behind them counts too."""
    final_norm: bool = False
    """That hidden state goes through the encoder's last norm."""
    clip_skip: ClipSkip = "never"
    pooled: bool = False
    """It also gives the vector of the whole text: that at the end mark behind the last layer."""
    projected: bool = True
    """That vector is projected."""
    only_pooled: bool = False
    """That vector alone conditions, none of its hidden states."""

    def context_width(self, width: int) -> int:
        """Channels of what its hidden states condition with, if it has so many itself."""
        return 0 if self.only_pooled else width * max(1, len(self.joined_states))

    def prefix_in(self, names: Collection[str]) -> str | None:
        """What the names of its tensors begin with in a checkpoint with tensors of these names; None if it has none."""
        return next((prefix for prefix in self.prefixes if prefix + TOKEN_EMBEDDING[self.layout] in names), None)


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture: how it is recognised, and everything by which working with it differs from the others."""

    name: str
    """The field's short name, as A1111 shows it on cards. Families of one name have the same layers: networks for the
    one fit the others."""
    label: str
    """What a person calls it."""
    base_model_version: str
    """What networks that kohya's scripts trained on it say in `ss_base_model_version`."""
    marks: tuple[tuple[str, ...], ...]
    """Its checkpoints have tensors whose names begin so: with all the beginnings of one of these groups."""
    text_encoders: tuple[TextEncoderFacts, ...]
    resolution: tuple[int, int]
    """Width and height that it was trained at, unless a file states others."""
    vae_scaling_factor: float
    """Latents are multiplied by it, after the shift below is taken off, unless a VAE file states another factor."""
    tiny_autoencoder: str
    """The stem of its tiny autoencoder's files in models/VAE-approx."""
    vae_shift: float = 0.0
    latent_channels: int = 4
    latent_patch: int = 1
    """So many cells of the VAE's latents a side are one cell of the denoiser's, which has the channels of all of them
    and is normalised by statistics in the VAE's file."""
    vae_file: str = "ae.safetensors"
    """Under what name its VAE is published, where it comes as a file of its own."""
    denoiser: DenoiserKind = "unet"
    file_prefixes: tuple[str, ...] = (UNET_PREFIX,)
    """What the denoiser's tensors begin with in its files: "" where they lie there by themselves."""
    context_layers: tuple[str, ...] = ()
    """What the matrix (width, channels of the text) that a transformer takes its text by is called in its files."""
    pooled_layers: tuple[str, ...] = ()
    """The same of that (width, channels) by which it takes the vector of the whole text."""
    sees_pictures: bool = False
    """Its denoiser can be shown pictures beside the noisy one, whatever its file."""
    parts_apart: bool = False
    """Its text encoders and its VAE come as files of their own, beside checkpoints that have all inside."""
    needs_range: bool = False
    """Its numbers leave the range of 16-bit floats with few exponents, so that bfloat16 is taken in their place."""
    prediction_type: PredictionType | None = "epsilon"
    """What the UNet predicts unless a file says otherwise. None where only the UNet's answer to a constant shows it."""
    added_numbers: tuple[AddedNumbers, ...] = ()
    empty_negative_is_zero: bool = False
    """An empty negative prompt conditions with zeros instead of its encoding."""
    step_tables: StepTables = "SD1"
    """Which of the published tables of noise levels (Align Your Steps and its like) are for it."""
    latents_mean: tuple[float, ...] = ()
    """Mean and, below, deviation of each channel of the VAE's latents, by which they are normalised before."""
    latents_std: tuple[float, ...] = ()
    tiny_scaling_factor: float | None = None
    """The factor that the tiny autoencoder's latents are scaled by, where that is not how the UNet's are."""
    edits_scaled: bool = False
    """Its models that edit pictures are shown them as scaled latents, others as the VAE gives them."""
    attends_at_full_size: bool = True
    """Its UNet has self-attention at the latents' own size, which is where tokens are merged."""
    flow: FlowTraining | None = None
    """The noise it was trained on, where it predicts a flow."""
    fixed_shift: bool = False
    """That noise is moved by nobody's word."""
    distilled_guidance: float | None = None
    """The guidance that it follows unless somebody says another, where it was distilled with one, which it takes."""
    follows_sdxl_settings: bool = False
    """Settings and flags that name SDXL mean it."""

    @property
    def distilled_scale(self) -> DistilledScale | None:
        """What Forge's distilled CFG scale means with it."""
        if self.distilled_guidance is not None:
            return "Distilled CFG Scale"
        return None if self.flow is None or self.fixed_shift else "Shift"

    def guidance(self, scale: float) -> float | None:
        """The guidance that it takes at this distilled CFG scale, 0 being its own; None where it takes none."""
        return None if self.distilled_guidance is None else scale or self.distilled_guidance

    def noise(self, scale: float) -> FlowTraining | None:
        """The noise of its flow, moved by this distilled CFG scale where that is a shift; 0 leaves its own."""
        if self.flow is None or not scale or self.distilled_scale != "Shift":
            return self.flow
        return replace(self.flow, shift=scale, by_size=None)

    @property
    def side_unit(self) -> int:
        """Widths and heights of pictures are multiples of so many pixels: one cell of the denoiser's latents."""
        return 8 * self.latent_patch

    def text_widths(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """Channels of each text encoder that is there, in a checkpoint with tensors of these shapes."""
        prefixes = ((facts, facts.prefix_in(shapes)) for facts in self.text_encoders)
        found = (shapes[prefix + TOKEN_EMBEDDING[facts.layout]] for facts, prefix in prefixes if prefix is not None)
        return tuple(shape[-1] if shape else 0 for shape in found)

    def file_prefix(self, names: Collection[str]) -> str:
        """What the denoiser's tensors begin with in a file of this family with tensors of these names."""
        starts = (prefix for prefix in self.file_prefixes if any(name.startswith(prefix) for name in names))
        return next(starts, self.file_prefixes[0])

    def shares_latents_with(self, other: "Family") -> bool:
        """Whether a latent of the one is the same picture to the other: one tiny autoencoder decodes both unchanged."""
        return (self.tiny_autoencoder, self.latents_mean) == (other.tiny_autoencoder, other.latents_mean)

    def takes_networks_for(self, base: str) -> bool:
        """Whether networks (LoRA and its relatives) for the family of this name fit; "" is of those that say none."""
        return base in ("", self.name)

    def is_marked(self, names: Collection[str]) -> bool:
        """Whether a checkpoint with tensors of these names is of this family."""
        return any(has_all(names, group) for group in self.marks)


def has_all(names: Collection[str], beginnings: Collection[str]) -> bool:
    """Whether for each of these beginnings there is a name that has it."""
    return all(any(name.startswith(beginning) for name in names) for beginning in beginnings)


def count_of(kind: AddedNumbers) -> int:
    """How many numbers that are."""
    return 1 if kind == "aesthetic score" else 2
