"""Inpainting in latents: the part outside the mask is put back at each step, fully or softly by degrees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Keeps the quotient of two lengths finite.
_TINY = 1e-5


def row_of(batch: Tensor, index: int) -> Tensor:
    """Row `index` as a batch of one, unless there is a single row for all (or no batch dimension)."""
    return batch if batch.dim() < 4 or batch.shape[0] == 1 else batch[index : index + 1]


@dataclass(frozen=True, slots=True)
class SoftBlend:
    """How soft inpainting mixes at each step; A1111's parameters of the same names.

    `schedule_bias` is the power of the noise level by which the original's hold loosens towards the end, `preservation`
    how strong it is at level 1, `contrast` the norm in which the lengths of latent vectors are averaged: the larger,
    the more the longer one wins.
    """

    schedule_bias: float = 1.0
    preservation: float = 0.5
    contrast: float = 4.0

    def repainted(self, share: Tensor, level: Tensor) -> Tensor:
        """The share (0..1) that is repainted at a noise level: as if the mask were laid on many or few times over."""
        repainted: Tensor = torch.pow(share, float(level) ** self.schedule_bias * self.preservation)
        return repainted

    def mixed(self, original: Tensor, made: Tensor, share: Tensor) -> Tensor:
        """From `original` (share 0) to `made` (share 1), the latent vectors' directions and lengths apart.

        A plain mean of two unlike vectors is shorter than both, which shows as blur. Lengths are along dimension 1.
        """
        mean = original * (1 - share) + made * share
        own, old, new = (torch.linalg.vector_norm(one, dim=1, keepdim=True) for one in (mean, original, made))
        # Against the longer one, so that no power of a length leaves the range of float32.
        longest = torch.maximum(old, new).clamp_min(_TINY)
        powers = (old / longest).pow(self.contrast) * (1 - share) + (new / longest).pow(self.contrast) * share
        lengthened: Tensor = mean * (powers.pow(1 / self.contrast) * longest / (own + _TINY))
        return lengthened


@dataclass(frozen=True, slots=True)
class InpaintMask:
    """Latent-space inpainting: 1 in `keep` holds on to `init`, 0 repaints. Shapes broadcast to the latent's.

    With `soft` the share that is put back follows the noise level instead.
    """

    init: Tensor
    keep: Tensor
    soft: SoftBlend | None = None

    def blend(self, latent: Tensor, level: Tensor) -> Tensor:
        """`latent` at a noise level (or timestep) of the run, with the part outside the mask put back."""
        if self.soft is None:
            return self.init * self.keep + latent * (1 - self.keep)
        share = self.soft.repainted(1 - self.keep, level)
        return self.soft.mixed(self.init, latent, share)

    def finished(self, latent: Tensor) -> Tensor:
        """The same for a finished latent. Soft inpainting leaves it as it is, and decides in pixels."""
        return latent if self.soft is not None else self.init * self.keep + latent * (1 - self.keep)

    def of_image(self, index: int) -> InpaintMask:
        """The part of one image of the batch; what all share stays as it is."""
        return replace(self, init=row_of(self.init, index), keep=row_of(self.keep, index))
