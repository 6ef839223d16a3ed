"""CFG rescale: out = φ · g · std(c) / std(g) + (1 - φ) · g, for the guided estimate g and the prompt's own c.

Lin et al. (2023), arXiv:2305.08891, section 3.4: guidance makes estimates too strong, so they are brought back to the
standard deviation of the prompt's own, image by image.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from modules.features.cfg_rescale.declare import CfgRescaleArguments
from modules.features.each_pass import each_pass
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class Rescale(PassHook):
    """Mixes in `phi` of the rescaled estimate."""

    def __init__(self, phi: float) -> None:
        self._phi = phi

    def guide(self, guided: GuidedCall) -> Tensor:
        spread = guided.cond.std(dim=(1, 2, 3), keepdim=True)
        own = guided.combined.std(dim=(1, 2, 3), keepdim=True)
        return guided.combined * (spread / own * self._phi + (1 - self._phi))


def _hooks_of(arguments: CfgRescaleArguments, context: PassContext) -> Sequence[PassHook]:
    """None at φ = 0."""
    return (Rescale(arguments.phi),) if arguments.phi else ()


cfg_rescale = each_pass(CfgRescaleArguments, _hooks_of)
