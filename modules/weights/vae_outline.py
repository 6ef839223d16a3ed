"""The VAE of a checkpoint, or of a file of its own, without its weights, and where in the file these lie."""

import re
from typing import Final

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from modules.catalogue.hints import gather_hints
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.tensor_shapes import Shapes
from modules.families import VAE_PREFIXES, Family
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource, vae_original_name
from modules.weights.outline import Outline, constructed
from modules.weights.tensor_file import TensorFile
from modules.weights.vae_shapes import infer_vae

_DIFFUSERS_LEVEL: Final = re.compile(r"decoder\.up_blocks\.(\d{1,2})\.")
# What other families' VAEs have that is no `AutoencoderKL`.
_OTHER_KINDS: Final = {
    "bn.running_mean": "Flux.2's",
    "decoder.middle.0.residual.0.gamma": "that of Wan and Qwen-Image",
}


def vae_outline(file: TensorFile, family: Family) -> Outline[AutoencoderKL]:
    """How the VAE in `file` is made for a checkpoint of `family`.

    Raises:
        CheckpointError: there is none in it, or one of another kind.
    """
    kind = classify_tensors(file.shapes)
    if kind not in (ModelKind.VAE, ModelKind.CHECKPOINT):
        raise CheckpointError(f"{file.path.name} is not a VAE but {kind.value}.")
    prefix = next((one for one in VAE_PREFIXES if any(name.startswith(one) for name in file.shapes)), "")
    if not prefix and not any(name.startswith("decoder.") for name in file.shapes):
        raise CheckpointError(
            f"{file.path.name} has no VAE inside (first_stage_model.*); "
            "put one into models/VAE and choose it under SD VAE."
        )
    shapes = file.below(prefix)
    for name, whose in _OTHER_KINDS.items():
        if name in shapes:
            raise CheckpointError(f"{file.path.name} is {whose} VAE, which {family.label} can't use; choose another.")
    levels = _diffusers_levels(shapes)
    if levels:
        # As diffusers' folders have it: the names are the module's own.
        shapes = {vae_original_name(name, levels): shape for name, shape in shapes.items()}
    shape = infer_vae(shapes)
    hints = gather_hints(file.path, file.metadata)
    config = shape.config(hints.vae_groups, hints.vae_scaling_factor or family.vae_scaling_factor)
    config["shift_factor"] = family.vae_shift or None
    if family.latents_mean:
        config |= {"latents_mean": family.latents_mean, "latents_std": family.latents_std}

    def source_of(name: str) -> TensorSource:
        return TensorSource(prefix + (name if levels else vae_original_name(name, len(shape.channels))))

    return Outline(lambda: constructed(AutoencoderKL, config, file.path.name, "VAE"), source_of)


def _diffusers_levels(shapes: Shapes) -> int:
    """How many levels a VAE in diffusers' names has; 0 for one in the original names."""
    found = (_DIFFUSERS_LEVEL.match(name) for name in shapes)
    return max((1 + int(match[1]) for match in found if match), default=0)
