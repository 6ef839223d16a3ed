"""Which family of models a checkpoint belongs to, by the names and shapes of its parts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.weights.checkpoint_errors import CheckpointError

UNET_PREFIX: Final = "model.diffusion_model."
VAE_PREFIX: Final = "first_stage_model."
SD1_TEXT_PREFIXES: Final = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")


class Family(Enum):
    """The published architectures; the value is what a person calls them."""

    SD1 = "Stable Diffusion 1"
    SD2 = "Stable Diffusion 2"
    SDXL = "Stable Diffusion XL"
    SDXL_REFINER = "Stable Diffusion XL refiner"


# Those whose checkpoints can be loaded.
LOADED: Final = (Family.SD1,)


@dataclass(frozen=True, slots=True)
class FamilyDefaults:
    """What holds for a family unless the file states otherwise."""

    resolution: tuple[int, int]
    vae_scaling_factor: float


DEFAULTS: Final[Mapping[Family, FamilyDefaults]] = {
    Family.SD1: FamilyDefaults((512, 512), 0.18215),
    Family.SD2: FamilyDefaults((768, 768), 0.18215),
    Family.SDXL: FamilyDefaults((1024, 1024), 0.13025),
    Family.SDXL_REFINER: FamilyDefaults((1024, 1024), 0.13025),
}


def detect_family(names: Collection[str], file_name: str) -> Family:
    """The family, by the names of the text encoder's tensors.

    Raises:
        CheckpointError: the file holds no original-layout checkpoint; the sentence says what it holds instead.
    """
    kind = classify_tensors(names)
    if kind is not ModelKind.CHECKPOINT:
        raise CheckpointError(f"{file_name} is not a checkpoint but {kind.value}.")
    if any(name.startswith("conditioner.embedders.1.") for name in names):
        return Family.SDXL
    if any(name.startswith("conditioner.embedders.0.model.") for name in names):
        return Family.SDXL_REFINER
    if any(name.startswith("cond_stage_model.model.") for name in names):
        return Family.SD2
    return Family.SD1
