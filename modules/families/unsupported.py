"""Models that are recognised so that they can be refused by name: they can't be run here."""

from collections.abc import Mapping
from typing import Final

_FLUX2_DEV: Final = "a Flux.2 dev model (its text encoder is Mistral)"
# By the beginning of a tensor's name that only they have: what such a file is.
UNSUPPORTED: Final[Mapping[str, str]] = {
    "embedder.model.": "an unCLIP model (it paints variations of a picture)",
    "cond_stage_model.roberta.": "an AltDiffusion model (its text encoder is XLM-RoBERTa)",
    "model.diffusion_model.label_emb.weight": "an upscaling diffusion model",
    "guidance_in.": _FLUX2_DEV,
    "model.diffusion_model.guidance_in.": _FLUX2_DEV,
    "time_guidance_embed.guidance_embedder.": _FLUX2_DEV,
    "siglip_embedder.": "a Z-Image Omni model (it is shown pictures beside the text)",
    "model.diffusion_model.siglip_embedder.": "a Z-Image Omni model (it is shown pictures beside the text)",
}
