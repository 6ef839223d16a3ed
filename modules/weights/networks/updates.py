"""From the tensors of one layer of a network file to what they do: which kind they are, and how strong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from modules.weights.checkpoint_errors import NetworkError
from modules.weights.networks.kinds import (
    Difference,
    Factors,
    GeneralizedLowRank,
    Hadamard,
    Kronecker,
    LowRank,
    Rescaling,
    Update,
    WeightDecomposed,
    WithOffset,
)
from modules.weights.networks.peft_rotations import RotationSettings, boft_update, oft_update, old_oft_update
from modules.weights.networks.rotations import Rotation
from modules.weights.original_names import swapped_halves

_PEFT_DEFAULTS: Final = RotationSettings()
# Of a layer's name in a sentence; theirs are below that, but a file may say what it likes.
_LONGEST_NAME: Final = 150
_Parts = Mapping[str, Tensor]


class WeightUpdate(Protocol):
    """What is done to one weight."""

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        """ΔW in float32, of the weight's shape, before the multiplier.

        Args:
            weight: float32, (out, in[, kh, kw]) or (channels), as the networks before this one left it, anywhere.
            dyn: only so many of the ranks of a plain low-rank update count.

        Raises:
            RuntimeError: the shapes don't fit.
        """

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        """Add multiplier · ΔW to `weight`, float32, in place; errors as `delta`."""

    @property
    def mixes_rows(self) -> bool:
        """Whether ΔW of a row depends on other rows of the weight."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its tensors, as they were read."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What a network does to a module's weight, and what it adds to its bias, (out), each times the multiplier."""

    weight: WeightUpdate | None
    bias: Tensor | WeightUpdate | None
    """What is added, or what an update makes of the bias that is there."""


@dataclass(frozen=True, slots=True, eq=False)
class RowsOf:
    """Part `index` of `count` equal parts of the rows that an update is for, or `span` parts from that one on, for the
    weight of these rows alone.

    With `swapped` the weight has all of them, the second half first.

    `all_parts` gives what all rows are before this update, float32, as the weights that share them, in their order,
    where that matters: lengths of columns, and rotations of rows, are of all of them together. Without it such updates
    don't fit.
    """

    update: WeightUpdate
    index: int
    count: int
    swapped: bool = False
    all_parts: Callable[[], Sequence[Tensor]] | None = None
    span: int = 1

    @property
    def mixes_rows(self) -> bool:
        return False

    def delta(self, weight: Tensor, dyn: int | None = None) -> Tensor:
        if self.swapped:
            return swapped_halves(self.update.delta(swapped_halves(weight), dyn))
        delta = self.update.delta(self._whole(weight), dyn)
        size = delta.shape[0] // self.count
        part = delta[self.index * size : (self.index + self.span) * size]
        if part.shape != weight.shape:
            raise RuntimeError(f"{tuple(part.shape)} rows are not those of a weight of {tuple(weight.shape)}")
        return part

    def _whole(self, weight: Tensor) -> Tensor:
        """All rows, with `weight` in its place among them."""
        size = weight.shape[0] // self.span
        if self.update.mixes_rows and self.all_parts is None:
            raise RuntimeError("what is done to a row depends on all of them, and only a part of these is there")
        if self.update.mixes_rows and self.all_parts is not None:
            whole = torch.cat([part.to(weight.device) for part in self.all_parts()])
        else:
            # What an update does with the rows of others is left out, whatever they are.
            whole = weight[:size].repeat(self.count, *[1] * (weight.ndim - 1))
        whole[self.index * size : (self.index + self.span) * size] = weight
        return whole

    def merge_into(self, weight: Tensor, multiplier: float, dyn: int | None = None) -> None:
        weight.add_(self.delta(weight, dyn), alpha=multiplier)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.update.tensors


def misfit(layer: str, update: WeightUpdate | Tensor, shape: Sequence[int]) -> str:
    """What the update of a layer has for a parameter of this shape, which it doesn't fit, as a part of a sentence."""
    tensors = (update,) if isinstance(update, Tensor) else update.tensors
    shapes = " and ".join(str(list(one.shape)) for one in tensors)
    return f"{layer[:_LONGEST_NAME]!r} has {shapes} for a tensor of {list(shape)}"


def layer_update(parts: Mapping[str, Tensor], rotation: RotationSettings = _PEFT_DEFAULTS) -> Layer:
    """What the tensors of one layer do.

    Args:
        parts: the tensors by the names of their parts (`modules.catalogue.network_names`). The scale of an update is
            `scale`; without it `alpha` over the rank; without that 1.
        rotation: how PEFT's own OFT is read.

    Raises:
        NetworkError: no known kind has these parts, or they can't be of these shapes.
    """
    update = next((make(parts) for accepts, make in _KINDS if accepts(parts)), None)
    if update is None:
        update = _rotation_of_peft(parts, rotation)
    bias: Tensor | WeightUpdate | None = next(
        (parts[name].flatten() for name in ("diff_b", "b_norm") if name in parts), None
    )
    if update is None and bias is None:
        raise NetworkError(f"its parts {', '.join(sorted(parts))} are of no known kind")
    if update is not None:
        if "bias" in parts:
            update = WithOffset(update, _whole(parts, "bias"), scale_of(parts))
        update = _decomposed(update, parts)
    if "up_bias" in parts:
        # PEFT scales it like the product that it is added to, unlike a difference of biases.
        scaled = parts["up_bias"].flatten().float() * scale_of(parts)
        bias = bias.float() + scaled if isinstance(bias, Tensor) else scaled
    if "ia3_l" in parts and isinstance(update, Rescaling) and not update.on_input and bias is None:
        bias = update
    return Layer(update, bias)


def rank_of(parts: Mapping[str, Tensor]) -> int | None:
    """The rank that `alpha` is divided by; None for kinds without one, and for a LoKr whose two factors are whole."""
    if "a1" in parts:
        name = "b2" if _is_new_glora(parts) else "b1"
    else:
        name = next((name for name in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b") if name in parts), "")
    return _matrix(parts, name).shape[0] if name in parts else None


def scale_of(parts: Mapping[str, Tensor]) -> float:
    """What the update is multiplied by: `scale`, else `alpha` over the rank, else 1."""
    if "scale" in parts:
        return _number(parts, "scale")
    rank = rank_of(parts)
    if rank is None or "alpha" not in parts:
        return 1.0
    if rank == 0:
        raise NetworkError("its rank is 0")
    return _number(parts, "alpha") / rank


def _low_rank(parts: _Parts) -> Update:
    mid = _core(parts, "mid")
    return LowRank(_matrix(parts, "up"), _matrix(parts, "down"), scale_of(parts), mid)


def _hadamard(parts: _Parts) -> Update:
    a1, b1, a2, b2 = (_matrix(parts, f"hada_{name}") for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    return Hadamard(a1, b1, a2, b2, scale_of(parts), _core(parts, "hada_t1"), _core(parts, "hada_t2"))


def _kronecker(parts: _Parts) -> Update:
    return Kronecker(_factors(parts, 1), _factors(parts, 2), scale_of(parts))


def _factors(parts: _Parts, index: int) -> Factors:
    name = f"lokr_w{index}"
    if name in parts:
        return Factors(_matrix(parts, name))
    return Factors(None, _matrix(parts, f"{name}_a"), _matrix(parts, f"{name}_b"), _core(parts, f"lokr_t{index}"))


def _rescaling(parts: _Parts) -> Update:
    return Rescaling(parts["weight"].flatten(), bool(_number(parts, "on_input")), scale_of(parts))


def _rescaling_of_peft(parts: _Parts) -> Update:
    """PEFT's IA3 multiplies by (1, in) or (out, 1), for convolutions by (1, n, 1, 1) either way."""
    factors = parts["ia3_l"]
    if factors.ndim == 2:
        on_input = factors.shape[1] != 1
    elif "on_input" in parts:
        on_input = bool(_number(parts, "on_input"))
    else:
        raise NetworkError("whether it scales inputs or outputs is said by its adapter_config.json, which is not there")
    return Rescaling(factors.flatten().float() - 1, on_input)


def _rotation_of_peft(parts: _Parts, settings: RotationSettings) -> Update | None:
    if "oft_R" in parts:
        return oft_update(parts["oft_R"], settings)
    if "oft_r" in parts:
        return old_oft_update(parts["oft_r"], settings)
    return boft_update(parts["boft_R"], parts.get("boft_s")) if "boft_R" in parts else None


def _difference(parts: _Parts) -> Update:
    return Difference(_whole(parts, "diff" if "diff" in parts else "w_norm"), scale_of(parts))


def _generalized(parts: _Parts) -> Update:
    names = ("a1", "a2", "b1", "b2") if _is_new_glora(parts) else ("a2", "a1", "b2", "b1")
    a1, a2, b1, b2 = (_matrix(parts, name) for name in names)
    return GeneralizedLowRank(a1, a2, b1, b2, scale_of(parts))


def _is_new_glora(parts: _Parts) -> bool:
    """Whether a1 is (in, r), as LyCORIS writes it, and not (r, in) as A1111 reads it.

    b1 is then (out, r), or (r, in·kh·kw), and b2 the other one. The rank alone doesn't say it: it is larger than `in`
    for a UNet's first convolution. Where in and out are the same, both readings fit, and the rank is the smaller one.
    """
    a1, b1, b2 = (_matrix(parts, name).shape for name in ("a1", "b1", "b2"))
    is_new = a1[1] == b1[1] == b2[0]
    is_old = a1[0] == b1[0] == b2[1]
    return is_new if is_new != is_old else a1[0] >= a1[1]


def _rotation(parts: _Parts) -> Update:
    stored = "oft_blocks" not in parts
    blocks = parts["oft_diag" if stored else "oft_blocks"]
    if blocks.ndim not in (3, 4) or blocks.shape[-1] != blocks.shape[-2] or blocks.numel() == 0:
        raise NetworkError(f"its rotations have the shape {list(blocks.shape)}")
    constraint = _number(parts, "alpha") if "alpha" in parts and not stored else 0.0
    scale = _number(parts, "scale") if "scale" in parts else 1.0
    return Rotation(blocks, constraint, parts.get("rescale"), stored, scale)


def _decomposed(update: Update, parts: _Parts) -> Update:
    if "dora_scale" in parts:
        magnitude = parts["dora_scale"]
        if magnitude.ndim == 0 or magnitude.numel() != max(magnitude.shape):
            raise NetworkError(f"its dora_scale has the shape {list(magnitude.shape)}")
        return WeightDecomposed(update, magnitude.reshape(-1, 1) if magnitude.ndim == 1 else magnitude)
    if "magnitude" in parts:
        return WeightDecomposed(update, parts["magnitude"].reshape(-1, 1))
    return update


def _has(*names: str) -> Callable[[_Parts], bool]:
    return lambda parts: all(name in parts for name in names)


def _has_factor(parts: _Parts, name: str) -> bool:
    return name in parts or (f"{name}_a" in parts and f"{name}_b" in parts)


# In the order of asking, which is A1111's.
_KINDS: Final[tuple[tuple[Callable[[_Parts], bool], Callable[[_Parts], Update]], ...]] = (
    (_has("up", "down"), _low_rank),
    (_has("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), _hadamard),
    (_has("weight", "on_input"), _rescaling),
    (_has("ia3_l"), _rescaling_of_peft),
    (lambda parts: _has_factor(parts, "lokr_w1") and _has_factor(parts, "lokr_w2"), _kronecker),
    (_has("diff"), _difference),
    (_has("w_norm"), _difference),
    (_has("a1", "a2", "b1", "b2"), _generalized),
    (_has("oft_blocks"), _rotation),
    (_has("oft_diag"), _rotation),
)


def _whole(parts: _Parts, name: str) -> Tensor:
    if parts[name].ndim == 0:
        raise NetworkError(f"its {name} is a single number")
    return parts[name]


def _matrix(parts: _Parts, name: str) -> Tensor:
    tensor = parts[name]
    if tensor.ndim < 2 or not tensor.is_floating_point():
        raise NetworkError(f"its {name} is no matrix: it has the shape {list(tensor.shape)}")
    return tensor


def _core(parts: _Parts, name: str) -> Tensor | None:
    tensor = parts.get(name)
    if tensor is not None and tensor.ndim != 4:
        raise NetworkError(f"its {name} has the shape {list(tensor.shape)}; four axes were expected")
    return tensor


def _number(parts: _Parts, name: str) -> float:
    if parts[name].numel() != 1:
        raise NetworkError(f"its {name} is no single number: it has the shape {list(parts[name].shape)}")
    return float(parts[name].flatten()[0])
