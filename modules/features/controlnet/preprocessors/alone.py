"""A preprocessor's map alone, without a job that it guides; and poses that somebody made, drawn as one."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from modules.features.controlnet.hint import control_source
from modules.features.controlnet.poses.declare import PoseError, poses_as_json, poses_of_json
from modules.features.controlnet.poses.drawing import draw_poses
from modules.features.controlnet.preprocessors.declare import find_preprocessor
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.parameters import RequestError
from modules.parameters.extras_request import PreprocessRequest

# Channels of a map that carries its mask.
_WITH_MASK: Final = 4


class MadeMap(NamedTuple):
    """A map, and the poses that it shows as OpenPose's JSON, "" for a map of anything else."""

    picture: Image.Image
    poses: str = ""


def preprocessed(picture: Image.Image, wanted: PreprocessRequest, preprocessors: Preprocessors) -> MadeMap:
    """A picture's map, of the preprocessor's own size; what is masked in it is half transparent.

    Raises ModelNotFoundError, ModelFileError.
    """
    settings = Settings(resolution=wanted.resolution, threshold_a=wanted.threshold_a, threshold_b=wanted.threshold_b)
    preprocessor = find_preprocessor(wanted.module)
    mask = picture.getchannel("A") if wanted.masked and "A" in picture.getbands() else None
    source = control_source(
        picture if mask is None else picture.convert("RGBA").convert("RGB"), mask, takes_mask=preprocessor.takes_mask
    )
    posed = preprocessors.posed(preprocessor, source.picture, settings)
    if posed is None:
        found = preprocessors.run(preprocessor, source.picture, settings, source.mask)
        if source.mask is not None and found.shape[2] == _WITH_MASK:
            return MadeMap(Image.fromarray(np.dstack([found[:, :, :3], 255 - found[:, :, 3] // 2]), "RGBA"))
        return MadeMap(Image.fromarray(np.ascontiguousarray(found[:, :, :3]), "RGB"))
    drawn, poses = posed
    made = Image.fromarray(drawn, "RGB")
    return MadeMap(made, json.dumps(poses_as_json(poses, made.width, made.height)))


def rendered(text: str) -> MadeMap:
    """The poses of OpenPose's JSON drawn on its canvas. Raises RequestError for what is none."""
    try:
        poses, width, height = poses_of_json(json.loads(text))
    except (ValueError, PoseError) as error:
        raise RequestError(str(error)) from error
    return MadeMap(Image.fromarray(draw_poses(poses, width, height), "RGB"), text)
