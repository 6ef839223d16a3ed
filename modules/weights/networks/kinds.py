"""The kinds of networks: one way each to change a weight, computed in float32.

W is the weight, (out, in) or (out, in, kh, kw); r is a rank. An update is ΔW; what is applied is multiplier · ΔW. The
tensors of a file stay in the type they have there and are converted when they are used, since products of 16-bit
numbers are 10 to 100 times slower on a CPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from modules.families import INPAINTING

# How many of an inpainting UNet's input channels every other one has too.
_PLAIN = 4


@dataclass(frozen=True, slots=True, eq=False)
class Update(ABC):
    """What all kinds have in common; see `WeightUpdate` for what its methods do."""

    @abstractmethod
    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor: ...

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        weight.add_(self.delta(weight, dyn), alpha=multiplier)

    @property
    def mixes_rows(self) -> bool:
        return False

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for field in fields(self):
            value = getattr(self, field.name)
            found += value.tensors if isinstance(value, Update) else [value] * isinstance(value, Tensor)
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class LowRank(Update):
    """LoRA: scale · up · down. Hu et al. (2021), arXiv:2106.09685; for convolutions LoCon of LyCORIS, arXiv:2309.14859.

    up (out, r), down (r, in·kh·kw). With `mid` (r, r, kh, kw), a CP decomposition, down is (r, in):
    ΔW[i, j, k, l] = scale · Σ_nm mid[n, m, k, l] up[i, n] down[m, j].
    """

    up: Tensor
    down: Tensor
    scale: float = 1.0
    mid: Tensor | None = None

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        if self.mid is not None:
            mid = float_at(self.mid, weight)
            up, down = float_at(self.up, weight).flatten(1), float_at(self.down, weight).flatten(1)
            return fitted(torch.einsum("nmkl,in,mj->ijkl", mid, up, down).mul_(self.scale), weight)
        up, down = self._factors(weight, dyn)
        return fitted(torch.mm(up, down).mul_(self.scale), weight)

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        flat = flat_view(weight)
        if self.mid is not None or flat is None or flat.shape[1] != self.down.flatten(1).shape[1]:
            weight.add_(self.delta(weight, dyn), alpha=multiplier)
            return
        up, down = self._factors(weight, dyn)
        flat.addmm_(up, down, alpha=multiplier * self.scale)

    def _factors(self, weight: Tensor, dyn: int | None) -> tuple[Tensor, Tensor]:
        up, down = self.up.flatten(1), self.down.flatten(1)
        if dyn is not None:
            up, down = up[:, : max(dyn, 0)], down[: max(dyn, 0)]
        return float_at(up, weight), float_at(down, weight)


@dataclass(frozen=True, slots=True, eq=False)
class Hadamard(Update):
    """LoHa: scale · (w1_a · w1_b) ∘ (w2_a · w2_b). Hyeon-Woo et al. (2022), arXiv:2108.06098.

    w*_a (out, r), w*_b (r, in·kh·kw). With the cores t1 and t2, (r, r, kh, kw), w*_a is (r, out) and w*_b (r, in).
    """

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    scale: float = 1.0
    t1: Tensor | None = None
    t2: Tensor | None = None

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        return fitted(self._factor(1, weight).mul_(self._factor(2, weight)).mul_(self.scale), weight)

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        flat, first, second = flat_view(weight), self._factor(1, weight), self._factor(2, weight)
        if flat is None or flat.shape != first.flatten(1).shape or first.shape != second.shape:
            weight.add_(fitted(first.mul_(second).mul_(self.scale), weight), alpha=multiplier)
        else:
            flat.addcmul_(first.flatten(1), second.flatten(1), value=multiplier * self.scale)

    def _factor(self, index: int, weight: Tensor) -> Tensor:
        a, b, core = (self.w1_a, self.w1_b, self.t1) if index == 1 else (self.w2_a, self.w2_b, self.t2)
        if core is None:
            return float_at(a, weight).flatten(1) @ float_at(b, weight).flatten(1)
        return tucker(float_at(core, weight), float_at(a, weight), float_at(b, weight))


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """One factor of a Kronecker product: whole, or a · b. With a core (r, r, kh, kw) a is (r, out) and b (r, in)."""

    whole: Tensor | None = None
    a: Tensor | None = None
    b: Tensor | None = None
    core: Tensor | None = None

    def matrix(self, weight: Tensor) -> Tensor:
        """The factor, (out, in) or (out, in·kh·kw), in float32 where `weight` is."""
        if self.whole is not None:
            return float_at(self.whole, weight).flatten(1)
        if self.a is None or self.b is None:
            raise RuntimeError("a Kronecker product lacks one of its factors")
        a, b = float_at(self.a, weight), float_at(self.b, weight)
        if self.core is not None:
            return tucker(float_at(self.core, weight), a, b).flatten(1)
        return a.flatten(1) @ b.flatten(1)


@dataclass(frozen=True, slots=True, eq=False)
class Kronecker(Update):
    """LoKr: scale · w1 ⊗ w2, w1 (o1, i1), w2 (o2, i2·kh·kw), out = o1·o2, in = i1·i2. LyCORIS, arXiv:2309.14859."""

    w1: Factors
    w2: Factors
    scale: float = 1.0

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        return fitted(torch.kron(self.w1.matrix(weight), self.w2.matrix(weight)).mul_(self.scale), weight)

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        w1, w2, flat = self.w1.matrix(weight), self.w2.matrix(weight), flat_view(weight)
        if flat is None or flat.shape != (w1.shape[0] * w2.shape[0], w1.shape[1] * w2.shape[1]):
            weight.add_(fitted(torch.kron(w1, w2).mul_(self.scale), weight), alpha=multiplier)
            return
        blocks = flat.view(w1.shape[0], w2.shape[0], w1.shape[1], w2.shape[1])
        blocks.addcmul_(w1[:, None, :, None], w2[None, :, None, :], value=multiplier * self.scale)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        held = (value for part in (self.w1, self.w2) for value in (part.whole, part.a, part.b, part.core))
        return tuple(value for value in held if value is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Rescaling(Update):
    """IA3: W · factors, per row (out), or per input column (in) if `on_input`. Liu et al. (2022), arXiv:2205.05638."""

    factors: Tensor
    on_input: bool
    scale: float = 1.0

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        shape = [1] * weight.ndim
        axis = 1 if self.on_input and weight.ndim > 1 else 0
        shape[axis] = weight.shape[axis]
        return weight * float_at(self.factors, weight).reshape(shape).mul(self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class Difference(Update):
    """The difference itself, of the weight's shape: a full fine-tuning, or that of a norm's weight (channels)."""

    difference: Tensor
    scale: float = 1.0

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        return fitted(float_at(self.difference, weight) * self.scale, weight)


@dataclass(frozen=True, slots=True, eq=False)
class GeneralizedLowRank(Update):
    """GLoRA: scale · (b1 · b2 + W · a1 · a2), the latter over input channels. Chavan et al. (2023), arXiv:2306.07967.

    a1 (in, r), a2 (r, in), b1 (out, r), b2 (r, in·kh·kw).
    """

    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    scale: float = 1.0

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        a1, a2, b1, b2 = (float_at(one, weight).flatten(1) for one in (self.a1, self.a2, self.b1, self.b2))
        mixed = torch.einsum("oi...,ir,rj->oj...", weight, a1, a2)
        return (mixed + fitted(b1 @ b2, weight)).mul_(self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class WithOffset(Update):
    """Another update and, as old LyCORIS files have it, a tensor that is added to it: update + scale · offset."""

    update: Update
    offset: Tensor
    scale: float = 1.0

    @property
    def mixes_rows(self) -> bool:
        return self.update.mixes_rows

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        return self.update.delta(weight, dyn) + fitted(float_at(self.offset, weight) * self.scale, weight)


@dataclass(frozen=True, slots=True, eq=False)
class WeightDecomposed(Update):
    """DoRA: V = W + update, ΔW = V · magnitude / ‖V‖ - W. Liu et al. (2024), arXiv:2402.09353.

    ‖V‖ is that of each output row, for a magnitude (out, 1[, 1, 1]), or of each input column (over rows and kernel),
    for one (1, in[, 1, 1]): whichever axis of it is not 1. A1111 1.10.1 takes columns for both.
    """

    update: Update
    magnitude: Tensor

    @property
    def by_columns(self) -> bool:
        """Whether the magnitude is of input columns."""
        return self.magnitude.shape[0] == 1 and self.magnitude.numel() > 1

    @property
    def mixes_rows(self) -> bool:
        return self.by_columns or self.update.mixes_rows

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        changed = weight + self.update.delta(weight, dyn)
        if changed.ndim < 2:
            raise RuntimeError("a weight with one axis has no rows and columns whose lengths could be set")
        axis = int(self.by_columns)
        shape = [1] * weight.ndim
        shape[axis] = weight.shape[axis]
        magnitude = float_at(self.magnitude, weight).reshape(shape)
        others = [dim for dim in range(weight.ndim) if dim != axis]
        length = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        # A row of zeros has no direction; it stays zero.
        return changed.mul_(magnitude / length.clamp_min_(torch.finfo(length.dtype).eps)).sub_(weight)


def float_at(tensor: Tensor, weight: Tensor) -> Tensor:
    """`tensor` in float32 on the weight's device."""
    return tensor.to(device=weight.device, dtype=torch.float32)


def tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """(out, in, kh, kw): Σ_ij core[i, j, k, l] a[i, p] b[j, q], of core (r, r, kh, kw), a (r, out) and b (r, in)."""
    return torch.einsum("ijkl,ip,jq->pqkl", core, a.flatten(1), b.flatten(1))


def flat_view(weight: Tensor) -> Tensor | None:
    """`weight` as (out, in·kh·kw), the same memory; None where its memory is laid out otherwise."""
    return weight.view(weight.shape[0], -1) if weight.ndim > 0 and weight.is_contiguous() else None


def fitted(update: Tensor, weight: Tensor) -> Tensor:
    """`update`, (out, …), in the weight's shape: files mix (out, in) and (out, in, 1, 1) freely.

    That of a UNet with 4 input channels fits one with 9, the inpainting model of the same family: the first 4 change.

    Raises:
        RuntimeError: it has other rows, or more or fewer numbers.
    """
    if update.shape == weight.shape:
        return update
    if weight.ndim > 0 and update.ndim > 0 and update.shape[0] == weight.shape[0]:
        if update.numel() == weight.numel():
            return update.reshape(weight.shape)
        if weight.ndim == 4 and weight.shape[1] == INPAINTING:
            plain = (weight.shape[0], _PLAIN, *weight.shape[2:])
            padding = (0, 0, 0, 0, 0, INPAINTING - _PLAIN)
            return torch.nn.functional.pad(update.reshape(plain), padding)
    raise RuntimeError(f"an update of the shape {tuple(update.shape)} doesn't fit a weight of {tuple(weight.shape)}")
