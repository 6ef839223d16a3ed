"""Units whose picture is shown as it is: by IP-Adapters as tokens, as a reference through the UNet itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.declare import UnitArguments
from modules.features.controlnet.preprocessors.declare import find_preprocessor, slider_values
from modules.features.running import FeatureJob
from modules.files import FileState, found_file, walk_folders
from modules.generation.control.attentions import attention_count
from modules.generation.control.held import ColourPicture, HeldPicture, painted_cells
from modules.generation.control.image_prompts import ImagePrompt, image_tokens
from modules.generation.control.reference import ReferencePicture, style_fidelity
from modules.generation.encoding import to_tensor
from modules.generation.pipeline import PassContext
from modules.parameters import RequestError
from modules.parameters.control import ControlMode, ImageWeightType
from modules.sampling.image_weights import image_weights
from modules.weights.control.image_encoder import ImageEncoder, read_image_encoder
from modules.weights.control.reading import ControlModel

# Preprocessors that look at the picture through the UNet: whether attention does, and whether channels are matched.
REFERENCES: Final = {
    "reference_only": (True, False),
    "reference_adain": (False, True),
    "reference_adain+attn": (True, True),
}
_FIDELITY: Final = 0.5
# Preprocessors whose pictures give the steps their colours: whether what is finer is made stronger.
COLOUR_FIXES: Final = {"tile_colorfix": False, "tile_colorfix+sharp": True}
# Preprocessors whose pictures stay where nothing is painted: whether the run starts from them.
HOLDERS: Final = {"inpaint_only": False, "inpaint_only+lama": True}
_SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".bin")


def reference_picture(
    unit: UnitArguments, picture: RgbArray, context: PassContext, window: tuple[float, float], mask: Tensor | None
) -> ReferencePicture:
    """A unit's picture at the size of the pass, [height, width, 3], as what the UNet looks at."""
    model = context.pipeline.model
    latent = _latent(picture, context)
    seed = context.resolved.seeds[context.images.start] & 0xFFFFFFFFFFFFFFF
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).to(latent)
    attends, matches = REFERENCES[unit.module]
    fidelity = style_fidelity(
        _FIDELITY if unit.threshold_a < 0 else unit.threshold_a,
        ControlMode(unit.control_mode),
        hires=context.is_hires,
        xl=bool(model.family.added_numbers),
    )
    return ReferencePicture(latent, noise, unit.weight, fidelity, window, attends, matches, mask)


def colour_picture(
    unit: UnitArguments, picture: RgbArray, context: PassContext, window: tuple[float, float]
) -> ColourPicture:
    """A unit's picture at the size of the pass, [height, width, 3], as colours for its steps."""
    preprocessor = find_preprocessor(unit.module)
    variation, sharpness = slider_values(preprocessor, unit.threshold_a, unit.threshold_b)
    reach = int(variation) * (2 if context.is_hires else 1)
    sharp = sharpness if COLOUR_FIXES[unit.module] else 0.0
    return ColourPicture(_latent(picture, context), reach, sharp, unit.weight, window)


def held_picture(
    unit: UnitArguments, masked: RgbArray, context: PassContext, window: tuple[float, float]
) -> HeldPicture:
    """A unit's picture with its mask at the size of the pass, [height, width, 4], as what its steps hold on to."""
    mask = torch.from_numpy((masked[:, :, 3] > 127).astype(np.float32))[None, None]
    begins = HOLDERS[unit.module] and context.work.spec.strength is None
    share = float(context.pipeline.model.noise.alphas_cumprod()[-1]) if begins else None
    return HeldPicture(_latent(masked[:, :, :3], context), painted_cells(mask), unit.weight, window, share)


def _latent(picture: RgbArray, context: PassContext) -> Tensor:
    """The scaled latent of [height, width, 3], (1, channels, height / 8, width / 8)."""
    image = Image.fromarray(np.ascontiguousarray(picture), "RGB")
    return context.pipeline.codec.encode(context.pipeline.model, to_tensor([image]))


def image_prompt(
    job: FeatureJob,
    unit: UnitArguments,
    model: ControlModel,
    picture: RgbArray,
    context: PassContext,
    window: tuple[float, float],
    mask: Tensor | None,
) -> ImagePrompt:
    """A unit's picture as an IP-Adapter shows it. Raises RequestError where no image encoder for it is here."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
    positive, negative = _tokens(job, model, pixels, context.pipeline.model.unet.dtype)
    own = tuple(weight * unit.weight for weight in unit.weights)
    count = attention_count(context.pipeline.model.unet)
    kind, composition = ImageWeightType(unit.weight_type), unit.composition_weight
    weights = own or image_weights(kind, unit.weight, count, composition=composition)
    return ImagePrompt(model, positive, negative, weights, window, mask)


def _tokens(job: FeatureJob, model: ControlModel, pixels: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """By the first image encoder that the adapter was trained with: which one it is, its file doesn't say."""
    files = [found.path for found in walk_folders(job.folders.clip_vision, _SUFFIXES)]
    refused: RequestError | None = None
    for path in files:
        try:
            return image_tokens(model, _encoder(job, path, dtype), [pixels])
        except RequestError as error:
            refused = error
    if refused is not None:
        raise refused
    folder = next(iter(job.folders.clip_vision), "models/clip_vision")
    raise RequestError(
        f"{model.path.name} needs an image encoder, and there is none: put CLIP-H or CLIP-bigG, as the adapter "
        f"wants it, into {folder}."
    )


def _encoder(job: FeatureJob, path: Path, dtype: torch.dtype) -> ImageEncoder:
    found = found_file(path)
    state = found.state if found else FileState(0, 0)
    return job.shared.get("image encoders", (path, state, dtype), lambda: read_image_encoder(path, dtype=dtype), 1)
