"""A checkpoint's UNet, or its transformer, as the function that sampling calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from modules.generation.flux import flux_added, flux_forward
from modules.generation.flux2 import flux2_forward
from modules.generation.z_image import z_image_forward
from modules.hardware.graphs import Forward, StepGraphs
from modules.hardware.model_configs import DenoiserModule, unet_config
from modules.parameters import RequestError
from modules.sampling import TEXT_LENGTH, Conditioning, UNet, UnetResiduals
from modules.weights.model import Model

# What SDXL's UNet takes beside the text, by diffusers' names: see `generation/conditions.py`.
_ADDED: Final = ("text_embeds", "time_ids")


@dataclass(frozen=True, slots=True)
class _Transformer:
    """How a transformer is called in a UNet's place: what makes its forward, and what it takes beside the text, which
    may depend on the one.
    """

    forward: Callable[..., Forward]
    added: Callable[..., tuple[str, ...]] = lambda _: ()


_TRANSFORMERS: Final[Mapping[type[DenoiserModule], _Transformer]] = {
    ZImageTransformer2DModel: _Transformer(z_image_forward, lambda _: (TEXT_LENGTH,)),
    FluxTransformer2DModel: _Transformer(flux_forward, flux_added),
    Flux2Transformer2DModel: _Transformer(flux2_forward),
}

# What is added inside a forward over (sample, timesteps, conditioning): see `unet_function`. None adds nothing.
Residuals = Callable[[Tensor, Tensor, Conditioning], UnetResiduals | None]


def unet_function(
    unet: DenoiserModule,
    *,
    channels_last: bool,
    forward: Forward | None = None,
    residuals: Residuals | None = None,
) -> UNet:
    """`unet` as (x, timesteps, conditioning) -> raw prediction, cast to its type and memory layout and back to float32.

    x is (rows, channels, height, width); timesteps (rows,) may be fractional. `forward` may stand for its forward.
    `residuals` is called before each forward, and says what is added inside it.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = unet.dtype
    predict = forward or forward_of(unet)
    names = _added_to(unet)

    def call(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        sample = x.to(dtype=dtype, memory_format=layout)
        added = (conditioning.added[name] for name in names)
        inside = None if residuals is None else residuals(sample, timesteps, conditioning)
        answer = predict(sample, timesteps, conditioning.context, *added, *_flat(inside))
        return answer.to(torch.float32, memory_format=torch.contiguous_format)

    return call


def rows_apart(unet: UNet) -> UNet:
    """`unet` called for the rows of prompts and for those of negative prompts one after the other."""

    def apart(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows = conditioning.rows - conditioning.negative_rows
        if not 0 < rows < conditioning.rows:
            return unet(x, timesteps, conditioning)
        parts = ((0, rows), (rows, conditioning.rows))
        return torch.cat([unet(x[a:b], timesteps[a:b], conditioning.slice(a, b)) for a, b in parts])

    return apart


def unet_of(model: Model) -> UNet2DConditionModel:
    """The UNet that features work inside of. Raises RequestError where there is none."""
    if isinstance(model.unet, UNet2DConditionModel):
        unet: UNet2DConditionModel = model.unet
        return unet
    raise RequestError(
        f"{model.path.name} is a {model.family.label} model, which has no UNet that guidance inside of one, ControlNet "
        "or other features could work in: turn them off, or choose another checkpoint."
    )


def forward_of(unet: DenoiserModule) -> Forward:
    """`unet` as (sample, timesteps, context, what it takes beside the text, residuals) -> prediction, in its own type.

    All are tensors, so that a recorded forward can be given others: residuals are `UnetResiduals` in a row.
    """
    if not isinstance(unet, UNet2DConditionModel):
        return _TRANSFORMERS[type(unet)].forward(unet)
    names, skips = _added_to(unet), skip_count(unet)

    def forward(sample: Tensor, timesteps: Tensor, context: Tensor, *others: Tensor) -> Tensor:
        beside = dict(zip(names, others, strict=False)) if names else None
        prediction: Tensor = unet(
            sample,
            timesteps,
            encoder_hidden_states=context,
            added_cond_kwargs=beside,
            **_unflat(others[len(names) :], skips),
            return_dict=False,
        )[0]
        return prediction

    return forward


def skip_count(unet: UNet2DConditionModel) -> int:
    """How many skip connections `unet` has: its first layer's, and those of each level on the way down."""
    layers = unet_config(unet).layers_per_block
    levels = len(unet_config(unet).block_out_channels)
    return levels + (layers * levels if isinstance(layers, int) else sum(layers))


def _flat(inside: UnetResiduals | None) -> tuple[Tensor, ...]:
    if inside is None:
        return ()
    return (*inside.skips, *(() if inside.middle is None else (inside.middle,)), *inside.features)


def _unflat(inside: tuple[Tensor, ...], skips: int) -> dict[str, object]:
    """As diffusers' forward takes residuals. A UNet has fewer levels, and so features, than skip connections."""
    if not inside:
        return {}
    taken: dict[str, object] = {}
    if len(inside) > skips:
        taken = {"down_block_additional_residuals": inside[:skips], "mid_block_additional_residual": inside[skips]}
        inside = inside[skips + 1 :]
    # diffusers takes them off this list.
    return taken | ({"down_intrablock_additional_residuals": list(inside)} if inside else {})


def _added_to(unet: DenoiserModule) -> tuple[str, ...]:
    if not isinstance(unet, UNet2DConditionModel):
        return _TRANSFORMERS[type(unet)].added(unet)
    return _ADDED if unet_config(unet).addition_embed_type == "text_time" else ()


@contextmanager
def replayed(unet: DenoiserModule, graphs: StepGraphs | None) -> Iterator[Forward]:
    """The forward for the steps of one pass: recorded and replayed if there are `graphs`.

    While this is open nothing that the forward depends on may change: weights, attention, padding, merged tokens.
    """
    forward = forward_of(unet)
    if graphs is None:
        yield forward
        return
    with graphs.replaying(forward) as call:
        yield call
