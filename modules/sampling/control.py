"""How the answers of control models are weighed and added: pure functions on tensors.

A ControlNet answers with one residual for each skip connection of the UNet and one for its middle block: Zhang et al.
(2023), arXiv:2302.05543. A T2I-Adapter answers with one feature for each level: Mou et al. (2023), arXiv:2302.08453.
Behaviour reproduced: sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from modules.parameters.control import ControlMode
from modules.sampling.hooks import CallPosition

# Residuals are counted on the 13 of Stable Diffusion 1, the last one undiminished; shorter rows take the first ones.
_FALL: Final = 0.825
_LAST: Final = 12
_FEATURE_CURVE: Final = (0.25, 0.62, 0.825, 1.0)
# Preprocessors whose maps are lines of one pixel: too much for a pass that only refines.
_SHARP_MAPS: Final = ("canny", "mlsd")
_SHUFFLE: Final = "shuffle"


@dataclass(frozen=True, slots=True)
class UnetResiduals:
    """What is added inside one forward of a UNet.

    `skips` are for its skip connections in their order and `middle` for its middle block's answer, both given or
    neither; `features`, of T2I-Adapters, are for the levels on the way down, each (rows, channels, height, width).
    """

    skips: tuple[Tensor, ...] = ()
    middle: Tensor | None = None
    features: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Weighting:
    """How one unit's residuals are weighed.

    `weights` has a factor for each. `positive_only` leaves rows of the negative prompt alone, `pooled` replaces each
    residual by its mean over the picture, `mask` (1 or rows, 1, height, width), 0 to 1, says where the unit acts.
    """

    weights: tuple[float, ...]
    positive_only: bool = False
    pooled: bool = False
    mask: Tensor | None = None


def residual_weights(count: int, weight: float, *, curved: bool) -> tuple[float, ...]:
    """Factors for `count` residuals of a ControlNet, the middle block's last: `weight`, falling to the top if `curved`.

    SDXL's ten take the first ten of the thirteen, so that its middle block gets 0.56 of the weight.
    """
    return tuple(weight * (_FALL ** (_LAST - index) if curved else 1.0) for index in range(count))


def feature_weights(count: int, weight: float, *, curved: bool) -> tuple[float, ...]:
    """Factors for `count` features of a T2I-Adapter."""
    last = len(_FEATURE_CURVE) - 1
    return tuple(weight * (_FEATURE_CURVE[min(index, last)] if curved else 1.0) for index in range(count))


def is_curved(mode: ControlMode, preprocessor: str, *, hires: bool) -> bool:
    """Whether a unit's influence falls towards the top: in the modes that prefer one side, and for maps of sharp lines
    in the second pass.
    """
    return mode is not ControlMode.BALANCED or (hires and any(name in preprocessor.lower() for name in _SHARP_MAPS))


def is_positive_only(mode: ControlMode, model_name: str) -> bool:
    """Whether a unit leaves the negative prompt's rows alone."""
    return mode is ControlMode.CONTROL or is_pooled(model_name)


def is_pooled(model_name: str) -> bool:
    """Whether a ControlNet's residuals are averaged over the picture: those of shuffle models, known by name only."""
    return _SHUFFLE in model_name.lower()


def is_within(window: tuple[float, float], at: CallPosition, steps: int) -> bool:
    """Whether a unit with this guidance window (start, end), shares of the `steps` of a pass, acts in a call.

    What counts is the last step that was reported. That happens behind a step's first call, so that the second call
    still sees the first step.
    """
    calls_each = max(round(at.calls / max(steps, 1)), 1)
    share = max(at.call - 1, 0) // calls_each / max(steps, 1)
    return window[0] <= share <= window[1]


def weigh(residuals: Sequence[Tensor], weighting: Weighting, *, negative_rows: int = 0) -> tuple[Tensor, ...]:
    """Weigh one unit's residuals, each (rows, channels, height, width).

    With `positive_only` they are those of the positive prompts' rows, and `negative_rows` rows of zeros are added.

    Raises:
        ValueError: there are fewer factors than residuals.
    """
    if len(weighting.weights) < len(residuals):
        raise ValueError(f"{len(residuals)} weights are needed, and {len(weighting.weights)} are given.")
    return tuple(
        _weighed(residual, factor, weighting, negative_rows)
        for residual, factor in zip(residuals, weighting.weights, strict=False)
    )


def _weighed(residual: Tensor, factor: float, weighting: Weighting, negative_rows: int) -> Tensor:
    made = residual * factor
    if weighting.pooled:
        made = made.mean(dim=(2, 3), keepdim=True).expand_as(residual)
    if weighting.mask is not None:
        made = made * resized_mask(weighting.mask, made)
    if weighting.positive_only and negative_rows:
        made = torch.cat([made, made.new_zeros(negative_rows, *made.shape[1:])])
    return made


def resized_mask(mask: Tensor, residual: Tensor) -> Tensor:
    """A region mask, (1 or rows, 1, height, width), at the size of a residual."""
    return functional.interpolate(mask.to(residual), residual.shape[-2:], mode="bilinear", align_corners=False)


def added(units: Sequence[UnetResiduals]) -> UnetResiduals | None:
    """The residuals of several units in one forward: they add up. None of no unit."""
    if not units:
        return None
    middles = [unit.middle for unit in units if unit.middle is not None]
    return UnetResiduals(
        _sums([unit.skips for unit in units if unit.skips]),
        _sums([(middle,) for middle in middles])[0] if middles else None,
        _sums([unit.features for unit in units if unit.features]),
    )


def _sums(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    if not rows:
        return ()
    sums = list(rows[0])
    for row in rows[1:]:
        sums = [total + one for total, one in zip(sums, row, strict=True)]
    return tuple(sums)
