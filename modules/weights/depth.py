"""MiDaS 3.0 hybrid (Ranftl et al. 2021, MIT), which estimates how near everything in a picture is: transformers' DPT on
the features of a ResNet, from MiDaS's own names. Stable Diffusion 2's depth checkpoints have it inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import MisfitError, published_net
from modules.weights.published_names import neck_place, parted, placed, table
from modules.weights.tensor_file import TensorFile

if TYPE_CHECKING:
    from transformers import DPTForDepthEstimation

DEPTH_PREFIX: Final = "depth_model.model."
_PATCH: Final = 16
_HEAD: Final = 64
# What the neck gets: two stages of the ResNet, then the transformer after its ninth and its twelfth layer.
_LOOKED_AT: Final = (8, 11)
# Both sides of the picture that is looked at are about this, and multiples of the other.
_SIDE: Final = 384
_MULTIPLE: Final = 32

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


def midas_net(shapes: Shapes) -> DPTForDepthEstimation:
    """The network whose tensors have these shapes, by transformers' names (`renamed`).

    Raises KeyError, IndexError, ValueError or ZeroDivisionError where they are another network's.
    """
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


def midas_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MiDaS's tensors by transformers' names."""
    apart = parted(tensors, "attn.qkv", ("attn.query", "attn.key", "attn.value"))
    return {neck_place(name) or placed(name, _PLACES): tensor for name, tensor in apart.items()}


@torch.inference_mode()
def midas_depth(net: DPTForDepthEstimation, pixels: Tensor) -> Tensor:
    """How near everything is, (1, 1, height, width) of any range, in `pixels`, (1, 3, height, width) in -1..1 on the
    network's device. Sides are multiples of 32."""
    height, width = pixels.shape[2:]
    begun = net.dpt.embeddings(pixels, interpolate_pos_encoding=True)
    hidden, seen = begun.last_hidden_states, list(begun.intermediate_activations)
    for index, layer in enumerate(net.dpt.encoder.layer):
        hidden = layer(hidden)
        if index in _LOOKED_AT:
            seen.append(hidden)
    # By hand: transformers' own forward takes every picture of this variant for a square.
    made: Tensor = net.head(net.neck(seen, height // _PATCH, width // _PATCH))
    return made[:, None]


def load_depth(file: TensorFile) -> DPTForDepthEstimation:
    """The depth network inside a checkpoint, in 32 bits in main memory.

    It works once for each picture, so it stays on the CPU. Raises CheckpointError where it is absent or not whole.
    """
    tensors = {name: file.tensor(DEPTH_PREFIX + name) for name in file.below(DEPTH_PREFIX)}
    try:
        return published_net(midas_net, lambda: midas_names(tensors), torch.device("cpu"))
    except MisfitError as error:
        raise _broken(file) from error


def _broken(file: TensorFile) -> CheckpointError:
    return CheckpointError(
        f"{file.path.name} paints by the depth of a picture, but lacks the network that estimates it, or parts of it "
        f"({DEPTH_PREFIX}*): the file is incomplete; fetch it again or choose another."
    )


def depth_map(net: DPTForDepthEstimation, pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    """What a depth checkpoint is shown of `pixels`, (1, 3, height, width) in -1..1: (1, 1, *shape), from -1, the
    farthest, to 1, the nearest.

    Behaviour reproduced: A1111 v1.10.1, with the picture brought to about 384 pixels a side as MiDaS does.
    """
    picture = ((pixels[0] + 1.0) / 2.0).permute(1, 2, 0).cpu().numpy()
    height, width = picture.shape[:2]
    # The side that changes less decides how much, so that the picture keeps its form.
    scale = min(_SIDE / width, _SIDE / height, key=lambda one: abs(1 - one))
    size = tuple(max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in (width, height))
    smaller = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    near = midas_depth(net, torch.from_numpy(smaller).permute(2, 0, 1)[None] * 2.0 - 1.0)
    near = interpolate(near, size=shape, mode="bicubic", align_corners=False)
    low, high = near.aminmax()
    return 2.0 * (near - low) / (high - low).clamp(min=torch.finfo(near.dtype).tiny) - 1.0
