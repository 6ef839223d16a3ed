"""Which network computes which preprocessor's map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from modules.features.controlnet.arrays import Floats, RgbArray, cut_to_bytes, three_channels
from modules.features.controlnet.poses.declare import Pose
from modules.features.controlnet.poses.drawing import draw_animals, draw_poses
from modules.features.controlnet.preprocessors.nets.anyline import anyline
from modules.features.controlnet.preprocessors.nets.depth_anything import (
    depth_anything,
    load_depth_anything,
    load_depth_anything_v2,
)
from modules.features.controlnet.preprocessors.nets.dwpose import AnimalPose, DwPose
from modules.features.controlnet.preprocessors.nets.hed import hed_edges, load_hed
from modules.features.controlnet.preprocessors.nets.lama import lama_filled, load_lama
from modules.features.controlnet.preprocessors.nets.leres import leres_depth, load_leres
from modules.features.controlnet.preprocessors.nets.lineart import lineart, load_lineart
from modules.features.controlnet.preprocessors.nets.lineart_anime import lineart_anime, load_lineart_anime
from modules.features.controlnet.preprocessors.nets.manga_line import load_manga_line, manga_lines
from modules.features.controlnet.preprocessors.nets.midas import load_midas, midas_map, midas_normals
from modules.features.controlnet.preprocessors.nets.mlsd import load_mlsd, mlsd
from modules.features.controlnet.preprocessors.nets.normal_bae import load_normal_bae, normal_bae
from modules.features.controlnet.preprocessors.nets.oneformer import Sides, load_oneformer, oneformer_labels
from modules.features.controlnet.preprocessors.nets.palettes import ADE20K, COCO
from modules.features.controlnet.preprocessors.nets.pidinet import load_pidinet, pidinet
from modules.features.controlnet.preprocessors.nets.teed import load_teed, teed_edges
from modules.features.controlnet.preprocessors.nets.zoe import load_zoe, zoe_depth
from modules.features.controlnet.preprocessors.pixels import safe_steps, scribble_of

if TYPE_CHECKING:
    from transformers import OneFormerModel

_SKETCH: Final = 0.5


@dataclass(frozen=True, slots=True)
class MapNetwork:
    """How to get a network from its files, and a map from it, a picture and the sliders A and B.

    What `load` returns only `use` of the same entry gets to see.
    """

    load: Callable[[Sequence[Path], torch.device], Any]
    use: Callable[[Any, RgbArray, float, float], RgbArray]
    poses: Callable[[Any, RgbArray], list[Pose]] | None = None
    """The poses that the map is drawn from, where it is drawn from such."""


def _of_one_file(load: Callable[[Path, torch.device], Any]) -> Callable[[Sequence[Path], torch.device], Any]:
    return lambda files, device: load(files[0], device)


def _load_pose(files: Sequence[Path], _device: torch.device) -> DwPose:
    return DwPose(files[0], files[1])


def _soft(edges: Floats) -> RgbArray:
    return three_channels(cut_to_bytes(edges * 255))


def _scribble(edges: Floats) -> RgbArray:
    return three_channels(scribble_of(cut_to_bytes(edges * 255)))


def _safe(edges: Floats, steps: float = 2) -> RgbArray:
    return _soft(safe_steps(edges, round(steps)) if steps else edges)


def _sketch(edges: Floats) -> RgbArray:
    return _soft((edges > _SKETCH).astype(np.float32))


def _load_animals(files: Sequence[Path], _device: torch.device) -> AnimalPose:
    return AnimalPose(files[0], files[1])


def _animals(net: AnimalPose, picture: RgbArray, _a: float, _b: float) -> RgbArray:
    return draw_animals(net(picture), picture.shape[1], picture.shape[0])


def _posed(*, body: bool, hands: bool, face: bool) -> MapNetwork:
    """What finds poses and draws the chosen parts of them."""

    def found(net: DwPose, picture: RgbArray) -> list[Pose]:
        return [chosen_parts(pose, body=body, hands=hands, face=face) for pose in net(picture)]

    def drawn(net: DwPose, picture: RgbArray, _a: float, _b: float) -> RgbArray:
        return draw_poses(found(net, picture), picture.shape[1], picture.shape[0])

    return MapNetwork(_load_pose, drawn, found)


def chosen_parts(pose: Pose, *, body: bool, hands: bool, face: bool) -> Pose:
    """A pose with some of its parts only."""
    left, right = (pose.left_hand, pose.right_hand) if hands else ((), ())
    return Pose(body=pose.body if body else (), left_hand=left, right_hand=right, face=pose.face if face else ())


def _labels(palette: RgbArray, sides: Sides) -> MapNetwork:
    """What shows the class of each place."""

    def drawn(net: OneFormerModel, picture: RgbArray, _a: float, _b: float) -> RgbArray:
        return oneformer_labels(net, picture, palette, sides)

    return MapNetwork(_of_one_file(load_oneformer), drawn)


_HED, _PIDINET = _of_one_file(load_hed), _of_one_file(load_pidinet)
_TEED, _MIDAS = _of_one_file(load_teed), _of_one_file(load_midas)
_LINEART: Final = MapNetwork(
    _of_one_file(load_lineart), lambda net, picture, _a, _b: three_channels(lineart(net, picture))
)

NETWORKS: Final[Mapping[str, MapNetwork]] = {
    "hed": MapNetwork(_HED, lambda net, picture, _a, _b: _soft(hed_edges(net, picture))),
    "hed_safe": MapNetwork(_HED, lambda net, picture, _a, _b: _safe(hed_edges(net, picture))),
    "scribble_hed": MapNetwork(_HED, lambda net, picture, _a, _b: _scribble(hed_edges(net, picture))),
    "pidinet": MapNetwork(_PIDINET, lambda net, picture, _a, _b: _soft(pidinet(net, picture))),
    "pidinet_safe": MapNetwork(_PIDINET, lambda net, picture, _a, _b: _safe(pidinet(net, picture))),
    "pidinet_scribble": MapNetwork(_PIDINET, lambda net, picture, _a, _b: _scribble(pidinet(net, picture))),
    "pidinet_sketch": MapNetwork(_PIDINET, lambda net, picture, _a, _b: _sketch(pidinet(net, picture))),
    "softedge_teed": MapNetwork(_TEED, lambda net, picture, a, _b: _safe(teed_edges(net, picture), a)),
    "softedge_anyline": MapNetwork(_TEED, lambda net, picture, _a, _b: three_channels(anyline(net, picture))),
    "lineart": _LINEART,
    "lineart_coarse": _LINEART,
    "lineart_anime": MapNetwork(
        _of_one_file(load_lineart_anime), lambda net, picture, _a, _b: three_channels(lineart_anime(net, picture))
    ),
    "lineart_anime_denoise": MapNetwork(
        _of_one_file(load_manga_line), lambda net, picture, _a, _b: three_channels(manga_lines(net, picture))
    ),
    "mlsd": MapNetwork(_of_one_file(load_mlsd), lambda net, picture, a, b: three_channels(mlsd(net, picture, a, b))),
    "depth": MapNetwork(_MIDAS, lambda net, picture, _a, _b: three_channels(midas_map(net, picture))),
    "normal_map": MapNetwork(_MIDAS, lambda net, picture, a, _b: midas_normals(net, picture, a)),
    "normal_bae": MapNetwork(_of_one_file(load_normal_bae), lambda net, picture, _a, _b: normal_bae(net, picture)),
    "depth_zoe": MapNetwork(
        _of_one_file(load_zoe), lambda net, picture, _a, _b: three_channels(zoe_depth(net, picture))
    ),
    "depth_leres": MapNetwork(
        _of_one_file(load_leres), lambda net, picture, a, b: three_channels(leres_depth(net, picture, a, b))
    ),
    "depth_anything": MapNetwork(
        _of_one_file(load_depth_anything), lambda net, picture, _a, _b: three_channels(depth_anything(net, picture))
    ),
    "depth_anything_v2": MapNetwork(
        _of_one_file(load_depth_anything_v2),
        lambda net, picture, _a, _b: three_channels(depth_anything(net, picture)),
    ),
    "oneformer_ade20k": _labels(ADE20K, Sides(640, 2560)),
    "oneformer_coco": _labels(COCO, Sides(800, 1333)),
    # Its pictures have their mask as a fourth channel.
    "inpaint_only+lama": MapNetwork(_of_one_file(load_lama), lambda net, picture, _a, _b: lama_filled(net, picture)),
    "animal_openpose": MapNetwork(_load_animals, _animals),
    **{
        name: _posed(body=body, hands=hands, face=face)
        for name, (body, hands, face) in {
            "dw_openpose_full": (True, True, True),
            "openpose_full": (True, True, True),
            "openpose": (True, False, False),
            "openpose_hand": (True, True, False),
            "openpose_face": (True, False, True),
            "openpose_faceonly": (False, False, True),
        }.items()
    },
}
