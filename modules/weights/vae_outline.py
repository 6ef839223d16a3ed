"""The VAE of a checkpoint, or of a file of its own, without its weights, and where in the file these lie."""

import re
from typing import Final

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

from modules.catalogue.hints import gather_hints
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.tensor_shapes import Shapes
from modules.families import VAE_PREFIXES, Family
from modules.hardware.model_configs import VaeModule
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource, vae_original_name
from modules.weights.outline import Outline, constructed
from modules.weights.tensor_file import TensorFile
from modules.weights.vae_shapes import infer_vae

_DIFFUSERS_LEVEL: Final = re.compile(r"decoder\.up_blocks\.(\d{1,2})\.")
# Where Flux.2's files have what others have beside both halves.
_HALVES: Final = {"quant_conv": "encoder.", "post_quant_conv": "decoder."}
_STATISTICS: Final = "bn.running_mean"
# What other families' VAEs have that is no `VaeModule`.
_OTHER_KINDS: Final = {
    _STATISTICS: "Flux.2's",
    "decoder.middle.0.residual.0.gamma": "that of Wan and Qwen-Image",
}


def vae_outline(file: TensorFile, family: Family) -> Outline[VaeModule]:
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
    patched = family.latent_patch > 1
    for name, whose in _OTHER_KINDS.items():
        if name in shapes and not (patched and name == _STATISTICS):
            raise CheckpointError(f"{file.path.name} is {whose} VAE, which {family.label} can't use; choose another.")
    if patched and _STATISTICS not in shapes:
        raise CheckpointError(
            f"{file.path.name} is no VAE of {family.label}, since it lacks {_STATISTICS}; choose another, as "
            f"{family.vae_file}."
        )
    levels = _diffusers_levels(shapes)
    if levels:
        # As diffusers' folders have it: the names are the module's own.
        shapes = {vae_original_name(name, levels): shape for name, shape in shapes.items()}
    shape = infer_vae(shapes)
    hints = gather_hints(file.path, file.metadata)
    if patched:
        config = shape.patched_config(family.latent_patch, hints.vae_groups)
    else:
        config = shape.config(hints.vae_groups, hints.vae_scaling_factor or family.vae_scaling_factor)
        config["shift_factor"] = family.vae_shift or None
    if family.latents_mean:
        config |= {"latents_mean": family.latents_mean, "latents_std": family.latents_std}

    def make() -> VaeModule:
        made: VaeModule = constructed(AutoencoderKLFlux2 if patched else AutoencoderKL, config, file.path.name, "VAE")
        return made

    def source_of(name: str) -> TensorSource:
        if levels:
            return TensorSource(prefix + name)
        original = vae_original_name(name, len(shape.channels))
        inside = f"{_HALVES.get(original.partition('.')[0], '')}{original}"
        return TensorSource(prefix + (original if original in shapes else inside))

    return Outline(make, source_of)


def _diffusers_levels(shapes: Shapes) -> int:
    """How many levels a VAE in diffusers' names has; 0 for one in the original names."""
    found = (_DIFFUSERS_LEVEL.match(name) for name in shapes)
    return max((1 + int(match[1]) for match in found if match), default=0)
