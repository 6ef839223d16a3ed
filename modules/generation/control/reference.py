"""Reference pictures without a model: self attention looks at what the UNet made of another picture.

Behaviour reproduced: reference_only and reference_adain of sd-webui-controlnet. Before each forward the picture's
latent, noised as far as the sample, goes through the UNet once; its self attentions' inputs are stored, and in the real
forward each attends to its own and the stored ones. "adain" stores mean and deviation of the levels' channels instead,
and gives the real forward's channels the same: Huang and Belongie (2017), arXiv:1703.06868.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.families import INPAINTING
from modules.generation.control.attentions import Undo, attention_groups, hooks_set, region_at
from modules.generation.pipeline import PassHook
from modules.generation.unet import forward_of
from modules.parameters.control import ControlMode
from modules.sampling import CallPosition, Conditioning, UnetResiduals, Window
from modules.sampling.control import is_within

_LATENT_CHANNELS: Final = 4
_SMALLEST: Final = 1e-5
_LEAST_VARIANCE: Final = 1e-6
# The levels' thresholds are those of attention, doubled.
_ADAIN_FACTOR: Final = 2.0
_Mode = Literal["off", "store", "use"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePicture:
    """A picture to look at: its scaled `latent` and the `noise` that it is noised with, (1, 4, height, width).

    `weight` says how much of the UNet looks at it, from its widest layers on. `fidelity` is the share in which rows of
    negative prompts do without. `attends` and `matches` choose what is stored: attention's inputs, and the channels'
    means and deviations. `mask`, (1, 1, height, width) from 0 to 1, says where the picture is looked at.
    """

    latent: Tensor
    noise: Tensor
    weight: float = 1.0
    fidelity: float = 0.5
    window: tuple[float, float] = (0.0, 1.0)
    attends: bool = True
    matches: bool = False
    mask: Tensor | None = None


def style_fidelity(value: float, mode: ControlMode, *, hires: bool, xl: bool) -> float:
    """The fidelity of a unit in a pass: its slider counts in Balanced only, and its cube with SDXL."""
    if hires or mode is ControlMode.PROMPT:
        return 0.0
    if mode is ControlMode.CONTROL:
        return 1.0
    return value**3 if xl else value


class ReferenceControl(PassHook):
    """The reference pictures of a pass of `steps`."""

    def __init__(self, pictures: Sequence[ReferencePicture], alphas_cumprod: Tensor, steps: int) -> None:
        """`alphas_cumprod` is the checkpoint's share of signal at each of its timesteps."""
        self._pictures = tuple(pictures)
        self._alphas = alphas_cumprod
        self._steps = steps
        self._active = self._pictures
        self._unet: UNet2DConditionModel | None = None
        self._layers: list[_Place] = []
        self._sent: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}

    def begin_call(self, at: CallPosition) -> None:
        """Find out which pictures are looked at."""
        self._active = tuple(one for one in self._pictures if is_within(one.window, at, self._steps))

    def patched(self, unet: UNet2DConditionModel) -> AbstractContextManager[None]:
        """While open, `unet` can look at the pictures."""
        self._unet = unet
        return hooks_set(unet, lambda undo: self._set(unet, undo))

    def _set(self, unet: UNet2DConditionModel, undo: Undo) -> None:
        self._layers = []
        blocks = [block for group in attention_groups(unet) for block in group]
        # As many as there are weigh the same, the widest first.
        ranked = sorted(blocks, key=lambda block: -block.attn1.to_q.in_features)
        for rank, block in enumerate(ranked):
            attention = _AttentionPlace(rank / len(ranked), is_attention=True)
            undo(block.attn1.register_forward_pre_hook(attention.before, with_kwargs=True).remove)
            undo(block.attn1.register_forward_hook(attention.after).remove)
            self._layers.append(attention)
        for threshold, part in _levels(unet):
            channels = _ChannelsPlace(threshold * _ADAIN_FACTOR, is_attention=False)
            undo(part.register_forward_hook(channels.after).remove)
            self._layers.append(channels)
        undo(self._layers.clear)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Have the UNet look at the pictures first; nothing is added to the forward that follows."""
        assert self._unet is not None
        for layer in self._layers:
            layer.clear(conditioning, (sample.shape[-2], sample.shape[-1]))
        forward = forward_of(self._unet)
        for picture in self._active:
            for layer in self._layers:
                wanted = picture.attends if layer.is_attention else picture.matches
                layer.store(picture if wanted and picture.weight > layer.threshold else None)
            added = conditioning.added.values()
            forward(self._noised(picture, sample, timesteps, conditioning), timesteps, conditioning.context, *added)
        for layer in self._layers:
            layer.mode = "use"
        return None

    def _noised(
        self, picture: ReferencePicture, sample: Tensor, timesteps: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """The picture's latent as noisy as the sample, with what else the UNet is shown."""
        # Without reading the timestep, which would wait for the device.
        self._alphas = self._alphas.to(sample.device)
        steps = timesteps.round().long().clamp(0, len(self._alphas) - 1)
        share = self._alphas[steps][:, None, None, None]
        latent, noise = map(conditioning.shown_of, self._on(picture, sample.device))
        rows = (latent * share**0.5 + noise * (1 - share) ** 0.5).to(sample)
        if sample.shape[1] == INPAINTING:
            shown = latent.to(sample).expand_as(rows)
            return torch.cat([rows, torch.zeros_like(rows[:, :1]), shown], dim=1)
        return torch.cat([rows, sample[:, _LATENT_CHANNELS:]], dim=1)

    def _on(self, picture: ReferencePicture, device: torch.device) -> tuple[Tensor, Tensor]:
        """A picture's latent and noise on the device, sent there once."""
        key = id(picture), device
        if key not in self._sent:
            self._sent[key] = picture.latent.to(device), picture.noise.to(device)
        return self._sent[key]


@dataclass(slots=True, eq=False)
class _Place:
    """A place in the UNet where something of the pictures is stored, then used. It takes part above its threshold."""

    threshold: float
    is_attention: bool
    mode: _Mode = "off"
    now: Conditioning = field(default_factory=lambda: Conditioning(torch.zeros(0, 0, 0)))
    cells: tuple[int, int] = (0, 0)
    stored: list[Tensor] = field(default_factory=list)
    pictures: list[ReferencePicture] = field(default_factory=list)
    regions: dict[tuple[int, torch.device, tuple[Window, ...]], Tensor] = field(default_factory=dict)

    @property
    def negative_rows(self) -> int:
        return self.now.negative_rows

    def clear(self, now: Conditioning, cells: tuple[int, int]) -> None:
        """Forget what was stored for the forward before; `now` and `cells` (height, width) are of the next."""
        self.mode, self.now, self.cells = "off", now, cells
        self.stored.clear()
        self.pictures.clear()

    def store(self, picture: ReferencePicture | None) -> None:
        """Store of this picture in the next forward, or nothing for None."""
        self.mode = "off" if picture is None else "store"
        if picture is not None:
            self.pictures.append(picture)

    def mixed(self, changed: Tensor, plain: Tensor) -> Tensor:
        """`changed`, in rows of negative prompts less so; `plain` are those rows unchanged."""
        share = sum(picture.fidelity for picture in self.pictures) / len(self.pictures)
        rows = changed.shape[0] - self.negative_rows
        return torch.cat([changed[:rows], share * plain + (1 - share) * changed[rows:]])

    @property
    def mixes(self) -> bool:
        return self.negative_rows > 0 and any(picture.fidelity > _SMALLEST for picture in self.pictures)

    def region(self, x: Tensor) -> Tensor | None:
        """Where any of the stored pictures is looked at; None for everywhere."""
        found: Tensor | None = None
        for picture in self.pictures:
            if picture.mask is None:
                return None
            # Sent to the device once, not in each step.
            key = id(picture), x.device, self.now.windows
            if key not in self.regions:
                self.regions[key] = region_at(self.now.shown_of(picture.mask), self.cells, x)
            found = self.regions[key] if found is None else torch.maximum(found, self.regions[key])
        return found


class _AttentionPlace(_Place):
    """A self attention."""

    def before(
        self, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self.mode == "store":
            self.stored.append(inputs[0].clone())
        if self.mode != "use" or not self.stored:
            return None
        return inputs, {**named, "encoder_hidden_states": torch.cat([inputs[0], *self.stored], dim=1)}

    def after(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if self.mode != "use" or not self.stored:
            return output
        region = self.region(output)
        if region is None and not self.mixes:
            return output
        self.mode = "off"
        plain = module(inputs[0] if region is not None else inputs[0][-self.negative_rows :])
        self.mode = "use"
        made = output if region is None else torch.lerp(plain, output, region)
        return self.mixed(made, plain[-self.negative_rows :]) if self.mixes else made


class _ChannelsPlace(_Place):
    """The end of a residual block with its attention: its channels get the picture's means and deviations."""

    def after(
        self, _module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        x = output[0] if isinstance(output, tuple) else output
        if self.mode == "store":
            self.stored.append(_statistics(x))
        if self.mode != "use" or not self.stored:
            return output
        mean, deviation = _statistics(x)
        wanted_mean, wanted_deviation = torch.stack(self.stored).mean(dim=0)
        made = (x - mean) / deviation * wanted_deviation + wanted_mean
        region = self.region(x)
        made = made if region is None else torch.lerp(x, made, region)
        if self.mixes:
            made = self.mixed(made, x[-self.negative_rows :])
        return (made, *output[1:]) if isinstance(output, tuple) else made


def _statistics(x: Tensor) -> Tensor:
    """Mean and deviation of each channel, (2, rows, channels, 1, 1)."""
    variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return torch.stack([mean, variance.clamp(min=_LEAST_VARIANCE) ** 0.5])


def _levels(unet: UNet2DConditionModel) -> list[tuple[float, nn.Module]]:
    """(threshold, module whose answer it is) of the middle, of levels down but the finest, of levels up but that."""
    down = [end for block in unet.down_blocks[1:] for end in _ends(block)]
    up = [end for block in unet.up_blocks[:-1] for end in _ends(block)]
    found: list[tuple[float, nn.Module]] = [] if unet.mid_block is None else [(0.0, unet.mid_block)]
    found += [(1 - index / len(down), end) for index, end in enumerate(down)]
    return found + [(index / len(up), end) for index, end in enumerate(up)]


def _ends(block: nn.Module) -> list[nn.Module]:
    """What each residual block of a level ends with; the last one on the way up with the enlargement."""
    parts = dict(block.named_children())
    ends = list((parts.get("attentions") or parts["resnets"]).children())
    return [*ends[:-1], *parts["upsamplers"].children()] if "upsamplers" in parts else ends
