"""MiDaS 3.0 hybrid (Ranftl et al. 2021, MIT): its own file, run by transformers' DPT on a ResNet's features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from torch import Tensor

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Floats, Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net
from modules.features.controlnet.preprocessors.nets.names import neck_place, parted, placed, table

if TYPE_CHECKING:
    from transformers import DPTForDepthEstimation

_PATCH: Final = 16
_HEAD: Final = 64
# What the neck gets: two stages of the ResNet, then the transformer after its ninth and its twelfth layer.
_LOOKED_AT: Final = (8, 11)
# How steep the depth is taken to be where normals are made of it.
_DEEP: Final = 2 * np.pi

_BACKBONE: Final = "dpt.embeddings.backbone.bit."
_PLACES: Final = table(
    (r"^pretrained\.model\.cls_token$", "dpt.embeddings.cls_token"),
    (r"^pretrained\.model\.pos_embed$", "dpt.embeddings.position_embeddings"),
    (r"^pretrained\.model\.patch_embed\.proj\.", "dpt.embeddings.projection."),
    (r"^pretrained\.model\.patch_embed\.backbone\.stem\.conv\.", _BACKBONE + "embedder.convolution."),
    (r"^pretrained\.model\.patch_embed\.backbone\.stem\.norm\.", _BACKBONE + "embedder.norm."),
    (
        r"^pretrained\.model\.patch_embed\.backbone\.stages\.(\d+)\.blocks\.(\d+)\.",
        _BACKBONE + r"encoder.stages.\1.layers.\2.",
    ),
    (r"^pretrained\.model\.norm\.", "dpt.layernorm."),
    (r"^pretrained\.model\.blocks\.(\d+)\.norm1\.", r"dpt.encoder.layer.\1.layernorm_before."),
    (r"^pretrained\.model\.blocks\.(\d+)\.norm2\.", r"dpt.encoder.layer.\1.layernorm_after."),
    (r"^pretrained\.model\.blocks\.(\d+)\.attn\.proj\.", r"dpt.encoder.layer.\1.attention.output.dense."),
    (r"^pretrained\.model\.blocks\.(\d+)\.mlp\.fc1\.", r"dpt.encoder.layer.\1.intermediate.dense."),
    (r"^pretrained\.model\.blocks\.(\d+)\.mlp\.fc2\.", r"dpt.encoder.layer.\1.output.dense."),
    (r"^pretrained\.model\.blocks\.(\d+)\.attn\.(query|key|value)\.", r"dpt.encoder.layer.\1.attention.attention.\2."),
    (r"^pretrained\.act_postprocess3\.0\.project\.0\.", "neck.reassemble_stage.readout_projects.2.0."),
    (r"^pretrained\.act_postprocess4\.0\.project\.0\.", "neck.reassemble_stage.readout_projects.3.0."),
    (r"^pretrained\.act_postprocess3\.3\.", "neck.reassemble_stage.layers.2.projection."),
    (r"^pretrained\.act_postprocess4\.3\.", "neck.reassemble_stage.layers.3.projection."),
    (r"^pretrained\.act_postprocess4\.4\.", "neck.reassemble_stage.layers.3.resize."),
    (r"^scratch\.output_conv\.", "head.head."),
)


def load_midas(path: Path, device: torch.device) -> DPTForDepthEstimation:
    """dpt_hybrid-midas-501f0c75.pt. Raises ModelFileError."""
    return load_net(path, _net, device, _renamed)


def midas_depth(net: DPTForDepthEstimation, picture: RgbArray) -> Grey:
    """How near everything is, [height, width]: the nearest white, the farthest black."""
    return cut_to_bytes(_near(_depth(net, picture)) * 255)


def midas_normals(net: DPTForDepthEstimation, picture: RgbArray, background: float) -> RgbArray:
    """Which way surfaces look, [height, width, 3], as the slopes of the depth say; what is farther than `background`,
    0 to 1, looks straight at us."""
    depth = _depth(net, picture)
    far = _near(depth) < background
    across, down = (np.asarray(cv2.Sobel(depth, cv2.CV_32F, *axis, ksize=3)) for axis in ((1, 0), (0, 1)))
    normals = np.stack([np.where(far, 0, across), np.where(far, 0, down), np.full_like(depth, _DEEP)], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    # Blue first, as models were trained.
    return np.ascontiguousarray(cut_to_bytes(normals * 127.5 + 127.5)[:, :, ::-1])


@torch.inference_mode()
def _depth(net: DPTForDepthEstimation, picture: RgbArray) -> Floats:
    """[height, width] of any range. Sides are multiples of 32."""
    height, width = picture.shape[:2]
    begun = net.dpt.embeddings(as_batch(picture, device_of(net)) / 127.5 - 1, interpolate_pos_encoding=True)
    hidden, seen = begun.last_hidden_states, list(begun.intermediate_activations)
    for index, layer in enumerate(net.dpt.encoder.layer):
        hidden = layer(hidden)
        if index in _LOOKED_AT:
            seen.append(hidden)
    # By hand: transformers' own forward takes every picture of this variant for a square.
    made: Tensor = net.head(net.neck(seen, height // _PATCH, width // _PATCH))
    return as_plane(made[None])


def _near(depth: Floats) -> Floats:
    from_zero = depth - depth.min()
    return np.asarray(from_zero / (float(from_zero.max()) or 1.0), dtype=np.float32)


def _net(shapes: Shapes) -> DPTForDepthEstimation:
    from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

    stages = [shapes[f"{_BACKBONE}encoder.stages.{stage}.layers.0.conv3.weight"][0] for stage in range(3)]
    depths = [
        sum(f"{_BACKBONE}encoder.stages.{stage}.layers.{index}.conv3.weight" in shapes for index in range(64))
        for stage in range(3)
    ]
    width = shapes["dpt.embeddings.projection.weight"][0]
    backbone = BitConfig(
        embedding_size=shapes[f"{_BACKBONE}embedder.convolution.weight"][0],
        hidden_sizes=stages,
        depths=depths,
        layer_type="bottleneck",
        global_padding="same",
        embedding_dynamic_padding=True,
        out_features=["stage1", "stage2", "stage3"],
    )
    side = round((shapes["dpt.embeddings.position_embeddings"][1] - 1) ** 0.5)
    config = DPTConfig(
        is_hybrid=True,
        backbone_config=backbone,
        backbone_featmap_shape=[1, stages[-1], side, side],
        hidden_size=width,
        intermediate_size=shapes["dpt.encoder.layer.0.intermediate.dense.weight"][0],
        num_hidden_layers=max(_LOOKED_AT) + 1,
        num_attention_heads=max(1, width // _HEAD),
        image_size=side * _PATCH,
        patch_size=_PATCH,
        reassemble_factors=[1, 1, 1, 0.5],
        readout_type="project",
        neck_hidden_sizes=[*stages[:2], *(shapes[f"neck.convs.{index}.weight"][1] for index in (2, 3))],
        fusion_hidden_size=shapes["neck.convs.0.weight"][0],
        use_batch_norm_in_fusion_residual=False,
        layer_norm_eps=1e-6,
    )
    return DPTForDepthEstimation(config)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    apart = parted(tensors, "attn.qkv", ("attn.query", "attn.key", "attn.value"))
    return {neck_place(name) or placed(name, _PLACES): tensor for name, tensor in apart.items()}
