"""The attentions of a UNet in the order in which they compute, and hooks on them that end with a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.hardware.compiling import run_plain
from modules.hardware.model_configs import unet_config
from modules.sampling.image_weights import AttentionCount

# Who sets hooks gets this to have them removed.
Undo = Callable[[Callable[[], None]], object]


def attention_groups(unet: UNet2DConditionModel) -> list[tuple[BasicTransformerBlock, ...]]:
    """The blocks of each transformer of the UNet, from its input to its output."""
    return [
        tuple(cast(Sequence[BasicTransformerBlock], module.transformer_blocks))
        for part in (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
        if isinstance(part, nn.Module)
        for module in part.modules()
        if isinstance(module, Transformer2DModel)
    ]


def attention_count(unet: UNet2DConditionModel) -> AttentionCount:
    """How many transformers the UNet has, and where."""
    down, up = (_transformers(part) for part in (nn.ModuleList(unet.down_blocks), nn.ModuleList(unet.up_blocks)))
    middle = 0 if unet.mid_block is None else _transformers(unet.mid_block)
    return AttentionCount(down, middle, up, xl=unet_config(unet).addition_embed_type == "text_time")


def _transformers(part: nn.Module) -> int:
    return sum(isinstance(module, Transformer2DModel) for module in part.modules())


def blocks_in_files(unet: UNet2DConditionModel) -> list[tuple[int, BasicTransformerBlock]]:
    """(number of its group, block) in the order in which files of IP-Adapters count them: down, up, then the middle."""
    number = {id(block): index for index, group in enumerate(attention_groups(unet)) for block in group}
    parts = (*unet.down_blocks, *unet.up_blocks, unet.mid_block)
    return [
        (number[id(module)], module)
        for part in parts
        if isinstance(part, nn.Module)
        for module in part.modules()
        if isinstance(module, BasicTransformerBlock)
    ]


def region_at(mask: Tensor, cells: tuple[int, int], x: Tensor) -> Tensor:
    """A region mask, (1, 1, height, width), for what a level of the UNet computes on.

    That are tokens, (rows, tokens, channels), for which the answer is (1, tokens, 1), or channels, (rows, channels,
    height, width), for which it is (1, 1, height, width). `cells` are the latent's height and width.
    """
    if x.dim() == 4:
        return functional.interpolate(mask.to(x), x.shape[2:], mode="bilinear", align_corners=False)
    height, width = cells
    while height * width > x.shape[1]:
        # As the UNet halves its levels.
        height, width = -(-height // 2), -(-width // 2)
    small = functional.interpolate(mask.to(x), (height, width), mode="bilinear", align_corners=False)
    return small.flatten(2).transpose(1, 2)


@contextmanager
def hooks_set(unet: UNet2DConditionModel, setting: Callable[[Undo], None]) -> Iterator[None]:
    """While open, the hooks of `setting` are on `unet`, and its blocks run uncompiled: compiled code sees no hooks."""
    with ExitStack() as stack:
        stack.enter_context(run_plain(block for group in attention_groups(unet) for block in group))
        setting(stack.callback)
        yield
