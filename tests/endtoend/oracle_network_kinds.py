"""What networks of every kind hold for a layer, drawn at random, and what they do to it, by their definitions.

Nothing of `modules/` is used: updates are written down here once more, in float64, from the papers and the layouts that
trainers write (LyCORIS, kohya's sd-scripts, PEFT).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Parts = dict[str, Tensor]
# W' - W, of float64 weights.
Delta = Callable[[Tensor], Tensor]
Draw = Callable[..., Tensor]
RANK = 2
_block_diag: Callable[..., Tensor] = torch.block_diag


@dataclass(frozen=True)
class Made:
    """A layer's tensors in the file, and what they do to its weight and to its bias, zeros if it has none."""

    parts: Parts
    weight: Delta
    bias: Delta | None = None


Kind = Callable[[Tensor, Draw], Made]


def _is_wide(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.shape[-1] > 1


def lora(weight: Tensor, draw: Draw) -> Made:
    up, down = draw(weight.shape[0], RANK), draw(RANK, *weight.shape[1:])
    delta = (up @ down.flatten(1)).view(weight.shape) * 0.5
    shaped = up[..., None, None] if weight.ndim == 4 else up
    parts = {"lora_up.weight": shaped, "lora_down.weight": down, "alpha": torch.tensor(RANK * 0.5)}
    return Made(parts, lambda _: delta)


def cp(weight: Tensor, draw: Draw) -> Made:
    if not _is_wide(weight):
        return lora(weight, draw)
    out, into, high, wide = weight.shape
    up, mid, down = draw(out, RANK), draw(RANK, RANK, high, wide), draw(RANK, into)
    delta = torch.einsum("on,nmhw,mi->oihw", up, mid, down)
    parts = {
        "lora_up.weight": up[..., None, None],
        "lora_mid.weight": mid,
        "lora_down.weight": down[..., None, None],
        "alpha": torch.tensor(float(RANK)),
    }
    return Made(parts, lambda _: delta)


def loha(weight: Tensor, draw: Draw) -> Made:
    out, flat = weight.shape[0], weight[0].numel()
    a1, b1, a2, b2 = 5 * draw(out, RANK), draw(RANK, flat), 5 * draw(out, RANK), draw(RANK, flat)
    delta = ((a1 @ b1) * (a2 @ b2)).view(weight.shape)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": torch.tensor(float(RANK))}
    return Made(parts, lambda _: delta)


def loha_tucker(weight: Tensor, draw: Draw) -> Made:
    if not _is_wide(weight):
        return loha(weight, draw)
    out, into, high, wide = weight.shape
    parts: Parts = {"alpha": torch.tensor(float(RANK))}
    product = torch.ones_like(weight)
    for number in (1, 2):
        core, a, b = 5 * draw(RANK, RANK, high, wide), 4 * draw(RANK, out), 4 * draw(RANK, into)
        parts |= {f"hada_t{number}": core, f"hada_w{number}_a": a, f"hada_w{number}_b": b}
        product = product * torch.einsum("ro,rshw,si->oihw", a, core, b)
    return Made(parts, lambda _: product)


def _kron(first: Tensor, second: Tensor) -> Tensor:
    return torch.kron(first.reshape(*first.shape, *[1] * (second.ndim - 2)), second.contiguous())


def lokr(weight: Tensor, draw: Draw) -> Made:
    out, into = weight.shape[0], weight.shape[1]
    first = 8 * draw(2, 2)
    second_a, second_b = draw(out // 2, RANK), draw(RANK, weight[0].numel() // 2)
    delta = _kron(first, (second_a @ second_b).view(out // 2, into // 2, *weight.shape[2:])) * 0.5
    parts = {"lokr_w1": first, "lokr_w2_a": second_a, "lokr_w2_b": second_b, "alpha": torch.tensor(RANK * 0.5)}
    return Made(parts, lambda _: delta)


def lokr_whole(weight: Tensor, draw: Draw) -> Made:
    """An alpha means nothing there."""
    first, second = 3 * draw(2, 2), draw(weight.shape[0] // 2, weight.shape[1] // 2, *weight.shape[2:])
    parts = {"lokr_w1": first, "lokr_w2": second, "alpha": torch.tensor(1e9)}
    return Made(parts, lambda _: _kron(first, second))


def lokr_tucker(weight: Tensor, draw: Draw) -> Made:
    if not _is_wide(weight):
        return lokr(weight, draw)
    out, into, high, wide = weight.shape
    first_a, first_b = 3 * draw(2, RANK), 3 * draw(RANK, 2)
    core, a, b = 5 * draw(RANK, RANK, high, wide), 3 * draw(RANK, out // 2), 3 * draw(RANK, into // 2)
    delta = _kron(first_a @ first_b, torch.einsum("ro,rshw,si->oihw", a, core, b))
    parts = {"lokr_w1_a": first_a, "lokr_w1_b": first_b, "lokr_t2": core, "lokr_w2_a": a, "lokr_w2_b": b}
    return Made({**parts, "alpha": torch.tensor(float(RANK))}, lambda _: delta)


def ia3(weight: Tensor, draw: Draw) -> Made:
    share = 3 * draw(weight.shape[0])
    parts = {"weight": share, "on_input": torch.tensor(0.0)}
    return Made(parts, lambda w: w * share.view(-1, *[1] * (w.ndim - 1)))


def ia3_on_input(weight: Tensor, draw: Draw) -> Made:
    share = 3 * draw(weight.shape[1])
    parts = {"weight": share, "on_input": torch.tensor(1.0)}
    return Made(parts, lambda w: w * share.view(1, -1, *[1] * (w.ndim - 2)))


def ia3_of_peft(weight: Tensor, draw: Draw) -> Made:
    """Outputs of linear layers, biases too; its layout for convolutions needs a file beside."""
    if weight.ndim != 2:
        return lora(weight, draw)
    factors = 1 + 3 * draw(len(weight), 1)
    return Made({"ia3_l": factors}, lambda w: w * (factors - 1), lambda bias: bias * (factors[:, 0] - 1))


def full(weight: Tensor, draw: Draw) -> Made:
    """A whole difference, of weight and bias; norms are called otherwise."""
    delta, added = draw(*weight.shape), draw(len(weight))
    names = ("w_norm", "b_norm") if weight.ndim == 1 else ("diff", "diff_b")
    return Made(dict(zip(names, (delta, added), strict=True)), lambda _: delta, lambda _: added)


def _glora(*, old: bool) -> Kind:
    """Until 2023 a1 and a2, and b1 and b2, were called the other way round."""

    def make(weight: Tensor, draw: Draw) -> Made:
        if weight.shape[0] == weight.shape[1]:
            return lora(weight, draw)
        out, into = weight.shape[:2]
        a1, a2, b1, b2 = draw(into, RANK), draw(RANK, into), draw(out, RANK), draw(RANK, weight[0].numel())
        names = ("a2", "a1", "b2", "b1") if old else ("a1", "a2", "b1", "b2")
        parts = {f"{name}.weight": tensor for name, tensor in zip(names, (a1, a2, b1, b2), strict=True)}
        added = (b1 @ b2).view(weight.shape)
        return Made(
            {**parts, "alpha": torch.tensor(float(RANK))},
            lambda w: added + torch.einsum("oi...,ij->oj...", w, a1 @ a2),
        )

    return make


def _cayley(skew: Tensor) -> Tensor:
    one = torch.eye(skew.shape[-1], dtype=skew.dtype)
    rotations: Tensor = (one + skew) @ torch.linalg.inv(one - skew)
    return rotations


def _rows_turned(w: Tensor, rotations: Tensor) -> Tensor:
    rows = w.reshape(*rotations.shape[:2], -1)
    return torch.einsum("knm,knr->kmr", rotations, rows).reshape(w.shape)


def oft(weight: Tensor, draw: Draw) -> Made:
    blocks = 0.3 * draw(weight.shape[0] // 4, 4, 4)
    turned = _cayley(blocks - blocks.mT)
    return Made({"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, lambda w: _rows_turned(w, turned) - w)


def oft_constrained(weight: Tensor, draw: Draw) -> Made:
    """Shrunk to half of what is drawn, and its rows rescaled."""
    blocks = 0.6 * draw(weight.shape[0] // 4, 4, 4)
    skew = blocks - blocks.mT
    constraint, rescale = torch.tensor(0.5 * float(skew.norm()) / len(weight)), 1 + draw(len(weight), 1)
    turned = _cayley(skew * (float(constraint) * len(weight) / skew.norm()))
    shaped = rescale.view(-1, *[1] * (weight.ndim - 1))
    parts = {"oft_blocks": blocks, "alpha": constraint, "rescale": shaped}
    return Made(parts, lambda w: _rows_turned(w, turned) * shaped - w)


def oft_diag(weight: Tensor, draw: Draw) -> Made:
    """Old LyCORIS stores the rotations themselves."""
    turned = torch.eye(4, dtype=torch.float64) + 0.5 * draw(weight.shape[0] // 4, 4, 4)
    return Made({"oft_diag": turned}, lambda w: _rows_turned(w, turned) - w)


def _butterfly(count: int, step: int, size: int) -> Tensor:
    """Where what a block multiplies in this step comes from, of `count` rows: (2, pairs) seen as (pairs, 2)."""
    return torch.arange(count).view(-1, 2, 2**step * size // 2).transpose(1, 2).flatten()


def boft(weight: Tensor, draw: Draw) -> Made:
    size, steps = 4, 2
    blocks = 0.3 * draw(steps, weight.shape[0] // size, size, size)
    rotations = _cayley(blocks - blocks.mT)

    def delta(w: Tensor) -> Tensor:
        rows = w.reshape(len(w), -1)
        for step in range(steps):
            order = _butterfly(len(w), step, size)
            turned = _block_diag(*rotations[step]) @ rows[order]
            rows = torch.empty_like(rows).index_copy_(0, order, turned)
        return rows.reshape(w.shape) - w

    return Made({"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, delta)


def oft_of_peft(weight: Tensor, draw: Draw) -> Made:
    """Inputs are rotated, by a series of five terms; blocks of two inputs, since any layer has that many."""
    vectors = 0.3 * draw(weight[0].numel() // 2, 1)
    skew = vectors[:, :, None] * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    power = torch.linalg.matrix_power
    rotations = torch.eye(2) + 2 * (skew + power(skew, 2) + power(skew, 3)) + power(skew, 4)
    matrix = _block_diag(*rotations)
    return Made({"oft_R.weight": vectors}, lambda w: (w.flatten(1) @ matrix.T).view(w.shape) - w)


def boft_of_peft(weight: Tensor, draw: Draw) -> Made:
    blocks, rescale = 0.6 * draw(1, weight[0].numel() // 2, 2, 2), 1 + draw(len(weight), 1)
    matrix = _block_diag(*_cayley(0.5 * (blocks.mT - blocks))[0])
    parts = {"boft_R": blocks, "boft_s": rescale}
    return Made(parts, lambda w: (rescale * (w.flatten(1) @ matrix.T)).view(w.shape) - w)


def _length(weight: Tensor, axes: list[int]) -> Tensor:
    return weight.square().sum(axes, keepdim=True).sqrt()


def _dora(axis: int, kind: Kind = lora) -> Kind:
    """Another kind with a magnitude for each output (axis 0) or each input (axis 1) of the layer."""

    def make(weight: Tensor, draw: Draw) -> Made:
        plain = kind(weight, draw)
        others = [dim for dim in range(weight.ndim) if dim != axis]
        shape = [weight.shape[dim] if dim == axis else 1 for dim in range(weight.ndim)]
        scale = _length(weight, others) * (1 + 3 * draw(*shape).abs())

        def delta(w: Tensor) -> Tensor:
            changed = w + plain.weight(w)
            return changed * scale / _length(changed, others) - w

        return replace(plain, parts={**plain.parts, "dora_scale": scale}, weight=delta)

    return make


KINDS: dict[str, Kind] = {
    "LoRA": lora, "CP": cp, "LoHa": loha, "LoHa Tucker": loha_tucker, "LoKr": lokr, "LoKr whole": lokr_whole,
    "LoKr Tucker": lokr_tucker, "IA3": ia3, "IA3 on inputs": ia3_on_input, "IA3 of PEFT": ia3_of_peft, "full": full,
    "GLoRA": _glora(old=False), "old GLoRA": _glora(old=True), "OFT": oft, "OFT constrained": oft_constrained,
    "old OFT": oft_diag, "BOFT": boft, "OFT of PEFT": oft_of_peft, "BOFT of PEFT": boft_of_peft,
    "DoRA of rows": _dora(0), "DoRA of columns": _dora(1), "LoKr DoRA": _dora(0, lokr), "LoHa DoRA": _dora(1, loha),
}  # fmt: skip
