"""Types for what diffusers leaves untyped: the configurations of its models, and the setter of attention processors.

`config` is a FrozenDict, whose entries are attributes too; diffusers declares it as a dictionary of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

# What predicts, by its families' `denoiser`.
DenoiserModule = UNet2DConditionModel | ZImageTransformer2DModel


class VaeConfig(Protocol):
    """What is read of a VAE's configuration. `block_out_channels` are channels from the finest level on."""

    @property
    def latent_channels(self) -> int: ...

    @property
    def block_out_channels(self) -> Sequence[int]: ...

    @property
    def scaling_factor(self) -> float: ...

    @property
    def shift_factor(self) -> float | None: ...

    @property
    def latents_mean(self) -> Sequence[float] | None: ...

    @property
    def latents_std(self) -> Sequence[float] | None: ...


class UnetConfig(Protocol):
    """What is read of a UNet's configuration. `attention_head_dim` is the number of heads, of all levels or of each;
    the last three are set where a model takes sizes with its text, as SDXL does.
    """

    @property
    def in_channels(self) -> int: ...

    @property
    def out_channels(self) -> int: ...

    @property
    def layers_per_block(self) -> int: ...

    @property
    def block_out_channels(self) -> Sequence[int]: ...

    @property
    def down_block_types(self) -> Sequence[str]: ...

    @property
    def attention_head_dim(self) -> int | Sequence[int]: ...

    @property
    def cross_attention_dim(self) -> int: ...

    @property
    def addition_embed_type(self) -> str | None: ...

    @property
    def addition_time_embed_dim(self) -> int: ...

    @property
    def projection_class_embeddings_input_dim(self) -> int: ...


class ZImageConfig(Protocol):
    """What is read of the configuration of Z-Image's transformer."""

    @property
    def in_channels(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def n_layers(self) -> int: ...

    @property
    def n_heads(self) -> int: ...

    @property
    def cap_feat_dim(self) -> int: ...


def vae_config(vae: AutoencoderKL) -> VaeConfig:
    """The configuration of `vae`."""
    return cast(VaeConfig, vae.config)


def unet_config(unet: UNet2DConditionModel) -> UnetConfig:
    """The configuration of `unet`."""
    return cast(UnetConfig, unet.config)


def z_image_config(transformer: ZImageTransformer2DModel) -> ZImageConfig:
    """The configuration of Z-Image's `transformer`."""
    return cast(ZImageConfig, transformer.config)


def latent_channels_of(denoiser: DenoiserModule) -> int:
    """Channels of the latents that `denoiser` makes."""
    if isinstance(denoiser, ZImageTransformer2DModel):
        return z_image_config(denoiser).in_channels
    return unet_config(denoiser).out_channels


class _TakesProcessor(Protocol):
    def set_attn_processor(self, processor: object) -> None: ...


def set_attention_processor(unet: UNet2DConditionModel, processor: object) -> None:
    """Set `processor` in each attention of `unet`; diffusers declares only its own classes, but calls any."""
    cast(_TakesProcessor, unet).set_attn_processor(processor)
