"""How a VAE's latents are scaled for the UNet."""

from dataclasses import dataclass
from typing import Self

import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from modules.hardware.model_configs import VaeModule, latent_patch_of, vae_config


@dataclass(frozen=True, slots=True)
class LatentScaling:
    """Latents are multiplied with `factor` behind the VAE, so that their variance is near one.

    With a `mean` and a deviation (`std`) of each channel they are normalised by those first; a `shift` that all
    channels share is taken off before. With a `patch` above 1 the denoiser has the channels of so many cells a side
    in one, each channel's row by row, and it is these that are normalised.
    """

    factor: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shift: float = 0.0
    patch: int = 1

    @classmethod
    def of(cls, vae: VaeModule) -> Self:
        """That of a VAE's configuration, or of the statistics that it has."""
        if isinstance(vae, AutoencoderKLFlux2):
            statistics = vae.bn
            means, variances = statistics.running_mean, statistics.running_var
            assert means is not None and variances is not None, "it tracks both"
            deviations = (variances.double() + statistics.eps).sqrt()
            return cls(1.0, tuple(means.tolist()), tuple(deviations.tolist()), patch=latent_patch_of(vae))
        config = vae_config(vae)
        mean, std = tuple(config.latents_mean or ()), tuple(config.latents_std or ())
        return cls(config.scaling_factor, mean, std, config.shift_factor or 0.0)

    def scaled(self, latents: Tensor) -> Tensor:
        """A VAE's latents (images, channels, height, width) as the UNet knows them.

        With a patch they are (images, channels * patch², height // patch, width // patch).
        """
        if self.patch > 1:
            height, width = (side // self.patch * self.patch for side in latents.shape[2:])
            latents = pixel_unshuffle(latents[:, :, :height, :width], self.patch)
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
        unscaled = torch.stack([channel * (std / self.factor) + mean for channel, mean, std in each], dim=1)
        return pixel_shuffle(unscaled, self.patch) if self.patch > 1 else unscaled

    def flat(self, draws: Tensor) -> Tensor:
        """(n, channels of the VAE) around 0 as the colours of flat pictures in the VAE's latents, (n, channels)."""
        cells = draws.repeat_interleave(self.patch**2, dim=1)[:, :, None, None]
        return self.unscaled(cells).mean(dim=(2, 3))
