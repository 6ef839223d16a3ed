"""Pictures that continue over their own edges: every convolution sees the opposite edge instead of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from modules.weights.model import Model


@contextmanager
def edges_joined(model: Model, wanted: bool) -> Iterator[None]:
    """While open and `wanted`, the convolutions of UNet and VAE pad circularly, as A1111's tiling does."""
    layers = [
        layer for part in (model.unet, model.vae) for layer in part.modules() if wanted and isinstance(layer, nn.Conv2d)
    ]
    before = [layer.padding_mode for layer in layers]
    for layer in layers:
        layer.padding_mode = "circular"
    try:
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.padding_mode = mode
