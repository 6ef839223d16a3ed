"""Units whose picture a CLIP looks at: IP-Adapters, styles, and pictures in the place of SDXL's whole text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.refusals import shown_text_refusal
from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.declare import UnitArguments
from modules.features.controlnet.preprocessors.declare import REVISIONS, find_preprocessor, slider_values
from modules.features.running import FeatureJob
from modules.files import FileState, found_file, walk_folders
from modules.generation.control.attentions import attention_count
from modules.generation.control.image_prompts import ImagePrompt, image_tokens
from modules.generation.control.picture_texts import Revision, ShownStyle, noised_vector
from modules.generation.pipeline import PassContext
from modules.parameters import RequestError
from modules.parameters.control import ImageWeightType
from modules.sampling.image_weights import image_weights
from modules.weights.control.image_encoder import EncoderWidths, ImageEncoder, encoder_widths, read_image_encoder
from modules.weights.control.ip_adapter import ImageAdapter
from modules.weights.control.reading import ControlModel
from modules.weights.control.style import StyleAdapter

_SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".bin")
ENCODERS: Final = "image encoders"
"""The kind under which a `SharedCache` stores image encoders, by (path, state of the file, data type)."""
# Whether an image encoder of these widths is meant.
Fits = Callable[[EncoderWidths], bool]
# Below the folders of annotators, where A1111's extension has its downloads.
_DOWNLOADS: Final = "clip_vision"


def image_prompt(
    job: FeatureJob,
    unit: UnitArguments,
    model: ControlModel,
    pictures: Sequence[RgbArray],
    context: PassContext,
    mask: Tensor | None,
) -> ImagePrompt:
    """A unit's pictures as an IP-Adapter shows them. Raises RequestError where no image encoder for it is here."""
    adapter, dtype = model.module, context.pipeline.model.unet.dtype
    assert isinstance(adapter, ImageAdapter)
    fits = fits_adapter(adapter.wants_states, adapter.view_width)
    encoder = _encoder(job, dtype, fits, f"{model.path.name} needs", "CLIP-H or CLIP-bigG, as the adapter wants it")
    with job.on_device(encoder):
        positive, negative = image_tokens(model, encoder, [_pixels(picture) for picture in pictures])
    own = tuple(weight * unit.weight for weight in unit.weights)
    count = attention_count(context.pipeline.model.unet)
    kind, composition = ImageWeightType(unit.weight_type), unit.composition_weight
    weights = own or image_weights(kind, unit.weight, count, composition=composition)
    return ImagePrompt(model, positive, negative, weights, unit.window, mask)


def shown_style(
    job: FeatureJob, unit: UnitArguments, model: ControlModel, pictures: Sequence[RgbArray], context: PassContext
) -> ShownStyle:
    """A unit's pictures as tokens of their style. Raises RequestError where no image encoder for it is here."""
    adapter, dtype = model.module, context.pipeline.model.unet.dtype
    assert isinstance(adapter, StyleAdapter)
    if adapter.text_width != context.pipeline.model.context_dim:
        raise RequestError(f"{model.path.name} is for texts of another width: choose another model in the unit.")
    encoder = _encoder(job, dtype, fits_style(adapter.width), f"{model.path.name} needs", "CLIP-ViT-L (clip_vitl.pth)")
    with torch.no_grad(), job.on_device(encoder):
        tokens = [adapter(encoder.encode(_pixels(one)).last_states.to(adapter.proj)) for one in pictures]
    return ShownStyle(torch.cat(tokens, dim=1) * unit.weight, unit.window)


def revision(job: FeatureJob, unit: UnitArguments, pictures: Sequence[RgbArray], context: PassContext) -> Revision:
    """A unit's pictures in the place of SDXL's whole text.

    Raises RequestError for another family, and where no image encoder for it is here.
    """
    model = context.pipeline.model
    refusal = shown_text_refusal(unit.module, model.family, model.path.name)
    if refusal is not None:
        raise RequestError(refusal)
    fits = fits_text(model.text_widths[-1])
    encoder = _encoder(job, model.unet.dtype, fits, f"{unit.module} needs", "CLIP-bigG (clip_g.pth)")
    share, _ = slider_values(find_preprocessor(unit.module), unit.threshold_a, unit.threshold_b)
    seed = context.resolved.seeds[context.images.start]
    with job.on_device(encoder):
        vectors = [noised_vector(encoder.encode(_pixels(one)).vector, share, seed) for one in pictures]
    return Revision(torch.stack(vectors).sum(0) * unit.weight, REVISIONS[unit.module], unit.window)


def _pixels(picture: RgbArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _encoder(job: FeatureJob, dtype: torch.dtype, fits: Fits, who: str, which: str) -> ImageEncoder:
    path = find_encoder(job.folders, fits)
    if path is not None:
        return _read(job, path, dtype)
    folder = next(iter(_folders(job.folders)), "models/clip_vision")
    raise RequestError(f"{who} an image encoder that is not here: put {which}, into {folder}.")


def find_encoder(folders: ModelFolders, fits: Fits) -> Path | None:
    """The first image encoder of the right widths: which one somebody trained with, no file says."""
    for path in (found.path for found in walk_folders(_folders(folders), _SUFFIXES)):
        try:
            if fits(encoder_widths(path)):
                return path
        except ModelFileError:
            # Whatever else lies there.
            continue
    return None


def _folders(folders: ModelFolders) -> tuple[Path, ...]:
    return (*folders.clip_vision, *(folder / _DOWNLOADS for folder in folders.annotators))


def fits_adapter(wants_states: bool, width: int) -> Fits:
    """Which image encoders give what an IP-Adapter takes: states, or a vector, of that width."""
    return lambda widths: (widths.states if wants_states else widths.vector) == width


def fits_style(width: int) -> Fits:
    """Which image encoders give states of that width."""
    return lambda widths: widths.states == width


def fits_text(width: int) -> Fits:
    """Which image encoders give a vector that can stand for a text's."""
    return lambda widths: widths.vector == width


def _read(job: FeatureJob, path: Path, dtype: torch.dtype) -> ImageEncoder:
    found = found_file(path)
    state = found.state if found else FileState(0, 0)
    return job.shared.get(ENCODERS, (path, state, dtype), lambda: read_image_encoder(path, dtype=dtype), 1)
