"""PEFT's own OFT and BOFT, which rotate what goes into a layer: Qiu et al. (2023), arXiv:2306.07280; arXiv:2311.06243.

Layouts and behaviour: peft 0.21.2 (Apache-2.0); 0.13 for its older OFT, which rotates what comes out. The rotations are
made when a file is read, since how that is done stands in its configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from modules.weights.checkpoint_errors import NetworkError
from modules.weights.networks.kinds import Update, float_at

# Further ones change nothing where the series converges.
_MOST_TERMS: Final = 64


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """How rotations are made from what a file stores. The defaults are those of PEFT and OneTrainer."""

    neumann_terms: int | None = 5
    """Of the series that stands for the Cayley transform; None takes the transform itself."""
    whole_last_term: bool = False
    """The last term of the series counts twice like the others, as before version 0.18."""
    limit: float | None = None
    """The largest norm of a block's skew-symmetric matrix, times the root of their number (constrained OFT)."""
    blocks: int | None = None
    """How many blocks of rows the only rotation is for, in files of PEFT until 0.13."""

    @staticmethod
    def of(values: Mapping[str, object]) -> RotationSettings:
        """Those in PEFT's configuration of an OFT."""
        blocks, terms, eps = values.get("r"), values.get("num_cayley_neumann_terms", 5), values.get("eps", 6e-5)
        series = values.get("use_cayley_neumann", True)
        return RotationSettings(
            min(terms, _MOST_TERMS) if series is True and isinstance(terms, int) else None,
            _is_before_0_18(values.get("peft_version")),
            float(eps) if values.get("coft") is True and isinstance(eps, int | float) else None,
            blocks if isinstance(blocks, int) and blocks > 0 else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class InputRotation(Update):
    """ΔW = W · Mᵀ · rescale - W, with M the product of the butterfly steps, the first one outermost to the right.

    rotations (m, n, b, b), n·b = in·kh·kw; (m, 1, b, b) is the same rotation for all blocks. In step i the inputs, seen
    as (c, 2, 2ⁱ, b/2), change the places of the middle axes, those of each block are multiplied, and the places change
    back. `rescale` (out) multiplies the rows at last.
    """

    rotations: Tensor
    rescale: Tensor | None = None

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        rows = weight.shape[0]
        flat = weight.reshape(rows, -1)
        blocks, size = self.rotations.shape[1:3]
        if flat.shape[1] % size or (blocks not in (1, flat.shape[1] // size)):
            raise RuntimeError(f"rotations of the shape {tuple(self.rotations.shape)} don't fit {flat.shape[1]} inputs")
        turned = flat
        for step, rotation in enumerate(float_at(self.rotations, weight)):
            turned = _turned(turned, rotation, step)
        if self.rescale is not None:
            turned = turned * float_at(self.rescale, weight).reshape(rows, 1)
        return (turned - flat).reshape(weight.shape)


@dataclass(frozen=True, slots=True, eq=False)
class OutputRotation(Update):
    """OFT of PEFT until 0.13: ΔW = Rᵀ · W - W, in blocks of rows. The last block may reach beyond them, and is cut.

    rotations (n, b, b), n·b ≥ out; (1, b, b) with `count` is the same rotation for all of that many blocks.
    """

    rotations: Tensor
    count: int

    @property
    def mixes_rows(self) -> bool:
        return True

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        flat = weight.reshape(weight.shape[0], -1)
        size = self.rotations.shape[-1]
        if not 0 <= self.count * size - flat.shape[0] < self.count:
            raise RuntimeError(f"{self.count} rotations {size} wide don't fit {flat.shape[0]} rows")
        whole = torch.nn.functional.pad(flat, (0, 0, 0, self.count * size - flat.shape[0]))
        rotations = float_at(self.rotations, weight)
        turned = (rotations.mT @ whole.view(self.count, size, -1)).reshape(whole.shape)[: flat.shape[0]]
        return (turned - flat).reshape(weight.shape)


def oft_update(vectors: Tensor, settings: RotationSettings) -> Update:
    """OFT since 0.14: `vectors` (n, b(b-1)/2) hold the upper triangles of skew-symmetric matrices.

    Raises NetworkError: the triangles are of no size.
    """
    size = (1 + math.isqrt(1 + 8 * vectors.shape[-1])) // 2 if vectors.ndim == 2 else 0
    if size < 2 or size * (size - 1) // 2 != vectors.shape[-1]:
        raise NetworkError(f"its oft_R has the shape {list(vectors.shape)}")
    upper, lower = torch.triu_indices(size, size, 1)
    skew = torch.zeros(len(vectors), size, size)
    skew[:, upper, lower] = vectors.float()
    skew = _limited(skew - skew.mT, settings.limit)
    terms = settings.neumann_terms
    rotations = _cayley(skew) if terms is None else _series(skew, terms, whole_last=settings.whole_last_term)
    return InputRotation(rotations.unsqueeze(0))


def old_oft_update(blocks: Tensor, settings: RotationSettings) -> Update:
    """OFT until 0.13: `blocks` (n, b, b), or (1, b, b) for as many blocks as the settings say.

    Raises NetworkError: they are no square matrices.
    """
    blocks = _square(blocks, "oft_r", 3)
    limit = None if settings.limit is None else settings.limit * blocks.shape[-1] ** 2
    blocks = _limited(blocks, limit)
    number = settings.blocks if len(blocks) == 1 and settings.blocks else len(blocks)
    return OutputRotation(_cayley(0.5 * (blocks - blocks.mT)), number)


def boft_update(blocks: Tensor, rescale: Tensor | None) -> Update:
    """BOFT: `blocks` (m, n, b, b), m butterfly steps; `rescale` for each output.

    Raises NetworkError: they are no square matrices, or can't be butterfly steps.
    """
    blocks = _square(blocks, "boft_R", 4)
    steps, number, size = blocks.shape[:3]
    if steps > 1 and (size % 2 or number % 2 ** (steps - 1)):
        raise NetworkError(f"its boft_R has the shape {list(blocks.shape)}")
    return InputRotation(_cayley(0.5 * (blocks - blocks.mT)), None if rescale is None else rescale.flatten())


def _turned(flat: Tensor, rotation: Tensor, step: int) -> Tensor:
    """`flat` · (P · blocks · Pᵀ)ᵀ: of (out, in)."""
    rows, size = flat.shape[0], rotation.shape[-1]
    if step == 0:
        return torch.einsum("onk,nck->onc", flat.view(rows, -1, size), rotation).reshape(flat.shape)
    pairs, half = 2**step, size // 2
    mixed = flat.view(rows, -1, 2, pairs, half).transpose(2, 3).reshape(rows, -1, size)
    turned = torch.einsum("onk,nck->onc", mixed, rotation)
    return turned.reshape(rows, -1, pairs, 2, half).transpose(2, 3).reshape(flat.shape)


def _cayley(skew: Tensor) -> Tensor:
    unit = torch.eye(skew.shape[-1])
    # (I - S) and the inverse of (I + S) commute.
    rotations: Tensor = torch.linalg.solve(unit + skew, unit - skew)
    return rotations


def _series(skew: Tensor, terms: int, *, whole_last: bool) -> Tensor:
    """I + 2S + 2S² + …, of so many terms; from version 0.18 on the last of four and more counts once."""
    rotations = torch.eye(skew.shape[-1]).expand_as(skew).clone()
    power = rotations
    last = terms - 1 if whole_last or terms < 3 else max(terms - 1, 3)
    for exponent in range(1, last + 1):
        power = skew if exponent == 1 else power @ skew
        rotations += power * (1.0 if exponent == last and exponent > 2 and not whole_last else 2.0)
    return rotations


def _limited(matrices: Tensor, limit: float | None) -> Tensor:
    if limit is None:
        return matrices
    norm = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    largest = limit / math.sqrt(len(matrices))
    return torch.where(norm > largest, matrices * (largest / norm), matrices)


def _square(blocks: Tensor, name: str, axes: int) -> Tensor:
    if blocks.ndim != axes or blocks.shape[-1] != blocks.shape[-2] or blocks.numel() == 0:
        raise NetworkError(f"its {name} has the shape {list(blocks.shape)}")
    return blocks.float()


def _is_before_0_18(version: object) -> bool:
    """Configurations have said their version since 0.18."""
    major, _, rest = version.partition(".") if isinstance(version, str) else ("", "", "")
    minor = rest.partition(".")[0]
    return not (major.isdecimal() and minor.isdecimal()) or (int(major), int(minor)) < (0, 18)
