"""Random weights under the names in published files of preprocessors, narrower where that changes nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def weights(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random numbers of the size that keeps activations alive; variances are positive."""
    generator = np.random.RandomState(seed)
    made = {}
    for name, shape in sorted(shapes.items()):
        values = generator.standard_normal(shape).astype(np.float32)
        if len(shape) > 1:
            values *= 1 / max(1, math.prod(shape[1:])) ** 0.5
        elif name.endswith("running_var"):
            values = np.abs(values) + np.float32(0.5)
        else:
            values *= 0.1
        if name.endswith("output_conv2.2.bias"):
            values += 1  # Depth that isn't negative, which would be cut to 0.
        made[name] = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return made


def _conv(name: str, out: int, into: int, side: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into, side, side), **({f"{name}.bias": (out,)} if bias else {})}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def _all(*parts: Shapes) -> Shapes:
    return {name: shape for part in parts for name, shape in part.items()}


def hed() -> Shapes:
    """ControlNetHED.pth at an eighth of its widths."""
    found: Shapes = {"norm": (1, 3, 1, 1)}
    before = 3
    for block, (width, count) in enumerate(((8, 2), (16, 2), (32, 3), (64, 3), (64, 3)), start=1):
        for index in range(count):
            found |= _conv(f"block{block}.convs.{index}", width, before, 3)
            before = width
        found |= _conv(f"block{block}.projection", 1, width, 1)
    return found


def lineart() -> Shapes:
    """sk_model.pth with 8 channels for 64."""
    residuals = (_conv(f"model2.{index}.conv_block.{place}", 32, 32, 3) for index in range(3) for place in (1, 5))
    grown = {"model3.0.weight": (32, 16, 3, 3), "model3.0.bias": (16,)}
    grown |= {"model3.3.weight": (16, 8, 3, 3), "model3.3.bias": (8,)}
    outer = _all(_conv("model0.1", 8, 3, 7), _conv("model4.1", 1, 8, 7))
    return _all(outer, _conv("model1.0", 16, 8, 3), _conv("model1.3", 32, 16, 3), *residuals, grown)


def lineart_anime() -> Shapes:
    """netG.pth with 4 channels for 64."""
    widths = [4, 8, 16, 32, 32, 32, 32, 32]
    found: Shapes = {}
    place = "module.model.model."
    for level, inner in enumerate(widths):
        outer = widths[level - 1] if level else 3
        last = level == len(widths) - 1
        down, up = (1 if level else 0), (3 if last or not level else 5)
        made = outer if level else 1
        found |= _conv(f"{place}{down}", inner, outer, 4)
        found |= {f"{place}{up}.weight": (inner if last else 2 * inner, made, 4, 4), f"{place}{up}.bias": (made,)}
        place += "3.model." if level else "1.model."
    return found


def pidinet() -> Shapes:
    """table5_pidinet.pth with 6 channels for 60, and 5 of the dilated ones for 24."""
    width, dilated = 6, 5
    found = _conv("module.init_block", width, 3, 3, bias=False) | _conv("module.classifier", 1, 4, 1)
    before = width
    for stage, (out, count) in enumerate(((width, 3), (2 * width, 4), (4 * width, 4), (4 * width, 4))):
        for index in range(1, count + 1):
            name = f"module.block{stage + 1}_{index}"
            found |= {f"{name}.conv1.weight": (before, 1, 3, 3), f"{name}.conv2.weight": (out, before, 1, 1)}
            if stage and index == 1:
                found |= _conv(f"{name}.shortcut", out, before, 1)
            before = out
        found |= _conv(f"module.dilations.{stage}.conv1", dilated, out, 1)
        for number in range(1, 5):
            found |= _conv(f"module.dilations.{stage}.conv2_{number}", dilated, dilated, 3, bias=False)
        found |= _conv(f"module.attentions.{stage}.conv1", 4, dilated, 1)
        found |= _conv(f"module.attentions.{stage}.conv2", 1, 4, 3, bias=False)
        found |= _conv(f"module.conv_reduces.{stage}.conv", 1, dilated, 1)
    return found


def teed() -> Shapes:
    """7_model.pth."""
    found = _all(_conv("block_1.conv1", 16, 3, 3), _conv("block_1.conv2", 16, 16, 3))
    found |= _all(_conv("block_2.conv1", 32, 16, 3), _conv("block_2.conv2", 32, 32, 3))
    found |= _all(_conv("dblock_3.denselayer1.conv1", 48, 32, 3), _conv("dblock_3.denselayer1.conv2", 48, 48, 3))
    found |= _all(_conv("side_1.conv", 32, 16, 1), _conv("pre_dense_3.conv", 48, 32, 1))
    for block, width in ((1, 16), (2, 32)):
        found |= _all(
            _conv(f"up_block_{block}.features.0", 1, width, 1), _conv(f"up_block_{block}.features.2", 1, 1, 2)
        )
    found |= _all(_conv("up_block_3.features.0", 16, 48, 1), _conv("up_block_3.features.2", 16, 16, 4))
    found |= _all(_conv("up_block_3.features.3", 1, 16, 1), _conv("up_block_3.features.5", 1, 1, 4))
    return found | _all(_conv("block_cat.DWconv1", 24, 1, 3), _conv("block_cat.DWconv2", 24, 1, 3))


def _mobile() -> Iterator[Shapes]:
    """MobileNetV2's stages as M-LSD has them."""
    yield _all(_conv("backbone.features.0.0", 32, 4, 3, bias=False), _norm("backbone.features.0.1", 32))
    before, index = 32, 1
    for wider, width, count in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3)):
        for _ in range(count):
            name, inside = f"backbone.features.{index}.conv", before * wider
            place = 0
            if wider > 1:
                yield _all(_conv(f"{name}.0.0", inside, before, 1, bias=False), _norm(f"{name}.0.1", inside))
                place = 1
            yield _all(_conv(f"{name}.{place}.0", inside, 1, 3, bias=False), _norm(f"{name}.{place}.1", inside))
            yield _all(_conv(f"{name}.{place + 1}", width, inside, 1, bias=False), _norm(f"{name}.{place + 2}", width))
            before, index = width, index + 1


def mlsd() -> Shapes:
    """mlsd_large_512_fp32.pth."""
    found = _all(*_mobile())
    for block, finer, coarser in ((15, 64, 96), (17, 32, 64), (19, 24, 64), (21, 16, 64)):
        for place, before in ((1, coarser), (2, finer)):
            found |= _conv(f"block{block}.conv{place}.0", 64, before, 1) | _norm(f"block{block}.conv{place}.1", 64)
        found |= _conv(f"block{block + 1}.conv1.0", 128, 128, 3) | _norm(f"block{block + 1}.conv1.1", 128)
        found |= _conv(f"block{block + 1}.conv2.0", 64, 128, 3) | _norm(f"block{block + 1}.conv2.1", 64)
    for place in (1, 2):
        found |= _conv(f"block23.conv{place}.0", 64, 64, 3) | _norm(f"block23.conv{place}.1", 64)
    return found | _conv("block23.conv3", 16, 64, 1)


def depth_anything(layers: int = 4) -> Shapes:
    """depth_anything_vits14.pth with 12 channels for 384, and so many layers for 12."""
    width, fusion = 12, 8
    found: Shapes = {
        "pretrained.cls_token": (1, 1, width),
        "pretrained.mask_token": (1, width),
        "pretrained.pos_embed": (1, 1 + 37 * 37, width),
        **_conv("pretrained.patch_embed.proj", width, 3, 14),
    }
    for index in range(layers):
        name = f"pretrained.blocks.{index}"
        linears = (("attn.qkv", 3 * width, width), ("attn.proj", width, width))
        for part, out, into in (*linears, ("mlp.fc1", 4 * width, width), ("mlp.fc2", width, 4 * width)):
            found |= {f"{name}.{part}.weight": (out, into), f"{name}.{part}.bias": (out,)}
        found |= {f"{name}.{part}.{kind}": (width,) for part in ("norm1", "norm2") for kind in ("weight", "bias")}
        found |= {f"{name}.{part}.gamma": (width,) for part in ("ls1", "ls2")}
    found |= {"pretrained.norm.weight": (width,), "pretrained.norm.bias": (width,)}
    return found | _depth_head(width, fusion)


def _depth_head(width: int, fusion: int) -> Shapes:
    found: Shapes = {}
    for index, out in enumerate((4, 6, 8, 10)):
        found |= _conv(f"depth_head.projects.{index}", out, width, 1)
        if index != 2:
            found |= _conv(f"depth_head.resize_layers.{index}", out, out, (4, 2, 0, 3)[index])
        found |= _conv(f"depth_head.scratch.layer{index + 1}_rn", fusion, out, 3, bias=False)
        name = f"depth_head.scratch.refinenet{index + 1}"
        found |= _conv(f"{name}.out_conv", fusion, fusion, 1)
        for unit in (1, 2):
            for conv in (1, 2):
                found |= _conv(f"{name}.resConfUnit{unit}.conv{conv}", fusion, fusion, 3)
    found |= _conv("depth_head.scratch.output_conv1", fusion // 2, fusion, 3)
    found |= _conv("depth_head.scratch.output_conv2.0", 32, fusion // 2, 3)
    return found | _conv("depth_head.scratch.output_conv2.2", 1, 32, 1)
