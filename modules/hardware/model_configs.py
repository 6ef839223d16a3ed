"""Types for what diffusers leaves untyped: the configurations of its models, and the setter of attention processors.

`config` is a FrozenDict, whose entries are attributes too; diffusers declares it as a dictionary of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class VaeConfig(Protocol):
    """What is read of a VAE's configuration. `block_out_channels` are channels from the finest level on."""

    @property
    def latent_channels(self) -> int: ...

    @property
    def block_out_channels(self) -> Sequence[int]: ...

    @property
    def scaling_factor(self) -> float: ...

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


def vae_config(vae: AutoencoderKL) -> VaeConfig:
    """The configuration of `vae`."""
    return cast(VaeConfig, vae.config)


def unet_config(unet: UNet2DConditionModel) -> UnetConfig:
    """The configuration of `unet`."""
    return cast(UnetConfig, unet.config)


class _TakesProcessor(Protocol):
    def set_attn_processor(self, processor: object) -> None: ...


def set_attention_processor(unet: UNet2DConditionModel, processor: object) -> None:
    """Set `processor` in each attention of `unet`; diffusers declares only its own classes, but calls any."""
    cast(_TakesProcessor, unet).set_attn_processor(processor)
