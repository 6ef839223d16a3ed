"""Epsilon scaling: the noise that the model finds is divided by a factor: out = x - (x - g) / f.

Ning et al. (2023), arXiv:2308.15321: a sampler sees its own errors, which training never showed to the model, and they
add up to too much noise. Here x is the latent as image + sigma · noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from modules.features.each_pass import each_pass
from modules.features.epsilon_scaling.declare import EpsilonScalingArguments
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class EpsilonScaling(PassHook):
    """Divides the noise by `factor`."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def guide(self, guided: GuidedCall) -> Tensor:
        x = guided.x / guided.image_scale
        return x - (x - guided.combined) / self._factor


def _hooks_of(arguments: EpsilonScalingArguments, context: PassContext) -> Sequence[PassHook]:
    """None at factor 1, and none where the model mixes noise in: it begins with nothing else, whatever its factor."""
    acts = arguments.factor != 1 and context.pipeline.model.family.flow is None
    return (EpsilonScaling(arguments.factor),) if acts else ()


epsilon_scaling = each_pass(EpsilonScalingArguments, _hooks_of)
