"""How a VAE's latents are scaled for the UNet."""

from dataclasses import dataclass
from typing import Self

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from modules.hardware.model_configs import vae_config


@dataclass(frozen=True, slots=True)
class LatentScaling:
    """Latents are multiplied with `factor` behind the VAE, so that their variance is near one.

    With a `mean` and a deviation (`std`) of each channel they are normalised by those first; a `shift` that all
    channels share is taken off before.
    """

    factor: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shift: float = 0.0

    @classmethod
    def of(cls, vae: AutoencoderKL) -> Self:
        """That of a VAE's configuration."""
        config = vae_config(vae)
        mean, std = tuple(config.latents_mean or ()), tuple(config.latents_std or ())
        return cls(config.scaling_factor, mean, std, config.shift_factor or 0.0)

    def scaled(self, latents: Tensor) -> Tensor:
        """A VAE's latents (images, channels, height, width) as the UNet knows them."""
        if not self.mean:
            return (latents - self.shift) * self.factor if self.shift else latents * self.factor
        each = zip(latents.unbind(1), self.mean, self.std, strict=True)
        # Channel by channel with plain numbers: nothing is sent to the device, which would wait for it.
        return torch.stack([(channel - mean) * (self.factor / std) for channel, mean, std in each], dim=1)

    def unscaled(self, latents: Tensor) -> Tensor:
        """The UNet's latents (images, channels, height, width) as the VAE knows them."""
        if not self.mean:
            return latents / self.factor + self.shift if self.shift else latents / self.factor
        each = zip(latents.unbind(1), self.mean, self.std, strict=True)
        return torch.stack([channel * (std / self.factor) + mean for channel, mean, std in each], dim=1)
