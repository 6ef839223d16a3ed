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
class LineOfSizes:
    """By how much a picture's size moves even levels: the logarithm of the shift is a straight line over its tokens,
    through two points (tokens, logarithm). A token is `cells` cells of the latent.
    """

    low: tuple[int, float]
    high: tuple[int, float]
    cells: int = 1

    def shift(self, cells: int, steps: int) -> float:
        """The shift over a latent of so many cells, whatever the steps."""
        (low, at_low), (high, at_high) = self.low, self.high
        slope = (at_high - at_low) / (high - low)
        return math.exp(at_low + slope * (cells / self.cells - low))


@dataclass(frozen=True, slots=True)
class LinesOfSizesAndSteps:
    """By how much a picture's size and the number of steps move even levels: the logarithm of the shift was fitted at
    10 and at 200 steps by straight lines, (slope, at 0), over the cells. From `large` cells on steps don't matter.
    """

    at_10: tuple[float, float]
    at_200: tuple[float, float]
    large: int

    def shift(self, cells: int, steps: int) -> float:
        """The shift of so many steps over a latent of so many cells."""
        at_200 = self.at_200[0] * cells + self.at_200[1]
        if cells > self.large:
            return math.exp(at_200)
        at_10 = self.at_10[0] * cells + self.at_10[1]
        return math.exp(at_200 + (at_200 - at_10) / 190.0 * (steps - 200))


@dataclass(frozen=True, slots=True)
class FlowTraining:
    """The noise of a model trained by flow matching: every level from 0, the picture, to 1, nothing but noise.

    `shift` moves evenly spaced levels towards the noise, t -> shift t / (1 + (shift - 1) t): Esser et al. (2024),
    arXiv:2403.03206, equation 23. With `by_size` levels that are spread evenly, as they are unless a schedule says
    otherwise, are moved by more the larger the picture is.
    """

    shift: float = 1.0
    by_size: LineOfSizes | LinesOfSizesAndSteps | None = None

    def even_shift(self, cells: int, steps: int) -> float:
        """The shift of so many even steps over a latent of so many cells."""
        return self.shift if self.by_size is None else self.by_size.shift(cells, steps)
