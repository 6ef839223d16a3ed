"""Depth Anything 1 and 2 (Yang et al. 2024): their own files, run by transformers' DepthAnything on DINOv2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net
from modules.weights.published_names import neck_place, parted, placed, table

if TYPE_CHECKING:
    from transformers import DepthAnythingForDepthEstimation

_PATCH: Final = 14
_SIDE: Final = 518
_HEAD: Final = 64
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_STAGES: Final = 4
# The layers of DINOv2 that version 2 looks at, by how many there are; version 1 looks at the last four.
_SECOND: Final = {12: (3, 6, 9, 12), 24: (5, 12, 18, 24), 40: (10, 20, 30, 40)}

_PLACES: Final = table(
    (r"^pretrained\.(cls_token|mask_token)$", r"backbone.embeddings.\1"),
    (r"^pretrained\.pos_embed$", "backbone.embeddings.position_embeddings"),
    (r"^pretrained\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (r"^pretrained\.blocks\.(\d+)\.ls([12])\.gamma$", r"backbone.encoder.layer.\1.layer_scale\2.lambda1"),
    (r"^pretrained\.blocks\.(\d+)\.attn\.proj\.", r"backbone.encoder.layer.\1.attention.o_proj."),
    (r"^pretrained\.blocks\.(\d+)\.", r"backbone.encoder.layer.\1."),
    (r"^pretrained\.norm\.", "backbone.layernorm."),
    (r"^depth_head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"^depth_head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"^depth_head\.scratch\.output_conv1\.", "head.conv1."),
    (r"^depth_head\.scratch\.output_conv2\.0\.", "head.conv2."),
    (r"^depth_head\.scratch\.output_conv2\.2\.", "head.conv3."),
)
_QKV: Final = ("attention.q_proj", "attention.k_proj", "attention.v_proj")


def load_depth_anything(path: Path, device: torch.device) -> DepthAnythingForDepthEstimation:
    """A file of version 1, such as depth_anything_vitl14.pth. Raises ModelFileError."""
    return load_net(path, lambda shapes: _net(shapes, second=False), device, _renamed)


def load_depth_anything_v2(path: Path, device: torch.device) -> DepthAnythingForDepthEstimation:
    """A file of version 2, such as depth_anything_v2_vitl.safetensors. Raises ModelFileError."""
    return load_net(path, lambda shapes: _net(shapes, second=True), device, _renamed)


@torch.inference_mode()
def depth_anything(net: DepthAnythingForDepthEstimation, picture: RgbArray) -> Grey:
    """How near everything is, [height, width]: the nearest white, the farthest black."""
    height, width = picture.shape[:2]
    scale = _SIDE / min(height, width)
    high, wide = (max(_PATCH, round(side * scale / _PATCH) * _PATCH) for side in (height, width))
    device = device_of(net)
    pixels = functional.interpolate(as_batch(picture, device) / 255, (high, wide), mode="bicubic").clamp(0, 1)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    depth = net(pixel_values=(pixels - mean) / std).predicted_depth[None]
    return stretched(functional.interpolate(depth, (height, width), mode="bilinear", align_corners=True))


def stretched(depth: Tensor) -> Grey:
    """[1, 1, height, width] of any range stretched to 0 to 255."""
    plane = as_plane(depth)
    return cut_to_bytes((plane - plane.min()) / (float(plane.max() - plane.min()) or 1.0) * 255)


def _net(shapes: Shapes, *, second: bool) -> DepthAnythingForDepthEstimation:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    width, _, _, patch = shapes["backbone.embeddings.patch_embeddings.projection.weight"]
    layers = sum(f"backbone.encoder.layer.{index}.norm1.weight" in shapes for index in range(64))
    looked_at = _SECOND.get(layers) if second else None
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // _HEAD),
        mlp_ratio=shapes["backbone.encoder.layer.0.mlp.fc1.weight"][0] // width,
        image_size=round((shapes["backbone.embeddings.position_embeddings"][1] - 1) ** 0.5) * patch,
        patch_size=patch,
        reshape_hidden_states=False,
        use_mask_token=False,
    )
    backbone.set_output_features_output_indices(
        out_features=None, out_indices=list(looked_at or range(layers - _STAGES + 1, layers + 1))
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=patch,
        reassemble_hidden_size=width,
        neck_hidden_sizes=[
            shapes[f"neck.reassemble_stage.layers.{index}.projection.weight"][0] for index in range(_STAGES)
        ],
        fusion_hidden_size=shapes["neck.convs.0.weight"][0],
        head_hidden_size=shapes["head.conv2.weight"][0],
    )
    return DepthAnythingForDepthEstimation(config)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file under transformers' names; queries, keys and values, which lie together, cut apart."""
    apart = parted(tensors, "attn.qkv", _QKV)
    return {neck_place(name.removeprefix("depth_head.")) or placed(name, _PLACES): apart[name] for name in apart}
