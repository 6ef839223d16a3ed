"""The sizes of a loaded model in bytes and channels, from which the budget is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_flux import (
    FluxSingleTransformerBlock,
    FluxTransformer2DModel,
    FluxTransformerBlock,
)
from diffusers.models.transformers.transformer_flux2 import (
    Flux2SingleTransformerBlock,
    Flux2Transformer2DModel,
    Flux2TransformerBlock,
)
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel, ZImageTransformerBlock
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer
from transformers.models.t5.modeling_t5 import T5Block

from modules.hardware.budget import STREAM_SLOTS, ModelSize
from modules.hardware.device import module_bytes
from modules.hardware.model_configs import (
    DenoiserModule,
    VaeModule,
    flux2_config,
    flux_config,
    unet_config,
    vae_config,
    vae_factor_of,
    z_image_config,
)

# What a UNet is streamed in: large enough that copying is not made of small calls, small enough that two fit anywhere
# (the largest of SD1 and SDXL alike have 95 MB in 16 bits, those of Z-Image 360 MB, of Flux.1 680 MB, of Flux.2 klein
# 490 and 870 MB).
_PIECES = (
    ResnetBlock2D,
    BasicTransformerBlock,
    Downsample2D,
    Upsample2D,
    ZImageTransformerBlock,
    Flux2TransformerBlock,
    Flux2SingleTransformerBlock,
    FluxTransformerBlock,
    FluxSingleTransformerBlock,
    Qwen3DecoderLayer,
    T5Block,
)

# What a token takes in the transformers of Flux.1 and Flux.2, in their widths: see `budget`.
_FLUX_NUMBERS: Final = 18
_FLUX2_NUMBERS: Final = 27


def pieces(unet: nn.Module) -> Iterator[nn.Module]:
    """The parts of a UNet that are streamed one by one, in the order of their definition; of a language model too."""
    for child in unet.children():
        if isinstance(child, _PIECES):
            yield child
        else:
            yield from pieces(child)


def size_of(unet: DenoiserModule, vae: VaeModule, *text_encoders: nn.Module) -> ModelSize:
    """The sizes of a model that is made of these modules."""
    streamed = [module_bytes(piece) for piece in pieces(unet)]
    texts = [[module_bytes(piece) for piece in pieces(encoder)] for encoder in text_encoders]
    slots = STREAM_SLOTS * sum(max(own, default=0) for own in texts)
    size = ModelSize(
        unet=module_bytes(unet),
        vae=module_bytes(vae),
        text=sum(map(module_bytes, text_encoders)),
        largest_piece=max(streamed, default=0),
        unstreamed=module_bytes(unet) - sum(streamed),
        text_slots=slots,
        text_streamed=sum(map(sum, texts)),
        vae_channels=tuple(vae_config(vae).block_out_channels),
        unet_itemsize=unet.dtype.itemsize,
        vae_itemsize=vae.dtype.itemsize,
        vae_factor=vae_factor_of(vae),
    )
    if not isinstance(unet, UNet2DConditionModel):
        return _TRANSFORMERS[type(unet)](size, unet)
    config = unet_config(unet)
    channels = tuple(config.block_out_channels)
    attention = tuple(kind.startswith("CrossAttn") for kind in config.down_block_types)
    heads = _heads(config.attention_head_dim, attention)
    return replace(size, unet_channels=channels, attention=attention, heads=heads)


def _heads(stated: int | Sequence[int], attention: tuple[bool, ...]) -> int:
    """Heads at the finest level with attention; diffusers calls them attention_head_dim."""
    if isinstance(stated, int):
        return stated
    level = attention.index(True) if True in attention else 0
    return stated[min(level, len(stated) - 1)]


def _z_image(size: ModelSize, transformer: ZImageTransformer2DModel) -> ModelSize:
    config = z_image_config(transformer)
    return replace(size, transformer=config.dim, heads=config.n_heads)


def _flux(size: ModelSize, transformer: FluxTransformer2DModel) -> ModelSize:
    config = flux_config(transformer)
    width = config.num_attention_heads * config.attention_head_dim
    return replace(size, transformer=width, heads=config.num_attention_heads, token_numbers=_FLUX_NUMBERS)


def _flux2(size: ModelSize, transformer: Flux2Transformer2DModel) -> ModelSize:
    config = flux2_config(transformer)
    return replace(
        size,
        transformer=config.num_attention_heads * config.attention_head_dim,
        heads=config.num_attention_heads,
        token_numbers=_FLUX2_NUMBERS,
        cells_a_token=1,
        sees_pictures=True,
    )


# A model's size with the widths of its transformer, by what that is.
_TRANSFORMERS: Final[Mapping[type[DenoiserModule], Callable[..., ModelSize]]] = {
    ZImageTransformer2DModel: _z_image,
    FluxTransformer2DModel: _flux,
    Flux2Transformer2DModel: _flux2,
}
