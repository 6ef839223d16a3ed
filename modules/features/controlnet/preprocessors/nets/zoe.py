"""ZoeDepth for indoor scenes (Bhat et al. 2023, MIT): its own file, run by transformers' ZoeDepth on a BEiT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net
from modules.weights.published_names import neck_place, placed, table

if TYPE_CHECKING:
    from transformers import ZoeDepthForDepthEstimation

_MIDAS: Final = "core.core."
# What the network was trained at, (height, width), and of which sides are multiples.
_SIZE: Final = (384, 512)
_MULTIPLE: Final = 32
_HEAD: Final = 64
# Percentiles of the depth that become white and black.
_NEAREST, _FARTHEST = 2, 85
_BINS: Final = {"name": "nyu", "n_bins": 64, "min_depth": 1e-3, "max_depth": 10.0}
_LOOKED_AT: Final = 4

_LAYER: Final = r"^pretrained\.model\.blocks\.(\d+)\."
_PLACES: Final = table(
    (r"^pretrained\.model\.cls_token$", "backbone.beit.embeddings.cls_token"),
    (r"^pretrained\.model\.patch_embed\.proj\.", "backbone.beit.embeddings.patch_embeddings.projection."),
    (_LAYER + r"gamma_([12])$", r"backbone.beit.layers.\1.lambda_\2"),
    (_LAYER + r"norm1\.", r"backbone.beit.layers.\1.layernorm_before."),
    (_LAYER + r"norm2\.", r"backbone.beit.layers.\1.layernorm_after."),
    (_LAYER + r"mlp\.", r"backbone.beit.layers.\1.mlp."),
    (_LAYER + r"attn\.proj\.", r"backbone.beit.layers.\1.attention.o_proj."),
    (_LAYER + r"attn\.([qv])_bias$", r"backbone.beit.layers.\1.attention.\2_proj.bias"),
    (_LAYER + r"attn\.([qkv])_proj\.weight$", r"backbone.beit.layers.\1.attention.\2_proj.weight"),
    (
        _LAYER + r"attn\.relative_position_bias_table$",
        r"backbone.beit.layers.\1.relative_position_bias.relative_position_bias_table",
    ),
    *(
        pair
        for stage in range(_LOOKED_AT)
        for pair in (
            (
                rf"^pretrained\.act_postprocess{stage + 1}\.0\.project\.",
                f"neck.reassemble_stage.readout_projects.{stage}.",
            ),
            (rf"^pretrained\.act_postprocess{stage + 1}\.3\.", f"neck.reassemble_stage.layers.{stage}.projection."),
            (rf"^pretrained\.act_postprocess{stage + 1}\.4\.", f"neck.reassemble_stage.layers.{stage}.resize."),
        )
    ),
    (r"^scratch\.output_conv\.0\.", "relative_head.conv1."),
    (r"^scratch\.output_conv\.2\.", "relative_head.conv2."),
    (r"^scratch\.output_conv\.4\.", "relative_head.conv3."),
    (r"^(conv2|conditional_log_binomial)\.", r"metric_head.\1."),
    (r"^(seed_bin_regressor|seed_projector|projectors\.\d|attractors\.\d)\._net\.0\.", r"metric_head.\1.conv1."),
    (r"^(seed_bin_regressor|seed_projector|projectors\.\d|attractors\.\d)\._net\.2\.", r"metric_head.\1.conv2."),
)


def load_zoe(path: Path, device: torch.device) -> ZoeDepthForDepthEstimation:
    """ZoeD_M12_N.pt. Raises ModelFileError."""
    return load_net(path, _net, device, _renamed)


@torch.inference_mode()
def zoe_depth(net: ZoeDepthForDepthEstimation, picture: RgbArray) -> Grey:
    """How near everything is, [height, width]: the nearest white, the farthest black.

    The mean of the picture's depth and of its mirror image's, as the authors have it.
    """
    pixels = as_batch(picture, device_of(net)) / 255
    depth = (_depth(net, pixels) + _depth(net, pixels.flip(3)).flip(3)) / 2
    metres = as_plane(depth)
    near, far = (float(np.percentile(metres, share)) for share in (_NEAREST, _FARTHEST))
    return cut_to_bytes((1 - (metres - near) / ((far - near) or 1.0)) * 255)


def _depth(net: ZoeDepthForDepthEstimation, pixels: Tensor) -> Tensor:
    """Metres, [1, 1, height, width], of pixels from 0 to 1. The border, which rooms of its training have, is padded."""
    height, width = pixels.shape[2:]
    down, across = (int((side / 2) ** 0.5 * 3) for side in (height, width))
    padded = functional.pad(pixels, (across, across, down, down), mode="reflect")
    high, wide = padded.shape[2:]
    # As little larger or smaller as it takes to have one of the trained sides.
    scale = min((_SIZE[0] / high, _SIZE[1] / wide), key=lambda one: abs(1 - one))
    size = [max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in (high, wide)]
    small = functional.interpolate(padded, size, mode="bilinear", align_corners=True)
    found = net(pixel_values=(small - 0.5) / 0.5).predicted_depth[:, None]
    found = functional.interpolate(found, (high, wide), mode="bicubic", align_corners=False)
    return found[:, :, down : down + height, across : across + width]


def _net(shapes: Shapes) -> ZoeDepthForDepthEstimation:
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    width, _, _, patch = shapes["backbone.beit.embeddings.patch_embeddings.projection.weight"]
    layers = sum(f"backbone.beit.layers.{index}.lambda_1" in shapes for index in range(64))
    distances, heads = shapes["backbone.beit.layers.0.relative_position_bias.relative_position_bias_table"]
    window = (round((distances - 3) ** 0.5) + 1) // 2
    backbone = BeitConfig(
        image_size=window * patch,
        patch_size=patch,
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=shapes["backbone.beit.layers.0.mlp.fc1.weight"][0],
        num_attention_heads=heads,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        layer_norm_eps=1e-6,
        out_features=[f"stage{layers * part // _LOOKED_AT}" for part in range(1, _LOOKED_AT + 1)],
    )
    fusion = shapes["neck.convs.0.weight"][0]
    config = ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[shapes[f"neck.convs.{index}.weight"][1] for index in range(_LOOKED_AT)],
        fusion_hidden_size=fusion,
        bottleneck_features=shapes["metric_head.conv2.weight"][0],
        num_relative_features=shapes["relative_head.conv2.weight"][0],
        bin_embedding_dim=shapes["metric_head.seed_projector.conv2.weight"][0],
        num_attractors=[shapes[f"metric_head.attractors.{index}.conv2.weight"][0] for index in range(4)],
        bin_centers_type="softplus",
        bin_configurations=[{**_BINS, "n_bins": shapes["metric_head.seed_bin_regressor.conv2.weight"][0]}],
    )
    return ZoeDepthForDepthEstimation(config)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under transformers' names; queries, keys and values, which lie together, cut apart: keys have no bias."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(_MIDAS)
        if short.endswith("attn.qkv.weight"):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                found[placed(short.replace("qkv", f"{part}_proj"), _PLACES)] = piece
        else:
            found[neck_place(short) or placed(short, _PLACES)] = tensor
    return found
