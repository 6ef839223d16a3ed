"""The architectures of models: one frozen value each, which says how it differs from the others."""

from collections.abc import Collection
from typing import Final

from modules.families.family import (
    ADDED_WIDTH,
    TOKEN_EMBEDDING,
    UNET_PREFIX,
    VAE_PREFIX,
    VAE_PREFIXES,
    AddedNumbers,
    ClipSkip,
    DenoiserKind,
    DistilledScale,
    Family,
    StepTables,
    TextEncoderFacts,
    TextLayout,
    count_of,
)
from modules.families.flux import FLUX_DEV, FLUX_SCHNELL
from modules.families.flux2 import FLUX2_KLEIN_4B, FLUX2_KLEIN_9B
from modules.families.ignored import ignored_settings
from modules.families.prediction import EDM_TRAINING, EdmTraining, FlowTraining, PredictionType
from modules.families.sd1 import SD1
from modules.families.sd2 import SD2
from modules.families.sdxl import COSXL, PLAYGROUND, SDXL, SDXL_REFINER
from modules.families.shown import DEPTH, EDITING, INPAINTING
from modules.families.z_image import Z_IMAGE

# In the order of asking: the marks of the later ones are in files of the earlier ones too.
FAMILIES: Final = (
    FLUX2_KLEIN_9B, FLUX2_KLEIN_4B, FLUX_DEV, FLUX_SCHNELL, Z_IMAGE, PLAYGROUND, COSXL, SDXL, SDXL_REFINER, SD2, SD1,
)  # fmt: skip


def family_of(names: Collection[str]) -> Family | None:
    """The family of a checkpoint in the original layout, by the names of its tensors; None if it is of none."""
    return next((family for family in FAMILIES if family.is_marked(names)), None)


__all__ = [
    "ADDED_WIDTH",
    "COSXL",
    "DEPTH",
    "EDITING",
    "EDM_TRAINING",
    "FAMILIES",
    "FLUX2_KLEIN_4B",
    "FLUX2_KLEIN_9B",
    "FLUX_DEV",
    "FLUX_SCHNELL",
    "INPAINTING",
    "PLAYGROUND",
    "SD1",
    "SD2",
    "SDXL",
    "SDXL_REFINER",
    "TOKEN_EMBEDDING",
    "UNET_PREFIX",
    "VAE_PREFIX",
    "VAE_PREFIXES",
    "Z_IMAGE",
    "AddedNumbers",
    "ClipSkip",
    "DenoiserKind",
    "DistilledScale",
    "EdmTraining",
    "Family",
    "FlowTraining",
    "PredictionType",
    "StepTables",
    "TextEncoderFacts",
    "TextLayout",
    "count_of",
    "family_of",
    "ignored_settings",
]
