"""Tiny autoencoders (TAESD): a stand-in of some 5 MB for one half of a VAE.

Ollin Boer Bohan, https://github.com/madebyollin/taesd (MIT licence): each half is a file of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import nn

from modules.families import Family
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.latent_scaling import LatentScaling
from modules.weights.tensor_file import TensorFile, open_tensors

Half = Literal["encoder", "decoder"]
# The original decoder begins with a layer without weights that clamps; diffusers does that outside its layers.
_LAYERS_BEFORE: Final[dict[Half, int]] = {"encoder": 0, "decoder": 1}


def load_tiny_autoencoder(path: Path, half: Half) -> nn.Module:
    """The encoder (pictures in -1..1 to scaled latents) or the decoder (the way back) in `path`, float32 on the CPU.

    The file may name its tensors as TAESD's author does, or as diffusers does.

    Raises:
        ModelFileError: the file is unsafe, damaged, or holds something else.
    """
    with open_tensors(path) as file:
        tiny = AutoencoderTiny(latent_channels=_latent_channels(file, half, path))
        module: nn.Module = tiny.encoder if half == "encoder" else tiny.decoder
        names = {_name(name, half, path): name for name in file.shapes if _belongs(name, half)}
        wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        if {name: file.shapes[own] for name, own in names.items()} != wanted:
            raise CheckpointError(f"{path.name} is not TAESD's {half}: its tensors have other names or shapes.")
        weights: dict[str, torch.Tensor] = {name: file.tensor(own) for name, own in names.items()}
        module.load_state_dict(weights)
    return module.requires_grad_(False).eval()


def _latent_channels(file: TensorFile, half: Half, path: Path) -> int:
    """Channels of the latents, by the layer at that end; 4 where there is none, as in the first of them."""
    ends = {_name(name, half, path): shape for name, shape in file.shapes.items() if _belongs(name, half)}
    weights = {name: shape for name, shape in ends.items() if name.endswith(".weight") and len(shape) == 4}
    if not weights:
        return 4
    by_layer = sorted(weights, key=lambda name: int(name.split(".")[1]) if name.split(".")[1].isdigit() else 0)
    return weights[by_layer[-1]][0] if half == "encoder" else weights[by_layer[0]][1]


def _belongs(name: str, half: Half) -> bool:
    return name[:1].isdigit() or name.startswith((f"{half}.", f"taesd_{half}."))


def _name(name: str, half: Half, path: Path) -> str:
    """diffusers' name of a tensor inside its half."""
    if not name[:1].isdigit():
        return name.removeprefix("taesd_").removeprefix(f"{half}.")
    index, _, rest = name.partition(".")
    if not index.isdigit():
        raise CheckpointError(f"{path.name} is not TAESD's {half}: it holds a tensor called {name[:60]!r}.")
    return f"layers.{int(index) - _LAYERS_BEFORE[half]}.{rest}"


def for_family(module: nn.Module, half: Half, family: Family) -> nn.Module:
    """A half for the latents of `family`: those that are scaled otherwise than the half knows are scaled anew."""
    if family.tiny_scaling_factor is None:
        return module
    own = LatentScaling(family.vae_scaling_factor, family.latents_mean, family.latents_std)
    known = LatentScaling(family.tiny_scaling_factor)
    if half == "encoder":
        return nn.Sequential(module, _Rescaled(known, own))
    return nn.Sequential(_Rescaled(own, known), module)


class _Rescaled(nn.Module):
    """Latents of one scaling as those of another."""

    def __init__(self, known: LatentScaling, wanted: LatentScaling) -> None:
        super().__init__()
        self._known, self._wanted = known, wanted

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self._wanted.scaled(self._known.unscaled(latents))
