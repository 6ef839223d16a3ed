"""The upscalers that need no model file: ways to enlarge latents, and plain resampling of pixels."""

from typing import Final

LATENT_UPSCALE_MODES: Final = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)

PIXEL_UPSCALERS: Final = ("None", "Lanczos", "Nearest")
