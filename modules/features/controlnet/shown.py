"""Units whose picture is shown to the UNet itself: as a reference, as colours, or where nothing is painted."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.declare import UnitArguments
from modules.features.controlnet.preprocessors.declare import find_preprocessor, slider_values
from modules.generation.control.held import ColourPicture, HeldPicture, painted_cells
from modules.generation.control.reference import ReferencePicture, style_fidelity
from modules.generation.encoding import to_tensor
from modules.generation.pipeline import PassContext
from modules.parameters.control import ControlMode

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


def reference_picture(
    unit: UnitArguments, picture: RgbArray, context: PassContext, mask: Tensor | None
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
    return ReferencePicture(latent, noise, unit.weight, fidelity, unit.window, attends, matches, mask)


def colour_picture(unit: UnitArguments, picture: RgbArray, context: PassContext) -> ColourPicture:
    """A unit's picture at the size of the pass, [height, width, 3], as colours for its steps."""
    preprocessor = find_preprocessor(unit.module)
    variation, sharpness = slider_values(preprocessor, unit.threshold_a, unit.threshold_b)
    reach = int(variation) * (2 if context.is_hires else 1)
    sharp = sharpness if COLOUR_FIXES[unit.module] else 0.0
    return ColourPicture(_latent(picture, context), reach, sharp, unit.weight, unit.window)


def held_picture(unit: UnitArguments, masked: RgbArray, context: PassContext) -> HeldPicture:
    """A unit's picture with its mask at the size of the pass, [height, width, 4], as what its steps hold on to."""
    mask = torch.from_numpy((masked[:, :, 3] > 127).astype(np.float32))[None, None]
    begins = HOLDERS[unit.module] and context.work.spec.strength is None
    share = float(context.pipeline.model.noise.alphas_cumprod()[-1]) if begins else None
    return HeldPicture(_latent(masked[:, :, :3], context), painted_cells(mask), unit.weight, unit.window, share)


def _latent(picture: RgbArray, context: PassContext) -> Tensor:
    """The scaled latent of [height, width, 3], (1, channels, height / 8, width / 8)."""
    image = Image.fromarray(np.ascontiguousarray(picture), "RGB")
    return context.pipeline.codec.encode(context.pipeline.model, to_tensor([image]))
