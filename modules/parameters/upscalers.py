"""The upscalers that work on latents; those of pixels are the catalogue's, since most of them are files."""

from typing import Final

LATENT_UPSCALE_MODES: Final = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
