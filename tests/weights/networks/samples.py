"""Layers of every kind with small tensors, by the facts' rule for their numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Parts = dict[str, Tensor]


def fill(start: int, shape: tuple[int, ...]) -> Tensor:
    """Row-major element k is ((start + 7k) mod 23 - 11) / 20."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return (((start + 7 * steps) % 23 - 11) / 20).float().reshape(shape)


def number(value: float) -> Tensor:
    return torch.tensor(float(value))


LINEAR = fill(1, (4, 6))
CONV = fill(4, (3, 2, 3, 3))
ROTATED = fill(1, (4, 3))
UP_DOWN: Parts = {"up": fill(2, (4, 2)), "down": fill(3, (2, 6)), "alpha": number(1)}
HADA: Parts = {
    "hada_w1_a": fill(2, (4, 2)), "hada_w1_b": fill(3, (2, 6)),
    "hada_w2_a": fill(8, (4, 2)), "hada_w2_b": fill(9, (2, 6)), "alpha": number(1),
}  # fmt: skip
HADA_TUCKER: Parts = {
    "hada_t1": fill(10, (2, 2, 3, 3)), "hada_w1_a": fill(2, (2, 3)), "hada_w1_b": fill(3, (2, 2)),
    "hada_t2": fill(11, (2, 2, 3, 3)), "hada_w2_a": fill(8, (2, 3)), "hada_w2_b": fill(9, (2, 2)), "alpha": number(1),
}  # fmt: skip
KRON_W2: Parts = {"lokr_w2_a": fill(4, (2, 1)), "lokr_w2_b": fill(5, (1, 2)), "alpha": number(0.5)}
KRON_W1: Parts = {"lokr_w1": fill(2, (2, 3))}
KRON_CONV: Parts = {"lokr_w1": fill(2, (2, 2)), "lokr_w2_a": fill(4, (2, 1)), "lokr_w2_b": fill(5, (1, 18))}
KRON_TUCKER: Parts = {
    "lokr_w1": fill(2, (2, 2)), "lokr_t2": fill(10, (1, 1, 3, 3)),
    "lokr_w2_a": fill(4, (1, 2)), "lokr_w2_b": fill(5, (1, 2)), "alpha": number(1),
}  # fmt: skip
GLORA: Parts = {
    "a1": fill(2, (6, 2)), "a2": fill(3, (2, 6)), "b1": fill(4, (4, 2)), "b2": fill(5, (2, 6)), "alpha": number(1),
}  # fmt: skip
OLD_GLORA: Parts = {
    "a2": GLORA["a1"], "a1": GLORA["a2"], "b2": GLORA["b1"], "b1": GLORA["b2"], "alpha": number(1),
}  # fmt: skip
OFT: Parts = {"oft_blocks": 0.5 * fill(2, (2, 2, 2))}
BOFT: Parts = {"oft_blocks": 0.5 * fill(2, (2, 2, 2, 2)), "rescale": 1 + 0.2 * fill(3, (4, 1))}
OLD_OFT: Parts = {"oft_diag": torch.eye(2) + 0.1 * fill(2, (2, 2, 2))}
LOCON: Parts = {"up": fill(5, (3, 2, 1, 1)), "down": fill(6, (2, 2, 3, 3)), "alpha": number(2)}
CP: Parts = {
    "up": LOCON["up"], "down": fill(6, (2, 2, 1, 1)), "mid": fill(7, (2, 2, 3, 3)), "alpha": number(1),
}  # fmt: skip
CONV_4_4 = torch.zeros(4, 4, 3, 3)

# Every kind: the parts of its layer, and a weight that it changes.
KINDS: dict[str, tuple[Parts, Tensor]] = {
    "LoRA": (UP_DOWN, LINEAR),
    "LoCon": (LOCON, CONV),
    "CP": (CP, CONV),
    "LoHa": (HADA, LINEAR),
    "LoHa Tucker": (HADA_TUCKER, CONV),
    "LoKr whole": ({**KRON_W1, "lokr_w2": fill(3, (2, 2)), "alpha": number(4)}, LINEAR),
    "LoKr w2 of two": ({**KRON_W1, **KRON_W2}, LINEAR),
    "LoKr both of two": ({"lokr_w1_a": fill(6, (2, 1)), "lokr_w1_b": fill(7, (1, 3)), **KRON_W2}, LINEAR),
    "LoKr conv": ({**KRON_CONV, "alpha": number(1)}, CONV_4_4),
    "LoKr Tucker": (KRON_TUCKER, CONV_4_4),
    "IA3 output": ({"weight": fill(2, (4,)), "on_input": torch.tensor(False)}, LINEAR),
    "IA3 input": ({"weight": fill(2, (6,)), "on_input": torch.tensor(True)}, LINEAR),
    "full": ({"diff": fill(2, (4, 6)), "diff_b": fill(3, (4,))}, LINEAR),
    "norm": ({"w_norm": fill(2, (4,)), "b_norm": fill(3, (4,))}, fill(1, (4,))),
    "GLoRA": (GLORA, LINEAR),
    "GLoRA, old naming": (OLD_GLORA, LINEAR),
    "OFT": (OFT, ROTATED),
    "OFT, constrained": ({**OFT, "alpha": number(0.05)}, ROTATED),
    "BOFT": (BOFT, ROTATED),
    "OFT, old LyCORIS": (OLD_OFT, ROTATED),
    "DoRA of columns": ({**UP_DOWN, "dora_scale": 1 + 0.5 * fill(13, (1, 6))}, LINEAR),
    "DoRA of rows": ({**UP_DOWN, "dora_scale": 1 + 0.5 * fill(13, (4, 1))}, LINEAR),
    "DoRA on LoHa": ({**HADA, "dora_scale": 1 + 0.5 * fill(13, (4, 1))}, LINEAR),
    "DoRA on LoKr": ({**KRON_W1, **KRON_W2, "dora_scale": 1 + 0.5 * fill(13, (1, 6))}, LINEAR),
    "old LyCORIS with a bias": ({**UP_DOWN, "bias": fill(9, (4, 6))}, LINEAR),
}
