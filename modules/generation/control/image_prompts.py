"""IP-Adapters in a pass: beside the text, cross attention looks at pictures. Ye et al. (2023), arXiv:2308.06721.

out = attention(q, k_text, v_text) + weight · attention(q, k_picture, v_picture), before the output layer. The query is
taken and the second term added by hooks, so that whatever computes the first one stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.generation.control.attentions import Undo, attention_count, blocks_in_files, hooks_set, region_at
from modules.generation.pipeline import PassHook
from modules.hardware.model_configs import unet_config
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning, UnetResiduals
from modules.sampling.control import is_within
from modules.weights.control.image_encoder import ImageEncoder, ImageView
from modules.weights.control.ip_adapter import ImageAdapter
from modules.weights.control.reading import ControlModel


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrompt:
    """Pictures that one IP-Adapter shows to the UNet.

    `positive` and `negative` are tokens, (1, tokens, channels), for rows of prompts and of negative prompts; those of
    several pictures stand side by side. `weights` has one for each transformer of the UNet, from its input on. `mask`,
    (1, 1, height, width) from 0 to 1, says where they act.
    """

    model: ControlModel
    positive: Tensor
    negative: Tensor
    weights: tuple[float, ...]
    window: tuple[float, float] = (0.0, 1.0)
    mask: Tensor | None = None


def image_tokens(model: ControlModel, encoder: ImageEncoder, pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The tokens of pictures, each (1, 3, height, width) from 0 to 1, and of what stands for them in rows of negative
    prompts: a vector of zeros, or a black picture where an adapter takes the encoder's states.

    Raises:
        RequestError: the encoder is not the one that the adapter was trained with.
    """
    adapter = _adapter(model)
    views = [_taken(adapter, encoder.encode(picture)) for picture in pictures]
    black = _taken(adapter, encoder.encode(torch.zeros_like(pictures[0]))) if adapter.wants_states else None
    nothing = torch.zeros_like(views[0]) if black is None else black
    try:
        with torch.no_grad():
            tokens = [adapter.projection(view.to(adapter.weight)) for view in (*views, nothing)]
    except RuntimeError as error:
        raise RequestError(
            f"{model.path.name} was not trained with the image encoder {encoder.path.name}: choose the one of its name "
            "(CLIP-H for SD1 and vit-h, CLIP-bigG for SDXL)."
        ) from error
    return torch.cat(tokens[:-1], dim=1), tokens[-1].repeat(1, len(views), 1)


def _taken(adapter: ImageAdapter, view: ImageView) -> Tensor:
    return view.states if adapter.wants_states else view.vector


class ImagePrompts(PassHook):
    """The pictures that IP-Adapters show in a pass of `steps`."""

    def __init__(self, prompts: Sequence[ImagePrompt], steps: int) -> None:
        self._prompts = tuple(prompts)
        self._steps = steps
        self._negative_rows = 0
        self._active = (True,) * len(self._prompts)
        self._cells = (0, 0)
        self._now = Conditioning(torch.zeros(0, 0, 0))
        self._masks: dict[tuple[int, torch.device], Tensor] = {}

    def begin_call(self, at: CallPosition) -> None:
        """Find out which pictures are shown."""
        self._active = tuple(is_within(prompt.window, at, self._steps) for prompt in self._prompts)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Nothing is added; but this says what the forward that follows is of."""
        self._now = conditioning
        self._negative_rows = conditioning.negative_rows
        self._cells = sample.shape[-2], sample.shape[-1]
        return None

    def patched(self, unet: UNet2DConditionModel) -> AbstractContextManager[None]:
        """While open, cross attention looks at the pictures.

        Raises:
            RequestError: an adapter is for another UNet.
        """
        for prompt in self._prompts:
            _check_fits(prompt, unet)
        return hooks_set(unet, lambda undo: self._set(unet, undo))

    def _set(self, unet: UNet2DConditionModel, undo: Undo) -> None:
        shown = [_keys_and_values(prompt) for prompt in self._prompts]
        for number, (group, block) in enumerate(blocks_in_files(unet)):
            assert block.attn2 is not None
            layers = [layer[number] for layer in shown]
            watching = _Watching(self, block.attn2.heads, layers, [prompt.weights[group] for prompt in self._prompts])
            undo(block.attn2.to_q.register_forward_hook(watching.take_query).remove)
            undo(block.attn2.to_out[0].register_forward_pre_hook(watching.add).remove)

    def seen(self, query: Tensor, heads: int, layers: Sequence[_ShownLayer], weights: Sequence[float]) -> Tensor | None:
        """What the pictures add to an attention with this query, (rows, tokens, channels)."""
        total: Tensor | None = None
        for active, prompt, layer, weight in zip(self._active, self._prompts, layers, weights, strict=True):
            if not active or not weight:
                continue
            made = layer.attended(query, heads, self._negative_rows) * weight
            if prompt.mask is not None:
                # Sent to the device once, not in each step.
                key = id(prompt), query.device
                if key not in self._masks:
                    self._masks[key] = prompt.mask.to(query.device)
                made = made * region_at(self._now.shown_of(self._masks[key]), self._cells, query)
            total = made if total is None else total + made
        return total


@dataclass(slots=True)
class _ShownLayer:
    """Keys and values of one adapter for one attention: of prompts' rows, then of negative prompts' ones.

    They are moved to where the UNet computes by their first use: its weights may lie elsewhere between forwards.
    """

    positive: tuple[Tensor, Tensor]
    negative: tuple[Tensor, Tensor]

    def attended(self, query: Tensor, heads: int, negative_rows: int) -> Tensor:
        if self.positive[0].device != query.device or self.positive[0].dtype != query.dtype:
            self.positive = self.positive[0].to(query), self.positive[1].to(query)
            self.negative = self.negative[0].to(query), self.negative[1].to(query)
        rows = query.shape[0] - negative_rows
        key, value = (
            torch.cat([one.expand(rows, -1, -1), other.expand(negative_rows, -1, -1)])
            for one, other in zip(self.positive, self.negative, strict=True)
        )
        query, key, value = (
            tensor.view(*tensor.shape[:2], heads, -1).transpose(1, 2) for tensor in (query, key, value)
        )
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


@dataclass(slots=True)
class _Watching:
    """The hooks on one attention."""

    prompts: ImagePrompts
    heads: int
    layers: list[_ShownLayer]
    weights: list[float]
    query: Tensor | None = None

    def take_query(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.query = output

    def add(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        query, self.query = self.query, None
        assert query is not None
        seen = self.prompts.seen(query, self.heads, self.layers, self.weights)
        return None if seen is None else (inputs[0] + seen.to(inputs[0]), *inputs[1:])


def _keys_and_values(prompt: ImagePrompt) -> list[_ShownLayer]:
    adapter = _adapter(prompt.model)
    with torch.no_grad():
        both = [adapter.keys_and_values(tokens.to(adapter.weight)) for tokens in (prompt.positive, prompt.negative)]
    return [_ShownLayer(one, other) for one, other in zip(*both, strict=True)]


def _check_fits(prompt: ImagePrompt, unet: UNet2DConditionModel) -> None:
    adapter, blocks = _adapter(prompt.model), blocks_in_files(unet)
    text = unet_config(unet).cross_attention_dim
    widths = [block.attn2.to_q.out_features for _, block in blocks if block.attn2 is not None]
    if [layer.out_features for layer in adapter.to_k] != widths or adapter.to_k[0].in_features != text:
        raise RequestError(
            f"{prompt.model.path.name} is an IP-Adapter for another kind of UNet: choose another model in the unit."
        )
    if len(prompt.weights) != attention_count(unet).total:
        raise RequestError(
            f"An IP-Adapter takes {attention_count(unet).total} weights with this checkpoint, and "
            f"{len(prompt.weights)} are given."
        )


def _adapter(model: ControlModel) -> ImageAdapter:
    assert isinstance(model.module, ImageAdapter)
    return model.module
