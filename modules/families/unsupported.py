"""Models that are recognised so that they can be refused by name: they can't be run here."""

from collections.abc import Mapping
from typing import Final

# By the beginning of a tensor's name that only they have: what such a file is.
UNSUPPORTED: Final[Mapping[str, str]] = {
    "embedder.model.": "an unCLIP model (it paints variations of a picture)",
    "cond_stage_model.roberta.": "an AltDiffusion model (its text encoder is XLM-RoBERTa)",
    "model.diffusion_model.label_emb.weight": "an upscaling diffusion model",
    "siglip_embedder.": "a Z-Image Omni model (it is shown pictures beside the text)",
    "model.diffusion_model.siglip_embedder.": "a Z-Image Omni model (it is shown pictures beside the text)",
}
