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
        if name.endswith(("output_conv2.2.bias", "output_conv.4.bias")):
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


def _linear(name: str, out: int, into: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into), **({f"{name}.bias": (out,)} if bias else {})}


def _scale(name: str, width: int) -> Shapes:
    """A norm without statistics of its own."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _neck(prefix: str, widths: tuple[int, ...], fusion: int) -> Shapes:
    """DPT's convolutions from a stage to the picture, as MiDaS, ZoeDepth and Depth Anything call them."""
    found: Shapes = {}
    for index, width in enumerate(widths, start=1):
        found |= _conv(f"{prefix}scratch.layer{index}_rn", fusion, width, 3, bias=False)
        name = f"{prefix}scratch.refinenet{index}"
        found |= _conv(f"{name}.out_conv", fusion, fusion, 1)
        for unit in (1, 2):
            for conv in (1, 2):
                found |= _conv(f"{name}.resConfUnit{unit}.conv{conv}", fusion, fusion, 3)
    return found


def midas() -> Shapes:
    """dpt_hybrid-midas-501f0c75.pt with a transformer of 64 channels for 768 and one block of the ResNet a stage."""
    width, fusion, stages = 64, 8, (128, 128, 256)
    resnet = "pretrained.model.patch_embed.backbone"
    found = _all(_conv(f"{resnet}.stem.conv", 64, 3, 7, bias=False), _scale(f"{resnet}.stem.norm", 64))
    before = 64
    for stage, out in enumerate(stages):
        name = f"{resnet}.stages.{stage}.blocks.0"
        parts = (("downsample.conv", "downsample.norm", out, before, 1), ("conv1", "norm1", out // 4, before, 1))
        inner = (("conv2", "norm2", out // 4, out // 4, 3), ("conv3", "norm3", out, out // 4, 1))
        for conv, norm, wide, into, side in (*parts, *inner):
            found |= _conv(f"{name}.{conv}", wide, into, side, bias=False) | _scale(f"{name}.{norm}", wide)
        before = out
    found |= _conv("pretrained.model.patch_embed.proj", width, before, 1)
    found |= {"pretrained.model.cls_token": (1, 1, width), "pretrained.model.pos_embed": (1, 1 + 24 * 24, width)}
    for index in range(12):
        found |= _transformer(f"pretrained.model.blocks.{index}", width)
        found |= _linear(f"pretrained.model.blocks.{index}.attn.qkv", 3 * width, width)
    found |= _scale("pretrained.model.norm", width)
    for stage in (3, 4):
        found |= _linear(f"pretrained.act_postprocess{stage}.0.project.0", width, 2 * width)
        found |= _conv(f"pretrained.act_postprocess{stage}.3", width, width, 1)
    found |= _conv("pretrained.act_postprocess4.4", width, width, 3)
    found |= _neck("", (*stages[:2], width, width), fusion)
    return found | _output("scratch.output_conv", fusion)


def _transformer(name: str, width: int) -> Shapes:
    """What layers of timm's transformers share."""
    parts = (_linear(f"{name}.attn.proj", width, width), _linear(f"{name}.mlp.fc1", 4 * width, width))
    return _all(*parts, _linear(f"{name}.mlp.fc2", width, 4 * width), _scale(f"{name}.norm1", width)) | _scale(
        f"{name}.norm2", width
    )


def _output(name: str, fusion: int) -> Shapes:
    outer = _conv(f"{name}.0", fusion // 2, fusion, 3)
    return _all(outer, _conv(f"{name}.2", 32, fusion // 2, 3), _conv(f"{name}.4", 1, 32, 1))


def zoe() -> Shapes:
    """ZoeD_M12_N.pt with a BEiT of 16 channels and 4 layers for 1024 and 24."""
    width, fusion, heads, widths, embedding = 16, 8, 2, (4, 6, 8, 8), 12
    vit = "core.core.pretrained.model"
    found: Shapes = {f"{vit}.cls_token": (1, 1, width), **_conv(f"{vit}.patch_embed.proj", width, 3, 16)}
    for index in range(4):
        name = f"{vit}.blocks.{index}"
        found |= _transformer(name, width) | _linear(f"{name}.attn.qkv", 3 * width, width, bias=False)
        found |= {f"{name}.{part}": (width,) for part in ("attn.q_bias", "attn.v_bias", "gamma_1", "gamma_2")}
        found |= {f"{name}.attn.relative_position_bias_table": (47 * 47 + 3, heads)}
    for stage, out in enumerate(widths, start=1):
        name = f"core.core.pretrained.act_postprocess{stage}"
        found |= _linear(f"{name}.0.project.0", width, 2 * width) | _conv(f"{name}.3", out, width, 1)
        if stage != 3:
            found |= _conv(f"{name}.4", out, out, {1: 4, 2: 2, 4: 3}[stage])
    found |= _neck("core.core.", widths, fusion) | _output("core.core.scratch.output_conv", fusion)
    found |= _conv("conv2", fusion, fusion, 1)
    for name, out, into in (
        ("seed_bin_regressor", 64, fusion),
        ("seed_projector", embedding, fusion),
        *((f"projectors.{index}", embedding, fusion) for index in range(4)),
        *((f"attractors.{index}", count, embedding) for index, count in enumerate((16, 8, 4, 1))),
    ):
        inside = 256 if name == "seed_bin_regressor" else 128 if "projector" in name else embedding
        found |= _conv(f"{name}._net.0", inside, into, 1) | _conv(f"{name}._net.2", out, inside, 1)
    within = embedding + 33
    found |= _conv("conditional_log_binomial.mlp.0", within // 2, within, 1)
    return found | _conv("conditional_log_binomial.mlp.2", 4, within // 2, 1)


def normal_bae() -> Shapes:
    """scannet.pt with one block a stage and at a fraction of its widths."""
    name, before, widths = "encoder.original_model", 8, (6, 6, 8, 10, 10, 12, 12)
    found = _all(_conv(f"{name}.conv_stem", before, 3, 3, bias=False), _norm(f"{name}.bn1", before))
    for stage, width in enumerate(widths):
        block, inside = f"{name}.blocks.{stage}.0", before * 2 if stage else before
        found |= _conv(f"{block}.conv_dw", inside, 1, 5 if stage in (2, 4, 5) else 3, bias=False)
        found |= _norm(f"{block}.bn1", inside)
        found |= _conv(f"{block}.se.conv_reduce", 2, inside, 1) | _conv(f"{block}.se.conv_expand", inside, 2, 1)
        if stage:
            found |= _conv(f"{block}.conv_pw", inside, before, 1, bias=False) | _norm(f"{block}.bn2", inside)
            found |= _conv(f"{block}.conv_pwl", width, inside, 1, bias=False) | _norm(f"{block}.bn3", width)
        else:
            found |= _conv(f"{block}.conv_pw", width, inside, 1, bias=False) | _norm(f"{block}.bn2", width)
        before = width
    last, ups = 16, (16, 12, 10, 8)
    found |= _conv(f"{name}.conv_head", last, before, 1, bias=False) | _norm(f"{name}.bn2", last)
    found |= _conv("decoder.conv2", last, last, 1)
    coarser = last
    for number, (finer, width) in enumerate(zip((10, 8, 6, 6), ups, strict=True), start=1):
        up = f"decoder.up{number}._net"
        found |= _conv(f"{up}.0", width, coarser + finer, 3) | _norm(f"{up}.1", width)
        found |= _conv(f"{up}.3", width, width, 3) | _norm(f"{up}.4", width)
        coarser = width
    found |= _conv("decoder.out_conv_res8", 4, ups[1], 3)
    for head, width in (("res4", ups[1]), ("res2", ups[2]), ("res1", ups[3])):
        sides = (width + 4, 6, 6, 6, 4)
        for index in range(4):
            part = f"decoder.out_conv_{head}.{2 * index}"
            found |= {f"{part}.weight": (sides[index + 1], sides[index], 1), f"{part}.bias": (sides[index + 1],)}
    return found


def leres() -> Shapes:
    """res101.pth with one block a stage and at a fraction of its widths."""
    name, before, widths = "module.depth_model.encoder_modules.encoder", 8, (16, 20, 24, 32)
    found = _all(_conv(f"{name}.conv1", before, 3, 7, bias=False), _norm(f"{name}.bn1", before))
    for layer, width in enumerate(widths, start=1):
        block, inside = f"{name}.layer{layer}.0", 8
        found |= _conv(f"{block}.conv1", inside, before, 1, bias=False) | _norm(f"{block}.bn1", inside)
        found |= _conv(f"{block}.conv2", inside, 2, 3, bias=False) | _norm(f"{block}.bn2", inside)
        found |= _conv(f"{block}.conv3", width, inside, 1, bias=False) | _norm(f"{block}.bn3", width)
        found |= _conv(f"{block}.downsample.0", width, before, 1, bias=False) | _norm(f"{block}.downsample.1", width)
        before = width
    decoder, middle = "module.depth_model.decoder_modules", 8
    transfers = [("conv", 12, before)]
    for number in range(3):
        transfers += [(f"ffm{number}.ftb1", middle, widths[number]), (f"ffm{number}.ftb2", middle, middle)]
    for part, width, into in transfers:
        found |= _conv(f"{decoder}.{part}.conv1", width, into, 3) | _norm(f"{decoder}.{part}.conv_branch.2", width)
        found |= _conv(f"{decoder}.{part}.conv_branch.1", width, width, 3)
        found |= _conv(f"{decoder}.{part}.conv_branch.4", width, width, 3)
    found |= _conv(f"{decoder}.conv1", middle, 12, 3)
    found |= _conv(f"{decoder}.outconv.adapt_conv.0", 4, middle, 3) | _norm(f"{decoder}.outconv.adapt_conv.1", 4)
    return found | _conv(f"{decoder}.outconv.adapt_conv.3", 1, 4, 3)


def lama() -> Shapes:
    """ControlNetLama.pth with 8 channels for 64 and two residual blocks for 18."""
    width, near = 64, 16
    far = width - near
    found = _conv("generator.model.1.ffc.convl2l", 8, 4, 7, bias=False) | _norm("generator.model.1.bn_l", 8)
    for index, (out, into) in enumerate(((16, 8), (32, 16)), start=2):
        found |= _conv(f"generator.model.{index}.ffc.convl2l", out, into, 3, bias=False)
        found |= _norm(f"generator.model.{index}.bn_l", out)
    found |= _conv("generator.model.4.ffc.convl2l", near, 32, 3, bias=False) | _norm("generator.model.4.bn_l", near)
    found |= _conv("generator.model.4.ffc.convl2g", far, 32, 3, bias=False) | _norm("generator.model.4.bn_g", far)
    for index in (5, 6):
        for conv in ("conv1", "conv2"):
            name = f"generator.model.{index}.{conv}"
            for path, out, into in (("convl2l", near, near), ("convl2g", far, near), ("convg2l", near, far)):
                found |= _conv(f"{name}.ffc.{path}", out, into, 3, bias=False)
            inner = f"{name}.ffc.convg2g"
            found |= _conv(f"{inner}.conv1.0", far // 2, far, 1, bias=False) | _norm(f"{inner}.conv1.1", far // 2)
            found |= _conv(f"{inner}.fu.conv_layer", far, far, 1, bias=False) | _norm(f"{inner}.fu.bn", far)
            found |= _conv(f"{inner}.conv2", far, far // 2, 1, bias=False)
            found |= _norm(f"{name}.bn_l", near) | _norm(f"{name}.bn_g", far)
    for index, (into, out) in zip((8, 11, 14), ((64, 32), (32, 16), (16, 8)), strict=True):
        found |= {f"generator.model.{index}.weight": (into, out, 3, 3), f"generator.model.{index}.bias": (out,)}
        found |= _norm(f"generator.model.{index + 1}", out)
    return found | _conv("generator.model.18", 3, 8, 7)


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
    widths = (4, 6, 8, 10)
    for index, out in enumerate(widths):
        found |= _conv(f"depth_head.projects.{index}", out, width, 1)
        if index != 2:
            found |= _conv(f"depth_head.resize_layers.{index}", out, out, (4, 2, 0, 3)[index])
    found |= _neck("depth_head.", widths, fusion)
    found |= _conv("depth_head.scratch.output_conv1", fusion // 2, fusion, 3)
    found |= _conv("depth_head.scratch.output_conv2.0", 32, fusion // 2, 3)
    return found | _conv("depth_head.scratch.output_conv2.2", 1, 32, 1)


def manga_line() -> Shapes:
    """erika.pth with 2 channels for 24 and two blocks in each level."""
    found: Shapes = {}

    def block(name: str, out: int, into: int) -> None:
        for part, before in (("conv1", into), ("residual", out)):
            found.update(_norm(f"{name}.{part}.model.0", before) | _conv(f"{name}.{part}.model.2", out, before, 3))

    widths = (2, 4, 8, 16, 32, 16, 8, 4, 2, 3)
    for level, (out, into) in enumerate(zip(widths, (1, *widths), strict=False)):
        for index in range(2):
            name = f"block{level}.model.{index}"
            block(name, out, out if index else into)
            if (index == 0 and out != into) or (index == 1 and 0 < level < 5):
                found |= _conv(f"{name}.shortcut.model.0", out, out if index else into, 1)
    return found | _norm("conv15.model.0", 3) | _conv("conv15.model.2", 1, 3, 1)


def oneformer(classes: int = 150) -> Shapes:
    """250_16_swin_l_oneformer_ade20k_160k.pth with 8 channels for 192, one layer for each kind, and 5 queries."""
    wide, inner, window = 32, 48, 4
    found = _conv("backbone.patch_embed.proj", 8, 3, 4) | _scale("backbone.patch_embed.norm", 8)
    for stage in range(4):
        width, heads = 8 * 2**stage, 2**stage
        name = f"backbone.layers.{stage}.blocks.0"
        found |= _scale(f"{name}.norm1", width) | _scale(f"{name}.norm2", width)
        found |= _linear(f"{name}.attn.qkv", 3 * width, width) | _linear(f"{name}.attn.proj", width, width)
        found |= {f"{name}.attn.relative_position_bias_table": ((2 * window - 1) ** 2, heads)}
        found |= _linear(f"{name}.mlp.fc1", 4 * width, width) | _linear(f"{name}.mlp.fc2", width, 4 * width)
        found |= _scale(f"backbone.norm{stage}", width)
        if stage < 3:
            down = f"backbone.layers.{stage}.downsample"
            found |= {f"{down}.reduction.weight": (2 * width, 4 * width)} | _scale(f"{down}.norm", 4 * width)
    return found | _oneformer_pixels(wide, inner) | _oneformer_predictor(wide, inner, classes)


def _oneformer_pixels(wide: int, inner: int) -> Shapes:
    name = "sem_seg_head.pixel_decoder"
    found: Shapes = {f"{name}.transformer.level_embed": (3, wide)}
    for index, before in enumerate((64, 32, 16)):
        found |= _conv(f"{name}.input_proj.{index}.0", wide, before, 1)
        found |= _scale(f"{name}.input_proj.{index}.1", wide)
    layer = f"{name}.transformer.encoder.layers.0"
    # For each of 8 heads 3 levels of 4 points.
    found |= _linear(f"{layer}.self_attn.sampling_offsets", 192, wide)
    found |= _linear(f"{layer}.self_attn.attention_weights", 96, wide)
    for part in ("value_proj", "output_proj"):
        found |= _linear(f"{layer}.self_attn.{part}", wide, wide)
    found |= _scale(f"{layer}.norm1", wide) | _scale(f"{layer}.norm2", wide)
    found |= _linear(f"{layer}.linear1", inner, wide) | _linear(f"{layer}.linear2", wide, inner)
    for part, before, side in (("adapter_1", 8, 1), ("layer_1", wide, 3)):
        found |= _conv(f"{name}.{part}", wide, before, side, bias=False) | _scale(f"{name}.{part}.norm", wide)
    return found | _conv(f"{name}.mask_features", wide, wide, 1)


def _attention(name: str, wide: int) -> Shapes:
    joined = {f"{name}.in_proj_weight": (3 * wide, wide), f"{name}.in_proj_bias": (3 * wide,)}
    return joined | _linear(f"{name}.out_proj", wide, wide)


def _oneformer_predictor(wide: int, inner: int, classes: int) -> Shapes:
    name = "sem_seg_head.predictor"
    found: Shapes = {f"{name}.query_embed.weight": (5, wide), f"{name}.level_embed.weight": (3, wide)}
    found |= _scale(f"{name}.decoder_norm", wide) | _conv(f"{name}.class_input_proj", wide, wide, 1)
    found |= _linear(f"{name}.class_embed", classes + 1, wide)
    for index in range(3):
        found |= _linear(f"{name}.mask_embed.layers.{index}", wide, wide)
    ones = f"{name}.class_transformer.decoder"
    found |= _scale(f"{ones}.norm", wide)
    layer = f"{ones}.layers.0"
    found |= _attention(f"{layer}.self_attn", wide) | _attention(f"{layer}.multihead_attn", wide)
    found |= _linear(f"{layer}.linear1", inner, wide) | _linear(f"{layer}.linear2", wide, inner)
    for part in ("norm1", "norm2", "norm3"):
        found |= _scale(f"{layer}.{part}", wide)
    for kind, attention in (("cross", "multihead_attn"), ("self", "self_attn")):
        layer = f"{name}.transformer_{kind}_attention_layers.0"
        found |= _attention(f"{layer}.{attention}", wide) | _scale(f"{layer}.norm", wide)
    layer = f"{name}.transformer_ffn_layers.0"
    found |= _linear(f"{layer}.linear1", inner, wide) | _linear(f"{layer}.linear2", wide, inner)
    found |= _scale(f"{layer}.norm", wide)
    return found | _linear("task_mlp.layers.0", wide, 77) | _linear("task_mlp.layers.1", wide, wide)
