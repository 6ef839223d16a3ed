"""Networks that rotate the rows of a weight: OFT, Qiu et al. (2023), arXiv:2306.07280; BOFT, arXiv:2311.06243."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modules.weights.networks.kinds import Update, float_at


@dataclass(frozen=True, slots=True, eq=False)
class Rotation(Update):
    """OFT and BOFT: ΔW = the weight with rotated rows - W.

    blocks (n, b, b) with n·b = out: the rows of block k become Rᵀ_k · W_k. With R = (I + Q)(I - Q)⁻¹, Q = B - Bᵀ, for
    the blocks B; in `stored` files, those of old LyCORIS, the blocks are the R themselves.

    BOFT's blocks are (m, n, b, b), m butterfly steps: in step i the rows, seen as (c, 2, 2ⁱ·b/2), change the places of
    the last two axes, then those of each block are multiplied by R from the left, and the places change back.

    `constraint`, if it isn't 0, is the largest norm that Q may have, over all blocks, for each row of W. `rescale`
    (out, 1…) multiplies the rows at last.
    """

    blocks: Tensor
    constraint: float = 0.0
    rescale: Tensor | None = None
    stored: bool = False
    scale: float = 1.0

    @property
    def mixes_rows(self) -> bool:
        return True

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        rows, size = weight.shape[0], self.blocks.shape[-1]
        if self.blocks.shape[-3] * size != rows:
            raise RuntimeError(f"blocks of the shape {tuple(self.blocks.shape)} don't fit {rows} rows")
        rotations = float_at(self._rotations(rows), weight)
        flat = weight.reshape(rows, -1)
        if rotations.ndim == 3:
            turned = (rotations.transpose(1, 2) @ flat.view(-1, size, flat.shape[1])).reshape(flat.shape)
        else:
            turned = _butterfly(rotations, flat)
        if self.rescale is not None:
            turned = turned * float_at(self.rescale, weight).reshape(rows, 1)
        return (turned - flat).mul_(self.scale).reshape(weight.shape)

    def _rotations(self, rows: int) -> Tensor:
        """The R of every block, made where the blocks lie: so they are the same on every device."""
        blocks = self.blocks.float()
        if self.stored:
            return blocks
        skew = blocks - blocks.transpose(-1, -2)
        if self.constraint > 0:
            largest = self.constraint * rows
            norm = float(torch.linalg.vector_norm(skew))
            skew = skew * (largest / norm) if norm > largest else skew
        unit = torch.eye(blocks.shape[-1], device=blocks.device)
        # (I + Q) and the inverse of (I - Q) commute.
        rotations: Tensor = torch.linalg.solve(unit - skew, unit + skew)
        return rotations


def _butterfly(rotations: Tensor, flat: Tensor) -> Tensor:
    rows, columns = flat.shape
    size = rotations.shape[-1]
    for step, blocks in enumerate(rotations):
        half = 2**step * size // 2
        if half == 0 or rows % (2 * half):
            raise RuntimeError(f"{len(rotations)} butterfly steps of blocks {size} wide don't fit {rows} rows")
        mixed = flat.view(-1, 2, half, columns).transpose(1, 2).reshape(-1, size, columns)
        flat = (blocks @ mixed).view(-1, half, 2, columns).transpose(1, 2).reshape(rows, columns)
    return flat
