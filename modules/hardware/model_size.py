"""The sizes of a loaded model in bytes and channels, from which the budget is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from modules.hardware.budget import ModelSize
from modules.hardware.device import module_bytes
from modules.hardware.model_configs import unet_config, vae_config

# What a UNet is streamed in: large enough that copying is not made of small calls, small enough that two fit anywhere
# (the largest of SD1 and SDXL alike have 95 MB in 16 bits).
_PIECES = (ResnetBlock2D, BasicTransformerBlock, Downsample2D, Upsample2D)


def pieces(unet: nn.Module) -> Iterator[nn.Module]:
    """The parts of a UNet that are streamed one by one, in the order of their definition."""
    for child in unet.children():
        if isinstance(child, _PIECES):
            yield child
        else:
            yield from pieces(child)


def size_of(unet: UNet2DConditionModel, vae: AutoencoderKL, *text_encoders: nn.Module) -> ModelSize:
    """The sizes of a model that is made of these modules."""
    streamed = [module_bytes(piece) for piece in pieces(unet)]
    config = unet_config(unet)
    channels = tuple(config.block_out_channels)
    attention = tuple(kind.startswith("CrossAttn") for kind in config.down_block_types)
    return ModelSize(
        unet=module_bytes(unet),
        vae=module_bytes(vae),
        text=sum(map(module_bytes, text_encoders)),
        largest_piece=max(streamed, default=0),
        unstreamed=module_bytes(unet) - sum(streamed),
        unet_channels=channels,
        attention=attention,
        heads=_heads(config.attention_head_dim, attention),
        vae_channels=tuple(vae_config(vae).block_out_channels),
        unet_itemsize=unet.dtype.itemsize,
        vae_itemsize=vae.dtype.itemsize,
        vae_factor=2 ** (len(vae_config(vae).block_out_channels) - 1),
    )


def _heads(stated: int | Sequence[int], attention: tuple[bool, ...]) -> int:
    """Heads at the finest level with attention; diffusers calls them attention_head_dim."""
    if isinstance(stated, int):
        return stated
    level = attention.index(True) if True in attention else 0
    return stated[min(level, len(stated) - 1)]
