"""What turns latents into pictures and back: the checkpoint's VAE, or a tiny autoencoder that stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modules.generation.decoding import OnRetry, decode_latent, decode_unchecked, unreported
from modules.generation.encoding import encode_pictures
from modules.parameters.job_options import VaeOptions
from modules.weights.model import Model


def vae_retries(options: VaeOptions) -> tuple[torch.dtype, ...]:
    """In which number types a picture that came out as NaN is tried again, by A1111's two options."""
    bfloat16 = (torch.bfloat16,) if options.auto_precision_bfloat16 else ()
    return (*bfloat16, torch.float32) if options.auto_precision else bfloat16


@dataclass(slots=True)
class Codec:
    """`encoder` and `decoder`, where given, stand in for the VAE's; `quick`, once set, for either decoder.

    `on_retry` is called with the number type in which a picture that came out as NaN is tried again.
    """

    retries: tuple[torch.dtype, ...] = (torch.float32,)
    encoder: nn.Module | None = None
    decoder: nn.Module | None = None
    quick: Callable[[Tensor], Tensor] | None = None
    on_retry: OnRetry = unreported

    def decode(self, model: Model, latent: Tensor) -> Tensor:
        """One latent (4, h, w) as an RGB picture (3, 8h, 8w) in 0..1, float32. Raises VaeOverflow."""
        if self.quick is not None:
            return self.quick(latent.unsqueeze(0))[0]
        if self.decoder is not None:
            return decode_tiny(self.decoder, latent.unsqueeze(0))[0]
        return decode_latent(model.vae, latent, model.latent_scaling, self.retries, self.on_retry)

    def begin(self, model: Model, latent: Tensor) -> tuple[Tensor, Tensor]:
        """`decode` without waiting for the device, see `decode_unchecked`: what is no picture wants a true `decode`."""
        if self.decoder is not None:
            picture = decode_tiny(self.decoder, latent.unsqueeze(0))[0]
            return picture, torch.ones((), dtype=torch.bool, device=picture.device)
        return decode_unchecked(model.vae, latent, model.latent_scaling)

    def encode(self, model: Model, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents of pictures in -1..1, see `encode_pictures`; a tiny encoder draws nothing, so needs no noise."""
        if self.encoder is not None:
            return encode_tiny(self.encoder, pictures)
        return encode_pictures(model.vae, pictures, model.latent_scaling, noise, self.retries, self.on_retry)


@torch.inference_mode()
def decode_tiny(decoder: nn.Module, latents: Tensor) -> Tensor:
    """Scaled latents (n, 4, h, w) as RGB (n, 3, 8h, 8w) in 0..1, float32, each by itself."""
    weight = next(decoder.parameters())
    decoded = torch.cat([decoder(latent[None].to(weight)).float() for latent in latents])
    return ((decoded + 1.0) / 2.0).nan_to_num(0.0).clamp_(0.0, 1.0)


@torch.inference_mode()
def encode_tiny(encoder: nn.Module, pictures: Tensor) -> Tensor:
    """RGB (n, 3, h, w) in -1..1 as scaled latents (n, 4, h/8, w/8), float32, each by itself."""
    weight = next(encoder.parameters())
    encoded: list[Tensor] = [encoder(picture[None].to(weight)).float() for picture in pictures]
    return torch.cat(encoded)
