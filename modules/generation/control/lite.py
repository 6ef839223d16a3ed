"""ControlNet-LLLite in a pass: what some layers of the UNet are given is changed by a control picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.generation.control.attentions import Undo, hooks_set, region_at
from modules.generation.pipeline import PassHook
from modules.hardware.model_configs import unet_config
from modules.hardware.pinned_weights import onloaded
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning, UnetResiduals, Window
from modules.sampling.control import is_within
from modules.weights.control.lllite import PREFIX, ControlLite, LiteLayer
from modules.weights.control.reading import ControlModel
from modules.weights.original_names import unet_original_name


@dataclass(frozen=True, slots=True, eq=False)
class LiteUnit:
    """One LLLite and its control picture, (1, 3, height, width) from 0 to 1, at the pass's size in pixels.

    `mask`, (1, 1, height, width) from 0 to 1, says where it acts.
    """

    model: ControlModel
    hint: Tensor
    weight: float
    window: tuple[float, float] = (0.0, 1.0)
    positive_only: bool = False
    mask: Tensor | None = None


class LiteControl(PassHook):
    """The LLLites of a pass of `steps`."""

    def __init__(self, units: Sequence[LiteUnit], steps: int) -> None:
        self._units = tuple(units)
        self._steps = steps
        self._active = (True,) * len(self._units)
        self._now = Conditioning(torch.zeros(0, 0, 0))
        self._cells = (0, 0)

    def begin_call(self, at: CallPosition) -> None:
        """Find out which units act."""
        self._active = tuple(is_within(unit.window, at, self._steps) for unit in self._units)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Nothing is added; but this says which rows the forward that follows has, and of which size."""
        self._now = conditioning
        self._cells = sample.shape[-2], sample.shape[-1]
        return None

    def patched(self, unet: UNet2DConditionModel) -> AbstractContextManager[None]:
        """While open, the layers see the pictures. Raises RequestError where the UNet lacks a layer of a file."""
        return hooks_set(unet, lambda undo: self._set(unet, undo))

    def _set(self, unet: UNet2DConditionModel, undo: Undo) -> None:
        targets = layers_in_files(unet)
        for number, unit in enumerate(self._units):
            lite = cast(ControlLite, unit.model.module)
            for name, layer in lite.layers.items():
                target = targets.get(name)
                if target is None:
                    raise RequestError(f"{unit.model.path.name} is for another kind of UNet, which has a layer {name}.")
                assert isinstance(layer, LiteLayer)
                undo(target.register_forward_pre_hook(_Changing(self, number, unit, layer)).remove)

    def is_active(self, number: int) -> bool:
        """Whether the unit of this number acts in the present call."""
        return self._active[number]

    @property
    def now(self) -> Conditioning:
        """What the present forward is of."""
        return self._now

    @property
    def cells(self) -> tuple[int, int]:
        """The latent's height and width."""
        return self._cells


@dataclass(slots=True, eq=False)
class _Changing:
    """The hook on one layer. What it sees of the picture is made once, where the UNet computes."""

    control: LiteControl
    number: int
    unit: LiteUnit
    layer: LiteLayer
    view: Tensor | None = None
    region: Tensor | None = None
    windows: tuple[Window, ...] = ()

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not self.control.is_active(self.number) or not self.unit.weight:
            return None
        x = inputs[0]
        rows = x.shape[0] - (self.control.now.negative_rows if self.unit.positive_only else 0)
        dtype = self.layer.weight.dtype
        with onloaded(self.layer, x.device):
            now = self.control.now.slice(0, rows)
            if now.windows != self.windows:
                self.view, self.region, self.windows = None, None, now.windows
            if self.view is None:
                self.view = self.layer.view(now.shown_of(self.unit.hint).to(x.device, dtype) * 2 - 1)
            made = self.layer(x[:rows].to(dtype), self.view).to(x) * self.unit.weight
        if self.unit.mask is not None:
            if self.region is None or self.region.device != x.device:
                self.region = region_at(now.shown_of(self.unit.mask), self.control.cells, x)
            made = made * self.region
        changed = x[:rows] + made
        return (torch.cat([changed, x[rows:]]) if rows < x.shape[0] else changed, *inputs[1:])


def layers_in_files(unet: UNet2DConditionModel) -> Mapping[str, nn.Module]:
    """Linear layers and convolutions by the names that LLLites give them: original or diffusers' paths in one word."""
    config = unet_config(unet)
    attention = ["CrossAttn" in kind for kind in config.down_block_types]
    layers = config.layers_per_block
    per_level = [layers] * len(attention) if isinstance(layers, int) else layers
    found: dict[str, nn.Module] = {}
    for path, module in unet.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            original = unet_original_name(f"{path}.weight", per_level, attention).removesuffix(".weight")
            for name in (path, original):
                found[PREFIX + name.replace(".", "_")] = module
    return found
