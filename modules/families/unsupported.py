"""Models that are recognised so that they can be refused by name: they can't be run here."""

from collections.abc import Mapping
from typing import Final

from modules.families.family import has_all
from modules.families.flux import FLUX_DEV, FLUX_PREFIXES

_FLUX2_DEV: Final = "a Flux.2 dev model (its text encoder is Mistral)"
_OMNI: Final = "a Z-Image Omni model (it is shown pictures beside the text)"
# By the beginnings of names of tensors that together only they have: what such a file is.
UNSUPPORTED: Final[Mapping[tuple[str, ...], str]] = {
    ("embedder.model.",): "an unCLIP model (it paints variations of a picture)",
    ("cond_stage_model.roberta.",): "an AltDiffusion model (its text encoder is XLM-RoBERTa)",
    ("model.diffusion_model.label_emb.weight",): "an upscaling diffusion model",
    **{
        tuple(prefix + name for name in ("double_stream_modulation_img.", "guidance_in.")): _FLUX2_DEV
        for prefix in FLUX_PREFIXES
    },
    ("time_guidance_embed.guidance_embedder.",): _FLUX2_DEV,
    **{(f"{prefix}siglip_embedder.",): _OMNI for prefix in FLUX_PREFIXES},
    **{
        (f"{prefix}distilled_guidance_layer.",): "a Chroma model (Flux.1 without its guidance)"
        for prefix in FLUX_PREFIXES
    },
}
_TOOLS: Final = "a Flux.1 Canny or Depth model (it is shown the picture of a structure)"
# By how many numbers a token is that Flux.1's transformer takes, in files with these tensors.
BY_INPUT: Final[Mapping[int, str]] = {
    384: "a Flux.1 Fill model (it is shown a mask and what is around it)",
    128: _TOOLS,
}
_INPUTS: Final = (("img_in.weight", "vector_in."), ("x_embedder.weight", "time_text_embed.text_embedder."))
KONTEXT: Final = "a Flux.1 Kontext model (it is shown pictures to edit)"


def unsupported(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> str | None:
    """What a checkpoint with tensors of these shapes is, if it is one that can't be run here."""
    for beginnings, what in UNSUPPORTED.items():
        if has_all(shapes, beginnings):
            return what
    for prefix in FLUX_PREFIXES:
        for name, beside in _INPUTS:
            shape = shapes.get(prefix + name, ())
            if len(shape) == 2 and shape[1] in BY_INPUT and has_all(shapes, (prefix + beside,)):
                return BY_INPUT[shape[1]]
    said = " ".join(value for key, value in metadata.items() if key.startswith("modelspec.")).lower()
    return KONTEXT if "kontext" in said and any(has_all(shapes, mark) for mark in FLUX_DEV.marks) else None
