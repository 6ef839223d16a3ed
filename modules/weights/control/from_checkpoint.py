"""ControlNets that hold only what is added to a checkpoint's own encoder: whole with that checkpoint's file.

"Difference" files (sd-webui-controlnet) hold the differences of all weights; Control-LoRAs (Stability AI) hold two
matrices of low rank for each layer, `<layer>.up` and `<layer>.down`, and whole what the encoder has no counterpart for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import Tensor

from modules.catalogue.control_kinds import LORA_MARK
from modules.families import UNET_PREFIX
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.control.controlnet import CONV_IN, naming_of
from modules.weights.tensor_file import TensorFile

# What a ControlNet has in common with the UNet.
_ENCODER: Final = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")
# An inpainting checkpoint is shown more than the latent; a ControlNet only that.
_LATENT_CHANNELS: Final = 4


def differences_added(file: TensorFile, checkpoint: TensorFile) -> TensorFile:
    """A "difference" file with the checkpoint's weights added.

    Raises:
        CheckpointError: on reading a tensor, where the checkpoint is of other shapes.
    """
    prefix, original = naming_of(file.shapes)
    if not original:
        raise CheckpointError(f"{file.path.name} holds differences in diffusers' names, which are not known here.")

    def tensor(name: str) -> Tensor:
        own = name.removeprefix(prefix)
        if not own.startswith(_ENCODER):
            return file.tensor(name)
        base = _base(checkpoint, own)
        if base.shape != file.shapes[name]:
            raise _misfit(file.path, checkpoint.path, own)
        return file.tensor(name).float() + base.float()

    return replace(file, tensor=tensor)


def ranks_added(file: TensorFile, checkpoint: TensorFile) -> TensorFile:
    """A Control-LoRA as the ControlNet it makes with the checkpoint: Stability AI, control-lora (2023).

    Raises:
        CheckpointError: on reading a tensor, where the checkpoint is of other shapes.
    """
    whole = {name: shape for name, shape in file.shapes.items() if not name.endswith((".up", ".down"))}
    whole.pop(LORA_MARK, None)
    encoder = {name: shape for name, shape in checkpoint.below(UNET_PREFIX).items() if name.startswith(_ENCODER)}
    if encoder.get(CONV_IN, ())[1:2] > (_LATENT_CHANNELS,):
        encoder[CONV_IN] = (encoder[CONV_IN][0], _LATENT_CHANNELS, *encoder[CONV_IN][2:])
    ranked = {name.removesuffix(".up") for name in file.shapes if name.endswith(".up")}
    if unknown := sorted(layer for layer in ranked if f"{layer}.weight" not in encoder):
        raise _misfit(file.path, checkpoint.path, unknown[0])

    def tensor(name: str) -> Tensor:
        if name in whole:
            return file.tensor(name)
        base, layer = _base(checkpoint, name), name.removesuffix(".weight")
        if f"{layer}.up" not in file.shapes or not name.endswith(".weight"):
            return base
        up, down = (file.tensor(f"{layer}.{side}").float().flatten(1) for side in ("up", "down"))
        if up.shape[1] != down.shape[0] or up.shape[0] * down.shape[1] != base.numel():
            raise _misfit(file.path, checkpoint.path, layer)
        return base.float() + (up @ down).reshape(base.shape)

    return replace(file, shapes=encoder | whole, tensor=tensor)


def _base(checkpoint: TensorFile, name: str) -> Tensor:
    if UNET_PREFIX + name not in checkpoint.shapes:
        raise CheckpointError(f"{checkpoint.path.name} has no {name}, which this ControlNet is added to.")
    found = checkpoint.tensor(UNET_PREFIX + name)
    return found[:, :_LATENT_CHANNELS] if name == CONV_IN else found


def _misfit(path: Path, checkpoint: Path, layer: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is made for a checkpoint of other shapes than {checkpoint.name}, first at {layer}."
    )
