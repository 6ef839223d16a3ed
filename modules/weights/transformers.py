"""The transformers that stand in a UNet's place: how each is made and where its parameters lie, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

from modules.catalogue.tensor_shapes import Shapes
from modules.families import DenoiserKind
from modules.hardware.model_configs import TransformerModule
from modules.weights.flux import flux_original, flux_source, infer_flux, x_flux_name
from modules.weights.flux2 import flux2_original, flux2_source, infer_flux2
from modules.weights.original_names import TensorSource
from modules.weights.z_image import infer_z_image, z_image_original, z_image_source


class DenoiserShape(Protocol):
    """What the shapes of a denoiser's weights say, whatever it is made of."""

    @property
    def in_channels(self) -> int: ...

    @property
    def out_channels(self) -> int: ...

    @property
    def context_dim(self) -> int: ...

    @property
    def pooled_dim(self) -> int:
        """Channels of the vector of the whole text that it takes by itself; 0 where it takes none so."""


class TransformerShape(DenoiserShape, Protocol):
    """What the shapes of a transformer's weights say."""

    def config(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class TransformerFiles:
    """One kind of transformer in its files.

    `make` takes what `infer` finds in the shapes of a file. `source` says where a parameter lies in a file of these
    shapes, in whichever layout, `original` where it lies in the original one, which networks are named by, `trained`
    what else a trainer calls the layer of a weight, None for nothing.
    """

    make: Callable[..., TransformerModule]
    infer: Callable[[Shapes], TransformerShape]
    source: Callable[[str, Shapes], TensorSource]
    original: Callable[[str], TensorSource]
    trained: Callable[[str], TensorSource | None] = lambda name: None


TRANSFORMERS: Final[Mapping[DenoiserKind, TransformerFiles]] = {
    "z_image": TransformerFiles(ZImageTransformer2DModel, infer_z_image, z_image_source, z_image_original),
    "flux": TransformerFiles(FluxTransformer2DModel, infer_flux, flux_source, flux_original, x_flux_name),
    "flux2": TransformerFiles(Flux2Transformer2DModel, infer_flux2, flux2_source, flux2_original),
}
