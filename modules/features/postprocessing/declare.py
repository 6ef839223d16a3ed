"""Operations of Extras on each picture that txt2img and img2img have finished, as scripts beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

# In the order of ExtrasRequest.resize_mode.
SCALES: Final = ("Scale by", "Scale to")


def _side(name: str, label: str) -> Argument:
    return Argument(name, label, 512, minimum=64, maximum=8192, step=8, most=16384)


def _visibility(label: str, default: float) -> Argument:
    return Argument("visibility", label, default, minimum=0, maximum=1, step=0.001)


# Names and places of the arguments are A1111's, whose API takes them as `alwayson_scripts`.
UPSCALE: Final = Script(
    "Upscale",
    arguments=(
        Argument("enabled", "Upscale", False, "checkbox"),
        Argument("upscale_mode", "Scale", SCALES[0], "radio", choices=SCALES),
        Argument("upscale_by", "Resize", 4.0, minimum=1, maximum=8, step=0.05, most=64),
        Argument("max_side_length", "Max side length", 0, minimum=0, maximum=8192, step=8, most=65535),
        _side("upscale_to_width", "Width"),
        _side("upscale_to_height", "Height"),
        Argument("upscale_crop", "Crop to fit", True, "checkbox"),
        Argument("upscaler_1_name", "Upscaler 1", "None", "dropdown", listed="upscalers"),
        Argument("upscaler_2_name", "Upscaler 2", "None", "dropdown", listed="upscalers"),
        Argument("upscaler_2_visibility", "Upscaler 2 visibility", 0.0, minimum=0, maximum=1, step=0.001),
    ),
    always_on=True,
    postprocesses=True,
    file="postprocessing_upscale.py",
)
GFPGAN: Final = Script(
    "GFPGAN",
    arguments=(Argument("enabled", "GFPGAN", False, "checkbox"), _visibility("GFPGAN visibility", 1.0)),
    always_on=True,
    postprocesses=True,
    file="postprocessing_gfpgan.py",
)
CODEFORMER: Final = Script(
    "CodeFormer",
    arguments=(
        Argument("enabled", "CodeFormer", False, "checkbox"),
        _visibility("CodeFormer visibility", 1.0),
        Argument("weight", "CodeFormer weight (0: strongest)", 0.0, minimum=0, maximum=1, step=0.001),
    ),
    always_on=True,
    postprocesses=True,
    file="postprocessing_codeformer.py",
)
POSTPROCESSING: Final = (UPSCALE, GFPGAN, CODEFORMER)


@dataclass(frozen=True, slots=True)
class UpscaleArguments(ScriptArguments):
    """How each finished picture is upscaled, as on the Extras tab: by a factor, or to a size in pixels."""

    script: ClassVar[Script] = UPSCALE
    upscale_mode: str
    upscale_by: float
    max_side_length: int
    upscale_to_width: int
    upscale_to_height: int
    upscale_crop: bool
    upscaler_1_name: str
    upscaler_2_name: str
    upscaler_2_visibility: float


@dataclass(frozen=True, slots=True)
class GfpganArguments(ScriptArguments):
    """How much of the restored faces is seen, from 0 to 1."""

    script: ClassVar[Script] = GFPGAN
    visibility: float


@dataclass(frozen=True, slots=True)
class CodeFormerArguments(ScriptArguments):
    """How much of the restored faces is seen, from 0 to 1, and CodeFormer's weight: at 0 it changes them most."""

    script: ClassVar[Script] = CODEFORMER
    visibility: float
    weight: float
