"""Deep shrink (Kohya HRFix): early in the run the deep part of the UNet sees a large picture smaller, at its own size.

By Kohya (2023), without a paper: behind input block n the features are shrunk by a factor, before or after that block's
skip leaves, and where the decoder meets a skip of another size they are enlarged to it. Blocks count from the first
convolution, which is 0; a number beyond the last is the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.features.deep_shrink.declare import DeepShrinkArguments
from modules.features.each_pass import each_pass
from modules.generation.module_hooks import Output, changed, decoder_stages, encoder_stages, module_hooks
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition


def _resized(x: Tensor, size: tuple[int, int], method: str) -> Tensor:
    return x if tuple(x.shape[-2:]) == size else functional.interpolate(x, size, mode=method)


class _Joins:
    """The hooks of one level of the decoder: features take the size of the skip that they are about to meet."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._sizes: list[tuple[int, int]] = []

    def enter(self, _level: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        self._sizes = [tuple(skip.shape[-2:]) for skip in reversed(named["res_hidden_states_tuple"])]
        return inputs, {**named, "hidden_states": _resized(named["hidden_states"], self._sizes.pop(0), self._method)}

    def leave(self, _block: nn.Module, _inputs: object, output: Output) -> Output:
        size = self._sizes.pop(0)
        return changed(output, lambda x: _resized(x, size, self._method))


class DeepShrink(PassHook):
    """Shrinks and enlarges while the share of the run is within the arguments'."""

    def __init__(self, arguments: DeepShrinkArguments) -> None:
        self._arguments = arguments
        self._acts = False

    def begin_call(self, at: CallPosition) -> None:
        self._acts = at.is_within(self._arguments.start_percent, self._arguments.end_percent)

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        own, stages = self._arguments, encoder_stages(unet)
        number = min(own.block_number, len(stages) - 2)
        with module_hooks(unet) as add:
            if own.downscale_after_skip:
                add(stages[number + 1].first.register_forward_pre_hook(self._enter))
            else:
                add(stages[number].last.register_forward_hook(self._leave))
            for level, ends in decoder_stages(unet):
                joins = _Joins(own.upscale_method)
                add(level.register_forward_pre_hook(joins.enter, with_kwargs=True))
                for block in ends:
                    add(block.register_forward_hook(joins.leave))
            yield

    def _shrunk(self, x: Tensor) -> Tensor:
        factor = self._arguments.downscale_factor if self._acts else 1.0
        height, width = (max(1, round(side / factor)) for side in x.shape[-2:])
        return _resized(x, (height, width), self._arguments.downscale_method)

    def _enter(self, _block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._shrunk(inputs[0]), *inputs[1:]

    def _leave(self, _block: nn.Module, _inputs: object, output: Output) -> Output:
        return changed(output, self._shrunk)


def _hooks_of(arguments: DeepShrinkArguments, context: PassContext) -> Sequence[PassHook]:
    """None at factor 1."""
    return (DeepShrink(arguments),) if arguments.downscale_factor != 1 else ()


deep_shrink = each_pass(DeepShrinkArguments, _hooks_of)
