"""OneFormer (Jain et al. 2022, arXiv:2211.06220, MIT) with a Swin: its own files, run by transformers' OneFormer.

What is used is its semantic task: which class each place of a picture is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.preprocessors.nets.loading import as_batch, device_of, load_net
from modules.prompt.tokens import END, START, clip_tokenizer
from modules.weights.published_names import parted, placed, table

if TYPE_CHECKING:
    from transformers import OneFormerModel

_TASK: Final = "the task is semantic"
_MEAN: Final = (123.675, 116.28, 103.53)
_STD: Final = (58.395, 57.12, 57.375)
_MULTIPLE: Final = 32
# No stage of a published network has more layers.
_MOST_LAYERS: Final = 64

_PREDICTOR: Final = r"^sem_seg_head\.predictor\."
_PIXELS: Final = r"^sem_seg_head\.pixel_decoder\."
_SWIN: Final = "pixel_level_module.encoder."
_BLOCK: Final = r"^backbone\.layers\.(\d+)\.blocks\.(\d+)\."
_BLOCK_PLACE: Final = _SWIN + r"swin.encoder.layers.\1.blocks.\2."
_DECODER: Final = "pixel_level_module.decoder."
_TRANSFORMER: Final = "transformer_module."
_PLACES: Final = table(
    (r"^backbone\.patch_embed\.proj\.", _SWIN + "swin.embeddings.patch_embeddings.projection."),
    (r"^backbone\.patch_embed\.norm\.", _SWIN + "swin.embeddings.norm."),
    (_BLOCK + r"norm1\.", _BLOCK_PLACE + "layernorm_before."),
    (_BLOCK + r"norm2\.", _BLOCK_PLACE + "layernorm_after."),
    (
        _BLOCK + r"attn\.relative_position_bias_table$",
        _BLOCK_PLACE + "attention.relative_position_bias.relative_position_bias_table",
    ),
    (_BLOCK + r"attn\.([qkv])\.", _BLOCK_PLACE + r"attention.\3_proj."),
    (_BLOCK + r"attn\.proj\.", _BLOCK_PLACE + "attention.o_proj."),
    (_BLOCK + r"mlp\.", _BLOCK_PLACE + "mlp."),
    (r"^backbone\.layers\.(\d+)\.downsample\.", _SWIN + r"swin.encoder.layers.\1.downsample."),
    *((rf"^backbone\.norm{stage}\.", f"{_SWIN}hidden_states_norms.stage{stage + 1}.") for stage in range(4)),
    (_PIXELS + r"(adapter_1|layer_1)\.norm\.", _DECODER + r"\1.1."),
    (_PIXELS + r"(adapter_1|layer_1)\.", _DECODER + r"\1.0."),
    (_PIXELS + r"input_proj\.", _DECODER + "input_projections."),
    (_PIXELS + r"transformer\.level_embed$", _DECODER + "level_embed"),
    (_PIXELS + r"transformer\.encoder\.layers\.(\d+)\.linear([12])\.", _DECODER + r"encoder.layers.\1.fc\2."),
    (_PIXELS + r"transformer\.encoder\.layers\.(\d+)\.norm1\.", _DECODER + r"encoder.layers.\1.self_attn_layer_norm."),
    (_PIXELS + r"transformer\.encoder\.layers\.(\d+)\.norm2\.", _DECODER + r"encoder.layers.\1.final_layer_norm."),
    (_PIXELS + r"transformer\.encoder\.", _DECODER + "encoder."),
    (_PIXELS + r"mask_features\.", _DECODER + "mask_projection."),
    (_PREDICTOR + r"query_embed\.", _TRANSFORMER + "queries_embedder."),
    (_PREDICTOR + r"level_embed\.", _TRANSFORMER + "level_embed."),
    (_PREDICTOR + r"(decoder_norm|class_embed)\.", _TRANSFORMER + r"decoder.\1."),
    (_PREDICTOR + r"class_input_proj\.", _TRANSFORMER + "decoder.query_input_projection."),
    (_PREDICTOR + r"mask_embed\.layers\.(\d+)\.", _TRANSFORMER + r"decoder.mask_embed.layers.\1.0."),
    (_PREDICTOR + r"class_transformer\.", _TRANSFORMER + "decoder.query_transformer."),
    (_PREDICTOR + r"transformer_cross_attention_layers\.(\d+)\.", _TRANSFORMER + r"decoder.layers.\1.cross_attn."),
    (
        _PREDICTOR + r"transformer_self_attention_layers\.(\d+)\.self_attn\.([qkv])\.",
        _TRANSFORMER + r"decoder.layers.\1.self_attn.self_attn.\2_proj.",
    ),
    (_PREDICTOR + r"transformer_self_attention_layers\.(\d+)\.", _TRANSFORMER + r"decoder.layers.\1.self_attn."),
    (_PREDICTOR + r"transformer_ffn_layers\.(\d+)\.", _TRANSFORMER + r"decoder.layers.\1.ffn."),
    (r"^task_mlp\.layers\.(\d+)\.", r"task_encoder.task_mlp.layers.\1.0."),
)  # fmt: skip


class Sides(NamedTuple):
    """At which size a file's network was tested: its shorter side, and the longest that the other may be."""

    shorter: int
    longest: int


def load_oneformer(path: Path, device: torch.device) -> OneFormerModel:
    """One of the published files with a Swin. Raises ModelFileError."""
    return load_net(path, _net, device, _renamed)


@torch.inference_mode()
def oneformer_labels(net: OneFormerModel, picture: RgbArray, palette: RgbArray, sides: Sides) -> RgbArray:
    """A picture with each place in the colour of its class, [height, width, 3]; `palette` is [classes, 3]."""
    device = device_of(net)
    height, width = picture.shape[:2]
    scale = min(sides.shorter / min(height, width), sides.longest / max(height, width))
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    pixels = functional.interpolate(as_batch(picture, device), (high, wide), mode="bilinear", antialias=True)
    padded = functional.pad((pixels - mean) / std, (0, -wide % _MULTIPLE, 0, -high % _MULTIPLE))
    found = net(padded, _task(net, device))
    # The last class is none of them.
    classes = found.transformer_decoder_class_predictions.softmax(-1)[0, :, :-1]
    masks = found.transformer_decoder_mask_predictions
    masks = functional.interpolate(masks, padded.shape[2:], mode="bilinear", align_corners=False)[:, :, :high, :wide]
    masks = functional.interpolate(masks, (height, width), mode="bilinear", align_corners=False)[0].sigmoid()
    labels = torch.einsum("qc,qhw->chw", classes, masks).argmax(0)
    return np.asarray(palette[labels.cpu().numpy() % len(palette)], dtype=np.uint8)


def _task(net: OneFormerModel, device: torch.device) -> Tensor:
    """The sentence of the task as the numbers of its tokens, (1, length), filled up with zeros."""
    length = int(net.config.task_seq_len)
    ids = [START, *clip_tokenizer().encode(_TASK), END]
    return torch.tensor([ids + [0] * (length - len(ids))], device=device)


def _count(shapes: Shapes, name: str) -> int:
    """How many layers there are whose tensors are called `name`, with their number in the place of {}."""
    return next(number for number in range(_MOST_LAYERS) if name.format(number) not in shapes)


def _net(shapes: Shapes) -> OneFormerModel:
    from transformers import OneFormerConfig, OneFormerModel, SwinConfig

    layers = f"{_SWIN}swin.encoder.layers"
    bias = "attention.relative_position_bias.relative_position_bias_table"
    stages = _count(shapes, layers + ".{}.blocks.0.layernorm_before.weight")
    distances, _ = shapes[f"{layers}.0.blocks.0.{bias}"]
    width, _, patch, _ = shapes[f"{_SWIN}swin.embeddings.patch_embeddings.projection.weight"]
    backbone = SwinConfig(
        patch_size=patch,
        embed_dim=width,
        depths=[_count(shapes, f"{layers}.{stage}.blocks.{{}}.layernorm_before.weight") for stage in range(stages)],
        num_heads=[shapes[f"{layers}.{stage}.blocks.0.{bias}"][1] for stage in range(stages)],
        window_size=(round(distances**0.5) + 1) // 2,
        mlp_ratio=shapes[f"{layers}.0.blocks.0.mlp.fc1.weight"][0] / width,
        out_features=[f"stage{stage + 1}" for stage in range(stages)],
    )
    decoder = f"{_TRANSFORMER}decoder"
    queries, hidden = shapes[f"{_TRANSFORMER}queries_embedder.weight"]
    mask, convolved = shapes[f"{_DECODER}mask_projection.weight"][:2]
    config = OneFormerConfig(
        backbone_config=backbone,
        num_labels=shapes[f"{decoder}.class_embed.weight"][0] - 1,
        num_queries=queries,
        hidden_dim=hidden,
        mask_dim=mask,
        conv_dim=convolved,
        encoder_layers=_count(shapes, f"{_DECODER}encoder.layers.{{}}.fc1.weight"),
        encoder_feedforward_dim=shapes[f"{_DECODER}encoder.layers.0.fc1.weight"][0],
        # The one that the queries come from counts too.
        decoder_layers=_count(shapes, f"{decoder}.layers.{{}}.ffn.linear1.weight") + 1,
        dim_feedforward=shapes[f"{decoder}.layers.0.ffn.linear1.weight"][0],
        query_dec_layers=_count(shapes, f"{decoder}.query_transformer.decoder.layers.{{}}.linear1.weight"),
        task_seq_len=shapes["task_encoder.task_mlp.layers.0.0.weight"][1],
        is_training=False,
    )
    return OneFormerModel(config)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under transformers' names; queries, keys and values, which lie together, cut apart where it has them apart."""
    apart = parted(tensors, "attn.qkv.", [f"attn.{part}." for part in "qkv"])
    joined = "_self_attention_layers."
    own = {name: tensor for name, tensor in apart.items() if joined in name}
    for kind in ("weight", "bias"):
        own = parted(own, f"self_attn.in_proj_{kind}", [f"self_attn.{part}.{kind}" for part in "qkv"])
    apart = {name: tensor for name, tensor in apart.items() if joined not in name} | own
    found = {placed(name, _PLACES): tensor for name, tensor in apart.items()}
    # transformers' Swin ends with a norm whose answer nothing here takes.
    last = found[f"{_SWIN}hidden_states_norms.stage4.weight"]
    found |= {f"{_SWIN}swin.layernorm.weight": torch.ones_like(last)}
    return found | {f"{_SWIN}swin.layernorm.bias": torch.zeros_like(last)}
