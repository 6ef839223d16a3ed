"""Network files of every kind and naming for a checkpoint, and what each does to its weights, by its definition.

Nothing of `modules/` is used: updates are written down here once more, in float64, from the papers and the layouts that
trainers write (LyCORIS, kohya's sd-scripts, PEFT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.endtoend.oracle_painter import Painter

Parts = dict[str, Tensor]
# W' - W, of float64 weights.
Delta = Callable[[Tensor], Tensor]
Made = tuple[Parts, Delta]
Draw = Callable[..., Tensor]

_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "proj_out", "conv1", "conv2", "q_proj", "k_proj", "fc2")
_NORMS = ("norm1", "norm2", "norm3")
RANK = 2


def _as(parts: Parts) -> Parts:
    return {name: tensor.float().contiguous() for name, tensor in parts.items()}


def _same(change: Tensor, _weight: Tensor) -> Tensor:
    return change


def lora(weight: Tensor, draw: Draw) -> Made:
    up, down = draw(weight.shape[0], RANK), draw(RANK, *weight.shape[1:])
    delta = (up @ down.flatten(1)).view(weight.shape) * 0.5
    shaped = up[..., None, None] if weight.ndim == 4 else up
    parts = {"lora_up.weight": shaped, "lora_down.weight": down, "alpha": torch.tensor(RANK * 0.5)}
    return parts, lambda _: delta


def cp(weight: Tensor, draw: Draw) -> Made:
    if weight.ndim != 4 or weight.shape[-1] == 1:
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
    return parts, lambda _: delta


def loha(weight: Tensor, draw: Draw) -> Made:
    out, flat = weight.shape[0], weight[0].numel()
    a1, b1, a2, b2 = 5 * draw(out, RANK), draw(RANK, flat), 5 * draw(out, RANK), draw(RANK, flat)
    delta = ((a1 @ b1) * (a2 @ b2)).view(weight.shape)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": torch.tensor(float(RANK))}
    return parts, lambda _: delta


def lokr(weight: Tensor, draw: Draw) -> Made:
    out, into = weight.shape[0], weight.shape[1]
    first = 8 * draw(2, 2)
    second_a, second_b = draw(out // 2, RANK), draw(RANK, weight[0].numel() // 2)
    second = (second_a @ second_b).view(out // 2, into // 2, *weight.shape[2:])
    delta = torch.kron(first.view(2, 2, *[1] * (weight.ndim - 2)), second) * 0.5
    parts = {"lokr_w1": first, "lokr_w2_a": second_a, "lokr_w2_b": second_b, "alpha": torch.tensor(RANK * 0.5)}
    return parts, lambda _: delta


def ia3(weight: Tensor, draw: Draw) -> Made:
    share = 3 * draw(weight.shape[0])
    return {"weight": share, "on_input": torch.tensor(0.0)}, lambda w: w * share.view(-1, *[1] * (w.ndim - 1))


def full(weight: Tensor, draw: Draw) -> Made:
    delta = draw(*weight.shape)
    return {"diff": delta}, lambda _: delta


def glora(weight: Tensor, draw: Draw) -> Made:
    if weight.ndim != 2 or weight.shape[0] == weight.shape[1]:
        return lora(weight, draw)
    out, into = weight.shape
    a1, a2, b1, b2 = draw(into, RANK), draw(RANK, into), draw(out, RANK), draw(RANK, into)
    parts = {f"{name}.weight": tensor for name, tensor in (("a1", a1), ("a2", a2), ("b1", b1), ("b2", b2))}
    return {**parts, "alpha": torch.tensor(float(RANK))}, lambda w: b1 @ b2 + w @ a1 @ a2


def oft(weight: Tensor, draw: Draw) -> Made:
    size = 4
    blocks = 0.3 * draw(weight.shape[0] // size, size, size)
    skew = blocks - blocks.mT
    one = torch.eye(size, dtype=torch.float64)
    turned = (one + skew) @ torch.linalg.inv(one - skew)

    def delta(w: Tensor) -> Tensor:
        rows = w.reshape(len(blocks), size, -1)
        return torch.einsum("knm,knr->kmr", turned, rows).reshape(w.shape) - w

    return {"oft_blocks": blocks, "alpha": torch.tensor(0.0)}, delta


def _length(weight: Tensor, axes: list[int]) -> Tensor:
    return weight.square().sum(axes, keepdim=True).sqrt()


def dora(axis: int) -> Callable[[Tensor, Draw], Made]:
    """LoRA with a magnitude for each output (axis 0) or each input (axis 1) of the layer."""

    def make(weight: Tensor, draw: Draw) -> Made:
        parts, plain = lora(weight, draw)
        others = [dim for dim in range(weight.ndim) if dim != axis]
        shape = [weight.shape[dim] if dim == axis else 1 for dim in range(weight.ndim)]
        scale = _length(weight, others) * (1 + 3 * draw(*shape).abs())

        def delta(w: Tensor) -> Tensor:
            changed = w + plain(w)
            return changed * scale / _length(changed, others) - w

        return {**parts, "dora_scale": scale}, delta

    return make


KINDS: dict[str, Callable[[Tensor, Draw], Made]] = {
    "LoRA": lora, "CP": cp, "LoHa": loha, "LoKr": lokr, "IA3": ia3, "full": full, "GLoRA": glora, "OFT": oft,
    "DoRA of rows": dora(0), "DoRA of columns": dora(1),
}  # fmt: skip


def _kohya(part: str, name: str) -> str:
    return f"lora_{part}_{name}".replace(".", "_")


def _dotted(part: str, name: str) -> str:
    return {"te": "text_encoder.", "te1": "text_encoder.", "te2": "text_encoder_2."}.get(part, "unet.") + name


NAMINGS: dict[str, Callable[[str, str], str]] = {"kohya": _kohya, "diffusers": _dotted}
_PEFT = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}


def _modules(painter: Painter) -> Iterator[tuple[str, str, nn.Module]]:
    """(part, name in transformers' and diffusers' layout, module) of the layers that networks change."""
    for name, module in painter.unet.named_modules():
        if name.endswith((*_LAYERS, *_NORMS)):
            yield "unet", name, module
    parts = ("te",) if len(painter.texts) == 1 else ("te1", "te2")
    for part, encoder in zip(parts, painter.texts, strict=True):
        for name, module in encoder.named_modules():
            if name.endswith(_LAYERS):
                yield part, "text_model." + name.removeprefix("text_model."), module


class DrawnNetwork:
    """A network of one kind, drawn at random for the painter's checkpoint and written to a file in some naming."""

    def __init__(self, painter: Painter, path: Path, kind: str, naming: str, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._painter = painter
        self._deltas: list[tuple[bool, Any, Delta]] = []
        tensors: Parts = {}

        def draw(*shape: int) -> Tensor:
            # What a file holds, in float32, is what is computed with.
            return (0.1 * torch.randn(*shape, generator=generator)).double()

        for part, name, module in _modules(painter):
            weight = module.weight
            assert isinstance(weight, Tensor)
            if weight.ndim == 1:
                if kind != "full":
                    continue
                change = draw(*weight.shape)
                parts: Parts = {"w_norm": change, "b_norm": torch.zeros_like(change)}
                self._deltas.append((part != "unet", module, partial(_same, change)))
            else:
                parts, delta = KINDS[kind](weight.detach().double(), draw)
                self._deltas.append((part != "unet", module, delta))
            layer = NAMINGS[naming](part, name)
            spelled = _PEFT if naming == "diffusers" else {}
            tensors |= {f"{layer}.{spelled.get(one, one)}": tensor for one, tensor in _as(parts).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)

    @contextmanager
    def merged(self, text: float, unet: float) -> Iterator[None]:
        """While open, the painter's weights have the network's updates added, times these multipliers."""
        before = [(module, module.weight.data) for _, module, _ in self._deltas]
        for is_text, module, delta in self._deltas:
            weight = module.weight.data.double()
            module.weight.data = (weight + (text if is_text else unet) * delta(weight)).float()
        yield
        for module, data in before:
            module.weight.data = data
