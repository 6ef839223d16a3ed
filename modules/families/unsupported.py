"""Models that are recognised so that they can be refused by name: they can't be run here."""

from collections.abc import Collection, Mapping
from typing import Final

from modules.families.family import UNET_PREFIX, has_all

_FLUX2_DEV: Final = "a Flux.2 dev model (its text encoder is Mistral)"
_OMNI: Final = "a Z-Image Omni model (it is shown pictures beside the text)"
# By the beginnings of names of tensors that together only they have: what such a file is.
UNSUPPORTED: Final[Mapping[tuple[str, ...], str]] = {
    ("embedder.model.",): "an unCLIP model (it paints variations of a picture)",
    ("cond_stage_model.roberta.",): "an AltDiffusion model (its text encoder is XLM-RoBERTa)",
    ("model.diffusion_model.label_emb.weight",): "an upscaling diffusion model",
    **{
        tuple(prefix + name for name in ("double_stream_modulation_img.", "guidance_in.")): _FLUX2_DEV
        for prefix in ("", UNET_PREFIX)
    },
    ("time_guidance_embed.guidance_embedder.",): _FLUX2_DEV,
    **{(f"{prefix}siglip_embedder.",): _OMNI for prefix in ("", UNET_PREFIX)},
}


def unsupported(names: Collection[str]) -> str | None:
    """What a checkpoint with tensors of these names is, if it is one that can't be run here."""
    found = (what for beginnings, what in UNSUPPORTED.items() if has_all(names, beginnings))
    return next(found, None)
