"""Types for what diffusers leaves untyped: the configurations of its models, and the setter of attention processors.

`config` is a FrozenDict, whose entries are attributes too; diffusers declares it as a dictionary of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

# What predicts, by its families' `denoiser`.
TransformerModule = ZImageTransformer2DModel | FluxTransformer2DModel | Flux2Transformer2DModel
DenoiserModule = UNet2DConditionModel | TransformerModule
VaeModule = AutoencoderKL | AutoencoderKLFlux2
FLUX_PATCH: Final = 2
"""So many cells of the latents a side are one token of Flux.1's transformer, which counts them among its channels."""


class VaeConfig(Protocol):
    """What is read of a VAE's configuration. `block_out_channels` are channels from the finest level on.

    The last four say how an `AutoencoderKL` scales its latents.
    """

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


class TransformerConfig(Protocol):
    """What is read of the configurations of all transformers. `in_channels` are those of the latents."""

    @property
    def in_channels(self) -> int: ...


class ZImageConfig(TransformerConfig, Protocol):
    """What is read of the configuration of Z-Image's transformer."""

    @property
    def dim(self) -> int: ...

    @property
    def n_layers(self) -> int: ...

    @property
    def n_heads(self) -> int: ...

    @property
    def cap_feat_dim(self) -> int: ...


class FluxConfig(TransformerConfig, Protocol):
    """What is read of the configuration of Flux.1's transformer. `in_channels` are those of a token."""

    @property
    def num_attention_heads(self) -> int: ...

    @property
    def attention_head_dim(self) -> int: ...

    @property
    def guidance_embeds(self) -> bool: ...


class Flux2Config(TransformerConfig, Protocol):
    """What is read of the configuration of Flux.2's transformer."""

    @property
    def num_attention_heads(self) -> int: ...

    @property
    def attention_head_dim(self) -> int: ...


class Flux2VaeConfig(Protocol):
    """What is read of the configuration of Flux.2's VAE alone."""

    @property
    def patch_size(self) -> Sequence[int]: ...


def vae_config(vae: VaeModule) -> VaeConfig:
    """The configuration of `vae`."""
    return cast(VaeConfig, vae.config)


def unet_config(unet: UNet2DConditionModel) -> UnetConfig:
    """The configuration of `unet`."""
    return cast(UnetConfig, unet.config)


def z_image_config(transformer: ZImageTransformer2DModel) -> ZImageConfig:
    """The configuration of Z-Image's `transformer`."""
    return cast(ZImageConfig, transformer.config)


def flux_config(transformer: FluxTransformer2DModel) -> FluxConfig:
    """The configuration of Flux.1's `transformer`."""
    return cast(FluxConfig, transformer.config)


def flux2_config(transformer: Flux2Transformer2DModel) -> Flux2Config:
    """The configuration of Flux.2's `transformer`."""
    return cast(Flux2Config, transformer.config)


def flux2_vae_config(vae: AutoencoderKLFlux2) -> Flux2VaeConfig:
    """What the configuration of Flux.2's `vae` has beside those of others."""
    return cast(Flux2VaeConfig, vae.config)


def latent_patch_of(vae: VaeModule) -> int:
    """So many cells of the VAE's latents a side are one of the denoiser's."""
    return flux2_vae_config(vae).patch_size[0] if isinstance(vae, AutoencoderKLFlux2) else 1


def vae_factor_of(vae: VaeModule) -> int:
    """Pixels along one side of a cell of the denoiser's latents."""
    return latent_patch_of(vae) << (len(vae_config(vae).block_out_channels) - 1)


def vae_channels_of(vae: VaeModule) -> int:
    """Channels of the denoiser's latents that `vae` decodes."""
    return vae_config(vae).latent_channels * latent_patch_of(vae) ** 2


def latent_channels_of(denoiser: DenoiserModule) -> int:
    """Channels of the latents that `denoiser` makes."""
    if isinstance(denoiser, UNet2DConditionModel):
        return unet_config(denoiser).out_channels
    if isinstance(denoiser, FluxTransformer2DModel):
        return flux_config(denoiser).in_channels // FLUX_PATCH**2
    return cast(TransformerConfig, denoiser.config).in_channels


class _TakesProcessor(Protocol):
    def set_attn_processor(self, processor: object) -> None: ...


def set_attention_processor(unet: UNet2DConditionModel, processor: object) -> None:
    """Set `processor` in each attention of `unet`; diffusers declares only its own classes, but calls any."""
    cast(_TakesProcessor, unet).set_attn_processor(processor)
