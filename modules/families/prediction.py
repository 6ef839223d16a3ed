"""What a UNet's answer is, and the noise that models trained by EDM know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

# What a UNet's answer is: the noise; the velocity of Salimans & Ho (2022), arXiv:2202.00512; or what is left of the
# picture behind the skip connection of EDM, Karras et al. (2022), arXiv:2206.00364: as there (Playground 2.5), or the
# velocity, whose sign is the other (CosXL).
PredictionType = Literal["epsilon", "v_prediction", "edm", "edm_v_prediction"]


@dataclass(frozen=True, slots=True)
class EdmTraining:
    """The noise of a model without timesteps: it takes every level between two, and as time its logarithm.

    `spacing` is how its levels are spread where no schedule of its own is chosen: by Karras et al. with rho 7, or
    evenly in the logarithm.
    """

    sigma_data: float
    sigma_min: float
    sigma_max: float
    spacing: Literal["karras", "exponential"]


EDM_TRAINING: Final[Mapping[PredictionType, EdmTraining]] = {
    "edm": EdmTraining(0.5, 0.002, 80.0, "karras"),
    "edm_v_prediction": EdmTraining(1.0, 0.002, 120.0, "exponential"),
}
"""By the prediction types that are EDM's: their published training."""
