"""What a model's answer is, and the noise that models trained by EDM or by flow matching know."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

# What a model's answer is: the noise; the velocity of Salimans & Ho (2022), arXiv:2202.00512; what is left of the
# picture behind the skip connection of EDM, Karras et al. (2022), arXiv:2206.00364: as there (Playground 2.5), or the
# velocity, whose sign is the other (CosXL); or noise minus picture, the direction of the straight line between them
# (flow matching: Lipman et al. (2022), arXiv:2210.02747).
PredictionType = Literal["epsilon", "v_prediction", "edm", "edm_v_prediction", "flow"]


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


@dataclass(frozen=True, slots=True)
class FlowTraining:
    """The noise of a model trained by flow matching: every level from 0, the picture, to 1, nothing but noise.

    `shift` moves evenly spaced levels towards the noise, t -> shift t / (1 + (shift - 1) t): Esser et al. (2024),
    arXiv:2403.03206, equation 23. With `by_size` levels that are spread evenly, as they are unless a schedule says
    otherwise, are moved by more the larger the picture is.
    """

    shift: float = 1.0
    by_size: bool = False

    def even_shift(self, cells: int, steps: int) -> float:
        """The shift of so many even steps over a latent of so many cells.

        With `by_size` it is that of Black Forest Labs' published code for FLUX.2, which fitted its logarithm at 10 and
        at 200 steps by straight lines over the cells.
        """
        if not self.by_size:
            return self.shift
        at_200 = 0.00016927 * cells + 0.45666666
        if cells > _LARGE:
            return math.exp(at_200)
        at_10 = 8.73809524e-05 * cells + 1.89833333
        return math.exp(at_200 + (at_200 - at_10) / 190.0 * (steps - 200))


# Cells from which on the number of steps makes no difference.
_LARGE: Final = 4300
