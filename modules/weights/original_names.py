"""Names of parameters: from diffusers' and transformers' modules to the original Stable Diffusion layout.

The original layout (CompVis latent-diffusion, `openaimodel.py` and `model.py`) numbers the UNet's blocks in one row,
`input_blocks.0 .. output_blocks.N`; diffusers nests them in levels. Going from the module's name to the file's name
means that only what the module needs is ever read, and that what is missing can be named as the file would.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

_RESNET: Final = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_TOP: Final = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_VAE_ATTENTION: Final = {
    "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
}  # fmt: skip
_OPENCLIP_LAYER: Final = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
_OPENCLIP_TOP: Final = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias",
}  # fmt: skip
_PROJECTIONS: Final = ("q", "k", "v")
_TEXT_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_FUSED = re.compile(r"self_attn\.([qkv])_proj")
_BLOCK = re.compile(r"(down|up|mid)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_VAE_BLOCK = re.compile(r"(encoder|decoder)\." + _BLOCK.pattern)


@dataclass(frozen=True, slots=True)
class TensorSource:
    """Where a parameter is found: the tensor's name in the file, which of its rows, and whether it lies turned.

    `part` is (index, count) of equal parts along the first axis, of which it takes `span` in a row; with `swapped` the
    second half of its rows is first.
    """

    name: str
    part: tuple[int, int] = (0, 1)
    transposed: bool = False
    swapped: bool = False
    span: int = 1

    def taken_from(self, tensor: torch.Tensor) -> torch.Tensor:
        """The parameter in the file's `tensor`, a view of it (a copy if swapped). One that can't be cut so is returned
        as it is.
        """
        if self.swapped:
            return swapped_halves(tensor)
        index, count = self.part
        if count > 1 and tensor.ndim and tensor.shape[0] % count == 0:
            size = tensor.shape[0] // count
            tensor = tensor[index * size : (index + self.span) * size]
        return tensor.t() if self.transposed and tensor.ndim == 2 else tensor

    def put_back(self, parameter: torch.Tensor, tensor: torch.Tensor) -> None:
        """Write the changed `parameter` that was taken from the file's `tensor` into it."""
        if self.swapped:
            tensor.copy_(swapped_halves(parameter))


def swapped_halves(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` with the second half of its rows before the first. One that has no halves is returned as it is."""
    if tensor.ndim == 0 or tensor.shape[0] % 2:
        return tensor
    return torch.cat(tensor.chunk(2)[::-1])


def openclip_source(name: str) -> TensorSource:
    """`encoder.layers.3.self_attn.k_proj.weight` → the middle third of `transformer.resblocks.3.attn.in_proj_weight`.

    Args:
        name: a parameter of transformers' `CLIPTextModel`, or `text_projection.weight` of the model with projection.
    """
    if name == "text_projection.weight":
        return TensorSource("text_projection", transposed=True)
    found = _TEXT_LAYER.fullmatch(name)
    if found is None:
        return TensorSource(_OPENCLIP_TOP.get(name, name))
    layer, stem, kind = f"transformer.resblocks.{found[1]}", found[2], found[3]
    fused = _FUSED.fullmatch(stem)
    if fused is not None:
        return TensorSource(f"{layer}.attn.in_proj_{kind}", (_PROJECTIONS.index(fused[1]), len(_PROJECTIONS)))
    return TensorSource(f"{layer}.{_OPENCLIP_LAYER.get(stem, stem)}.{kind}")


def unet_original_name(name: str, layers_per_block: Sequence[int], attention: Sequence[bool]) -> str:
    """`down_blocks.0.resnets.1.conv1.weight` → `input_blocks.2.0.in_layers.2.weight`.

    Args:
        name: a parameter of diffusers' UNet2DConditionModel.
        layers_per_block: residual blocks of each level on the way down, top level first.
        attention: whether each level has attention; on the way up it moves the upsampler from slot 1 to slot 2.
    """
    stem, _, kind = name.rpartition(".")
    if stem in _UNET_TOP:
        return f"{_UNET_TOP[stem]}.{kind}"
    found = _BLOCK.fullmatch(name)
    if found is None:
        return name
    side, level, part, index, rest = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
    inner = _resnet_name(rest) if part == "resnets" else rest
    if side == "mid":
        return f"middle_block.{2 * index if part == 'resnets' else 1}.{inner}"
    if side == "down":
        start = 1 + sum(layers + 1 for layers in layers_per_block[:level])
        if part == "downsamplers":
            return f"input_blocks.{start + layers_per_block[level]}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{start + index}.{int(part == 'attentions')}.{inner}"
    rising = layers_per_block[::-1]
    start = sum(layers + 1 for layers in rising[:level])
    if part == "upsamplers":
        return f"output_blocks.{start + rising[level]}.{1 + attention[::-1][level]}.{rest}"
    return f"output_blocks.{start + index}.{int(part == 'attentions')}.{inner}"


def vae_original_name(name: str, levels: int) -> str:
    """`decoder.up_blocks.0.resnets.1.norm1.bias` → `decoder.up.3.block.1.norm1.bias` (of four levels)."""
    found = _VAE_BLOCK.fullmatch(name)
    if found is None:
        return name.replace("conv_norm_out", "norm_out")
    side, direction, level, part, index, rest = (
        found[1],
        found[2],
        int(found[3] or 0),
        found[4],
        int(found[5]),
        found[6],
    )
    rest = rest.replace("conv_shortcut", "nin_shortcut")
    if direction == "mid":
        if part == "resnets":
            return f"{side}.mid.block_{index + 1}.{rest}"
        stem, _, kind = rest.rpartition(".")
        return f"{side}.mid.attn_{index + 1}.{_VAE_ATTENTION.get(stem, stem)}.{kind}"
    if direction == "up":
        level = levels - 1 - level
    slot = {"resnets": f"block.{index}", "downsamplers": "downsample", "upsamplers": "upsample"}.get(part, part)
    return f"{side}.{direction}.{level}.{slot}.{rest}"


def _resnet_name(rest: str) -> str:
    stem, _, kind = rest.rpartition(".")
    return f"{_RESNET.get(stem, stem)}.{kind}"
