"""ControlNets and T2I-Adapters in a pass: each is called beside the UNet, and what they answer is weighed and added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.control_kinds import ControlKind
from modules.catalogue.refusals import control_refusal
from modules.generation.pipeline import PassHook
from modules.generation.unet import unet_of
from modules.hardware.model_configs import unet_config
from modules.hardware.pinned_weights import onloaded
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning, UnetResiduals
from modules.sampling.control import Weighting, added, is_within, weigh
from modules.weights.control.reading import ControlModel
from modules.weights.model import Model

_WHOLE_PASS: Final = (0.0, 1.0)


class _ControlConfig(Protocol):
    """What is read of the configuration of diffusers' ControlNets."""

    @property
    def in_channels(self) -> int: ...

    @property
    def block_out_channels(self) -> Sequence[int]: ...

    @property
    def cross_attention_dim(self) -> int: ...

    @property
    def down_block_types(self) -> Sequence[str]: ...

    @property
    def num_control_type(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class ControlUnit:
    """One control model that adds residuals, and how it is used in a pass.

    `hint` is the control picture at the pass's size in pixels, (1, channels, height, width), from 0 to 1, in inpainting
    models -1 where the mask is. `window` is the share of the pass in which the unit acts. `control_type` says to a
    Union what the picture shows, by its number there.

    A model that doesn't lie on the UNet's device is moved there for each of its calls alone.
    """

    model: ControlModel
    hint: Tensor
    weighting: Weighting
    window: tuple[float, float] = _WHOLE_PASS
    control_type: int = 0


def residual_count(model: ControlModel) -> int:
    """How many residuals or features a control model answers with, each of which has a weight."""
    if isinstance(model.module, T2IAdapter):
        return len(model.module.adapter.body)
    return len(_list_of(model.module, "controlnet_down_blocks")) + 1


def check_fits(control: ControlModel, model: Model) -> None:
    """Raise RequestError where a control model is not for the checkpoint: another family, or a UNet of other widths."""
    refusal = control_refusal(control.path.name, control.kind, control.family, model.family, model.path.name)
    if refusal is not None:
        raise RequestError(refusal)
    if control.kind is ControlKind.T2I_ADAPTER or not control.kind.adds_residuals:
        return
    own, unet = _config_of(control.module), unet_config(unet_of(model))
    reads_text = any(kind.startswith("CrossAttn") for kind in own.down_block_types)
    if tuple(own.block_out_channels) != tuple(unet.block_out_channels) or (
        reads_text and own.cross_attention_dim != unet.cross_attention_dim
    ):
        raise RequestError(
            f"{control.path.name} is {control.kind.value} for a UNet of other widths than that of {model.path.name}: "
            "choose another model."
        )


class ControlResiduals(PassHook):
    """What the units of a pass of `steps` add in each forward of the UNet."""

    def __init__(self, units: Sequence[ControlUnit], steps: int) -> None:
        """Raise RequestError where a Union doesn't know the type that a unit wants."""
        self._units = [_UnitInUse(unit) for unit in units]
        self._active = self._units
        self._steps = steps

    def begin_call(self, at: CallPosition) -> None:
        """Find out which units act."""
        self._active = [unit for unit in self._units if is_within(unit.unit.window, at, self._steps)]

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """The sum of what the units that act answer with."""
        answers = [unit.answer(sample, timesteps, conditioning) for unit in self._active]
        return added([answer for answer in answers if answer is not None])


@dataclass(slots=True, eq=False)
class _UnitInUse:
    """A unit with what is made of its hint once: the hint itself, or a T2I-Adapter's features, on a device."""

    unit: ControlUnit
    _made: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = field(default_factory=dict)
    _weighed_on: dict[torch.device, Weighting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.unit.model.kind is not ControlKind.UNION:
            return
        known = _config_of(self.unit.model.module).num_control_type
        if not 0 <= self.unit.control_type < known:
            raise RequestError(
                f"{self.unit.model.path.name} knows {known} types of control pictures, and not the one that is wanted."
            )

    def answer(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Its weighed residuals in one forward; None where they would be zero."""
        weighting = self._weighting(sample.device, conditioning)
        negative = conditioning.negative_rows if weighting.positive_only else 0
        rows = sample.shape[0] - negative
        if not rows:
            return None
        if isinstance(self.unit.model.module, T2IAdapter):
            shown = conditioning.slice(0, rows)
            features = [feature.expand(rows, -1, -1, -1) for feature in self._features(sample, shown)]
            return UnetResiduals(features=weigh(features, weighting, negative_rows=negative))
        answers = self._called(sample[:rows], timesteps[:rows], conditioning.slice(0, rows))
        *skips, middle = weigh(answers, weighting, negative_rows=negative)
        return UnetResiduals(tuple(skips), middle)

    def _weighting(self, device: torch.device, conditioning: Conditioning) -> Weighting:
        """How the answers are weighed, the region mask on the device: in each step it would be sent there anew."""
        own = self._weighed_on.get(device)
        if own is None:
            mask = self.unit.weighting.mask
            own = replace(self.unit.weighting, mask=None if mask is None else mask.to(device))
            self._weighed_on[device] = own
        if own.mask is None or not conditioning.windows:
            return own
        rows = conditioning.rows - (conditioning.negative_rows if own.positive_only else 0)
        return replace(own, mask=conditioning.slice(0, rows).shown_of(own.mask))

    def _called(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> list[Tensor]:
        module = self.unit.model.module
        (hint,) = self._once(sample, lambda: (self.unit.hint.to(sample),))
        rows = sample.shape[0]
        hint = conditioning.shown_of(hint).expand(rows, -1, -1, -1)
        inputs: dict[str, object] = {
            "sample": sample[:, : _config_of(module).in_channels],
            "timestep": timesteps,
            "encoder_hidden_states": conditioning.context,
            "added_cond_kwargs": dict(conditioning.added) or None,
            "return_dict": False,
        }
        if isinstance(module, ControlNetUnionModel):
            types = sample.new_zeros(rows, _config_of(module).num_control_type)
            types[:, self.unit.control_type] = 1
            inputs |= {
                "controlnet_cond": [hint],
                "control_type": types,
                "control_type_idx": [self.unit.control_type],
            }
        else:
            inputs["controlnet_cond"] = hint
        with onloaded(module, sample.device):
            skips, middle = module(**inputs)
        return [*skips, middle]

    def _features(self, sample: Tensor, shown: Conditioning) -> tuple[Tensor, ...]:
        adapter = cast(T2IAdapter, self.unit.model.module)
        side = int(adapter.downscale_factor)

        def made() -> tuple[Tensor, ...]:
            hint = _with_channels(shown.shown_of(self.unit.hint.to(sample)), adapter)
            height, width = hint.shape[-2:]
            # What lies over the edge belongs to a cell there, as in the UNet.
            hint = functional.pad(hint, (0, -width % side, 0, -height % side), mode="replicate")
            with onloaded(adapter, sample.device):
                return tuple(adapter(hint))

        return made() if shown.windows else self._once(sample, made)

    def _once(self, sample: Tensor, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        key = sample.device, sample.dtype
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _with_channels(hint: Tensor, adapter: T2IAdapter) -> Tensor:
    """The hint for an adapter that may take one colour only."""
    return hint.mean(dim=1, keepdim=True) if adapter.config["in_channels"] == 1 else hint


def _config_of(module: nn.Module) -> _ControlConfig:
    return cast(_ControlConfig, module.config)


def _list_of(module: nn.Module, name: str) -> nn.ModuleList:
    return cast(nn.ModuleList, module.get_submodule(name))
