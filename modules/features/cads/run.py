"""CADS: y' = √γ · y + s · √(1 - γ) · n, texts that are noisy while the picture is laid out, for more variety.

Sadat et al. (2023), arXiv:2310.17347: with t, the share of the run that is left, γ is 0 from τ2 on, 1 up to τ1, and
linear between. `rescale` brings y' back to the mean and deviation of y, of which ψ (mixing factor) is taken. The noise
follows from an image's seed and the number of the call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.features.cads.declare import CadsArguments
from modules.features.each_pass import each_pass
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition, Conditioning, UNet


def annealing(left: float, tau_1: float, tau_2: float) -> float:
    """γ where this share of the run is left."""
    if left <= tau_1:
        return 1.0
    return 0.0 if left >= tau_2 else (tau_2 - left) / (tau_2 - tau_1)


def noisy(context: Tensor, noise: Tensor, gamma: float, arguments: CadsArguments) -> Tensor:
    """Encoded texts (rows, tokens, channels) with noise of that shape mixed in."""
    mixed: Tensor = context * gamma**0.5 + noise * (arguments.noise_scale * (1 - gamma) ** 0.5)
    if not arguments.rescale:
        return mixed
    over = (1, 2)
    own, made = (torch.std_mean(one, over, keepdim=True) for one in (context, mixed))
    rescaled: Tensor = (mixed - made[1]) / made[0].clamp_min(torch.finfo(mixed.dtype).tiny) * own[0] + own[1]
    return torch.lerp(mixed, rescaled, arguments.mixing_factor)


class Cads(PassHook):
    """Shows the UNet noisy texts, for the images with these `seeds`."""

    def __init__(self, arguments: CadsArguments, seeds: Sequence[int]) -> None:
        self._arguments = arguments
        self._seeds = seeds
        self._call = 0
        self._gamma = 1.0

    def begin_call(self, at: CallPosition) -> None:
        self._call = at.call
        self._gamma = annealing(1 - at.share, self._arguments.tau_1, self._arguments.tau_2)

    def around(self, unet: UNet) -> UNet:
        def shown(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            if self._gamma < 1:
                context = conditioning.context.float()
                changed = noisy(context, self._noise(context, conditioning.negative_rows), self._gamma, self._arguments)
                conditioning = conditioning.with_context(changed.to(conditioning.context.dtype))
            return unet(x, timesteps, conditioning)

        return shown

    def _noise(self, context: Tensor, negative_rows: int) -> Tensor:
        rows, made = context.shape[0], []
        for row in range(rows):
            positives = rows - negative_rows
            is_negative = row >= positives
            place, count = (row - positives, negative_rows) if is_negative else (row, positives)
            seed = self._seeds[place * len(self._seeds) // count]
            generator = torch.Generator().manual_seed((seed * 100_003 + self._call * 2 + is_negative) % 2**63)
            made.append(torch.randn(context.shape[1:], generator=generator))
        return torch.stack(made).to(context)


def _hooks_of(arguments: CadsArguments, context: PassContext) -> Sequence[PassHook]:
    """None where τ1 is 1, and in the hires pass unless it is to act there."""
    if arguments.tau_1 >= 1 or (context.is_hires and not arguments.hires):
        return ()
    return (Cads(arguments, [context.resolved.seeds[image] for image in context.images]),)


cads = each_pass(CadsArguments, _hooks_of)
