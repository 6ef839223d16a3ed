"""Which family of models a checkpoint belongs to, told by how its parts are named and shaped."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from modules.weights.errors import CheckpointError

UNET_PREFIX: Final = "model.diffusion_model."
VAE_PREFIX: Final = "first_stage_model."
SD1_TEXT_PREFIXES: Final = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")


class Family(Enum):
    """The published architectures; the value is what a person calls them."""

    SD1 = "Stable Diffusion 1"
    SD2 = "Stable Diffusion 2"
    SDXL = "Stable Diffusion XL"
    SDXL_REFINER = "Stable Diffusion XL refiner"


@dataclass(frozen=True, slots=True)
class FamilyDefaults:
    """What holds for a family unless the file states otherwise."""

    resolution: tuple[int, int]
    vae_scaling_factor: float


DEFAULTS: Final[Mapping[Family, FamilyDefaults]] = {
    Family.SD1: FamilyDefaults((512, 512), 0.18215),
    Family.SD2: FamilyDefaults((768, 768), 0.18215),
    Family.SDXL: FamilyDefaults((1024, 1024), 0.13025),
    Family.SDXL_REFINER: FamilyDefaults((1024, 1024), 0.13025),
}

# What another kind of file has and a full checkpoint has not: a name's beginning, and what the file then is.
_OTHER_KINDS: Final = (
    (("lora_unet_", "lora_te", "lycoris_"), "a LoRA: put it into models/Lora and write <lora:name:1> into the prompt"),
    (("encoder.down.", "decoder.up.", "decoder.conv_in."), "a VAE: put it into models/VAE and choose it under SD VAE"),
    (("control_model.", "input_hint_block.", "controlnet_"), "a ControlNet, which is not a checkpoint"),
    (("emb_params", "string_to_param", "clip_l", "clip_g"), "a textual inversion embedding: put it into embeddings/"),
    (("double_blocks.", "model.diffusion_model.double_blocks."), "a Flux model, which can't run here"),
    (("joint_blocks.", "model.diffusion_model.joint_blocks."), "a Stable Diffusion 3 model, which can't run here"),
    (("params_ema.", "conv_first.", "model.0.weight"), "an upscaler: put it into models/ESRGAN"),
    (("down_blocks.", "time_embedding."), "a UNet in diffusers' layout; a single-file checkpoint is needed here"),
)  # fmt: skip


def detect_family(shapes: Mapping[str, tuple[int, ...]], file_name: str) -> Family:
    """Tell the family by the names of the text encoder's tensors.

    Raises:
        CheckpointError: the file holds no original-layout checkpoint; the sentence says what it holds instead.
    """
    kind = describe_other_kind(shapes)
    if kind is not None:
        raise CheckpointError(f"{file_name} is not a checkpoint but {kind}.")
    if not any(name.startswith(UNET_PREFIX) for name in shapes):
        if any(name.startswith("model_ema.") for name in shapes):
            raise CheckpointError(
                f"{file_name} holds only EMA weights (model_ema.*) and no model.diffusion_model.*; "
                "export it with the EMA weights in their place, as the files called 'emaonly' are."
            )
        raise CheckpointError(
            f"{file_name} is not a Stable Diffusion checkpoint: it holds {len(shapes)} tensors, "
            "none of them named model.diffusion_model.*."
        )
    if any(name.startswith("conditioner.embedders.1.") for name in shapes):
        return Family.SDXL
    if any(name.startswith("conditioner.embedders.0.model.") for name in shapes):
        return Family.SDXL_REFINER
    if any(name.startswith("cond_stage_model.model.") for name in shapes):
        return Family.SD2
    return Family.SD1


def describe_other_kind(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What a file of model weights is when it is not a checkpoint, or None when its names don't tell."""
    has_unet = any(name.startswith(UNET_PREFIX + "input_blocks.") for name in shapes)
    for prefixes, kind in _OTHER_KINDS:
        if not has_unet and any(name.startswith(prefixes) for name in shapes):
            return kind
    if not has_unet and any(".lora_" in name or "lora_A" in name or ".hada_w1" in name for name in shapes):
        return _OTHER_KINDS[0][1]
    return None
