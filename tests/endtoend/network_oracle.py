"""Network files of every kind and naming for a checkpoint, written, and applied by definition to the second
implementation's weights. Nothing of `modules/` is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.endtoend.oracle_network_kinds import KINDS, Delta, Parts
from tests.endtoend.oracle_painter import Painter

_LAYERS = (
    *("to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "proj_out", "conv1", "conv2", "conv_shortcut"),
    *("samplers.0.conv", "q_proj", "k_proj", "fc2"),
)
_NORMS = ("norm1", "norm2", "norm3")
# The name of a layer in the file, from its part and its name in diffusers' and in the original layout; None where the
# naming has none for it.
Naming = Callable[[str, str, str], str | None]


def _kohya(part: str, name: str, _original: str) -> str:
    """That of OneTrainer too."""
    return f"lora_{part}_{name}".replace(".", "_")


def _original(part: str, name: str, original: str) -> str:
    """kohya's for SDXL."""
    return f"lora_{part}_{original if part == 'unet' else name}".replace(".", "_")


def _comfy(part: str, name: str, original: str) -> str | None:
    """What it calls the only text encoder depends on the family."""
    encoder = {"te1": "clip_l", "te2": "clip_g"}.get(part)
    if part == "te":
        return None
    return f"diffusion_model.{original}" if encoder is None else f"text_encoders.{encoder}.transformer.{name}"


def _dotted(part: str, name: str, _original: str) -> str:
    return {"te": "text_encoder.", "te1": "text_encoder.", "te2": "text_encoder_2."}.get(part, "unet.") + name


def _peft(part: str, name: str, original: str) -> str:
    """Of the parts of a pipeline, in one file."""
    return _dotted(part, "base_model.model." + name, original)


def _peft_alone(part: str, name: str, _original: str) -> str | None:
    """As PEFT writes the UNet's alone."""
    return f"base_model.model.{name}" if part == "unet" else None


def _lycoris(part: str, name: str, _original: str) -> str | None:
    return f"lycoris_{name}".replace(".", "_") if part == "unet" else None


def _kohya_oft(part: str, name: str, original: str) -> str | None:
    return f"oft_unet_{original}".replace(".", "_") if part == "unet" else None


NAMINGS: dict[str, Naming] = {
    "kohya": _kohya, "original blocks": _original, "ComfyUI": _comfy, "diffusers": _dotted, "PEFT": _peft,
    "PEFT of the UNet": _peft_alone, "LyCORIS": _lycoris, "kohya's OFT": _kohya_oft,
}  # fmt: skip
_OF_PEFT = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}
# How these namings call the two factors of a LoRA.
_SPELLED = {"ComfyUI": _OF_PEFT, "diffusers": _OF_PEFT, "PEFT": _OF_PEFT, "PEFT of the UNet": _OF_PEFT}
_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip


def original_name(name: str, attention: tuple[bool, ...], layers: int) -> str:
    """The name in Stable Diffusion's first layout of a layer in a block of diffusers' UNet.

    Args:
        name: "down_blocks.1.resnets.0.conv1".
        attention: for each level, from the outside to the inside, whether it has attention.
        layers: how many resnets each level has on the way down; there is one more on the way up.
    """
    found = re.fullmatch(r"(down|up|mid)_blocks?\.(?:(\d)\.)?(\w+)\.(\d)\.(.+)", name)
    assert found is not None, name
    where, level, what, index, rest = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
    if what == "resnets":
        head, _, tail = rest.partition(".")
        rest = _RESNET[head] + (f".{tail}" if tail else "")
    if where == "mid":
        return f"middle_block.{1 if what == 'attentions' else 2 * index}.{rest}"
    if what == "downsamplers":
        return f"input_blocks.{(layers + 1) * (level + 1)}.0.op"
    if what == "upsamplers":
        return f"output_blocks.{(layers + 1) * level + layers}.{2 if attention[::-1][level] else 1}.conv"
    number = (layers + 1) * level + index + (where == "down")
    return f"{'in' if where == 'down' else 'out'}put_blocks.{number}.{int(what == 'attentions')}.{rest}"


def _modules(painter: Painter) -> Iterator[tuple[str, str, Any]]:
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
        # What is changed: a text encoder, the module, the parameter's name, by what.
        self._changes: list[tuple[bool, Any, str, Delta]] = []
        tensors: Parts = {}
        config = painter.unet.config
        attention = tuple("Attn" in block for block in config["down_block_types"])
        # The same for every level of all families.
        layers = config["layers_per_block"][0]

        def draw(*shape: int) -> Tensor:
            # What a file holds, in float32, is what is computed with.
            return (0.1 * torch.randn(*shape, generator=generator)).double()

        spelled = _SPELLED.get(naming, {})
        for part, name, module in _modules(painter):
            original = original_name(name, attention, layers) if part == "unet" else name
            layer = NAMINGS[naming](part, name, original)
            if layer is None or (module.weight.ndim == 1 and kind != "full"):
                continue
            made = KINDS[kind](module.weight.detach().double(), draw)
            is_text = part != "unet"
            self._changes.append((is_text, module, "weight", made.weight))
            if made.bias is not None:
                self._changes.append((is_text, module, "bias", made.bias))
            for one, tensor in made.parts.items():
                tensors[f"{layer}.{spelled.get(one, one)}"] = tensor.float().contiguous()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)

    @contextmanager
    def merged(self, text: float, unet: float) -> Iterator[None]:
        """While open, the painter's weights have the network's updates added, times these multipliers."""
        before = [(module, name, getattr(module, name)) for _, module, name, _ in self._changes]
        for is_text, module, name, delta in self._changes:
            plain = getattr(module, name)
            values = torch.zeros(len(module.weight)).double() if plain is None else plain.data.double()
            changed = values + (text if is_text else unet) * delta(values)
            setattr(module, name, nn.Parameter(changed.float(), requires_grad=False))
        yield
        for module, name, parameter in before:
            setattr(module, name, parameter)
