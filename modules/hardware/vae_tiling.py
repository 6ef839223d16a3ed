"""Decoding and encoding in overlapping tiles, for pictures whose whole would not fit on the device."""

from __future__ import annotations

from modules.hardware.budget import VAE_TILE
from modules.hardware.model_configs import VaeModule, vae_config


def enable_vae_tiling(vae: VaeModule) -> None:
    """Make `vae` work in tiles of `VAE_TILE` pixels a side, a quarter of which overlap.

    diffusers takes the tile from a configuration that single files don't have: without these sizes it would be 32
    pixels, slow and full of seams.
    """
    vae.tile_sample_min_size = VAE_TILE
    vae.tile_latent_min_size = VAE_TILE // 2 ** (len(vae_config(vae).block_out_channels) - 1)
    vae.enable_tiling()  # type: ignore[no-untyped-call]  # unannotated in diffusers


def disable_vae_tiling(vae: VaeModule) -> None:
    """Make `vae` work on whole pictures again."""
    vae.disable_tiling()  # type: ignore[no-untyped-call]  # unannotated in diffusers
