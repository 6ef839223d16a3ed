"""Every preprocessor there is: names, sliders, files. Knows no torch and no OpenCV.

Names and sliders are those of sd-webui-controlnet 1.1.455, labels where they differ.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from modules.features.controlnet.preprocessors.refused.declare import why_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Slider:
    """One of a preprocessor's numbers, as A1111's `module_list` describes it."""

    name: str
    default: float
    low: float
    high: float
    step: float

    def value(self, given: float | None) -> float:
        """`given`, or the default where that is None or outside of the range (-1 says "the default" in A1111's API)."""
        return self.default if given is None or not self.low <= given <= self.high else given

    def as_api(self) -> dict[str, str | float]:
        """The entry of `sliders` in A1111's `module_detail`."""
        return {"name": self.name, "value": self.default, "min": self.low, "max": self.high, "step": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A file of weights that people have: where A1111's downloads put it, below the folder of annotators.

    `others` are names of files of the same kind, which serve as well.
    """

    folder: str
    name: str
    others: tuple[str, ...] = ()


RESOLUTION: Final = Slider(name="Resolution", default=512, low=64, high=2048, step=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessor:
    """One preprocessor. `name` is the API's, `label` the page's."""

    name: str
    label: str = ""
    aliases: tuple[str, ...] = ()
    control_types: tuple[str, ...] = ()
    resolution: Slider | None = None
    threshold_a: Slider | None = None
    threshold_b: Slider | None = None
    files: tuple[WeightFile, ...] = ()
    """All of these are needed."""
    model_free: bool = False
    """Acts without a control model (reference_only)."""
    takes_mask: bool = False
    """Its map carries the mask as a fourth channel."""
    seen_by_clip: bool = False
    """An image encoder looks at its picture, which becomes no map."""
    is_random: bool = False
    """Its map is drawn by the picture's seed."""
    numbers_a_pixel: int = 512
    """32-bit numbers that its network holds at its peak for each pixel that it works on, on the safe side."""
    fixed_side: int | None = None
    """The shorter side at which its network works, whatever the resolution is."""

    @property
    def title(self) -> str:
        """What the page's list shows."""
        return self.label or self.name

    @property
    def sliders(self) -> tuple[Slider, ...]:
        """Those that it has, in the order of the API."""
        return tuple(one for one in (self.resolution, self.threshold_a, self.threshold_b) if one is not None)

    def as_api(self) -> dict[str, object]:
        """Its entry in `module_detail` of `/controlnet/module_list`."""
        return {"model_free": self.model_free, "sliders": [one.as_api() for one in self.sliders]}


_FIDELITY: Final = Slider(name='Style Fidelity (only for "Balanced" mode)', default=0.5, low=0, high=1, step=0.01)
_GAMMA: Final = Slider(name="Gamma Correction", default=1, low=0.1, high=2, step=0.001)
_VARIATION: Final = Slider(name="Variation", default=8, low=3, high=32, step=1)
_FROM_WHITE: Final = "(from white bg & black line)"

_WITHOUT_WEIGHTS: Final = (
    Preprocessor(name="none"),
    Preprocessor(name="invert", label=f"invert {_FROM_WHITE}", control_types=("Canny", "Lineart", "MLSD", "Scribble")),
    Preprocessor(
        name="threshold",
        resolution=RESOLUTION,
        threshold_a=Slider(name="Binarization Threshold", default=127, low=0, high=255, step=1),
    ),
    Preprocessor(
        name="canny",
        control_types=("Canny",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="Low Threshold", default=100, low=1, high=255, step=1),
        threshold_b=Slider(name="High Threshold", default=200, low=1, high=255, step=1),
    ),
    Preprocessor(
        name="blur_gaussian",
        control_types=("Tile",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="Sigma", default=9, low=0.01, high=64, step=0.01),
    ),
    Preprocessor(
        name="scribble_xdog",
        control_types=("Scribble",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="XDoG Threshold", default=32, low=1, high=64, step=1),
    ),
    Preprocessor(
        name="lineart_standard",
        label=f"lineart_standard {_FROM_WHITE}",
        control_types=("Lineart",),
        resolution=RESOLUTION,
    ),
    Preprocessor(
        name="tile_resample",
        control_types=("Tile",),
        threshold_a=Slider(name="Down Sampling Rate", default=1, low=1, high=8, step=0.01),
    ),
    Preprocessor(name="tile_colorfix", control_types=("Tile",), threshold_a=_VARIATION),
    Preprocessor(
        name="tile_colorfix+sharp",
        control_types=("Tile",),
        threshold_a=_VARIATION,
        threshold_b=Slider(name="Sharpness", default=1, low=0, high=2, step=0.01),
    ),
    Preprocessor(name="color", label="t2ia_color_grid", control_types=("T2I-Adapter",), resolution=RESOLUTION),
    Preprocessor(name="recolor_luminance", control_types=("Recolor",), threshold_a=_GAMMA),
    Preprocessor(name="recolor_intensity", control_types=("Recolor",), threshold_a=_GAMMA),
    Preprocessor(name="shuffle", control_types=("Shuffle",), is_random=True),
    Preprocessor(name="inpaint", label="inpaint_global_harmonious", control_types=("Inpaint",), takes_mask=True),
    Preprocessor(name="inpaint_only", control_types=("Inpaint",), takes_mask=True),
    *(
        Preprocessor(name=name, control_types=("Reference",), threshold_a=_FIDELITY, model_free=True)
        for name in ("reference_only", "reference_adain", "reference_adain+attn")
    ),
)

REVISIONS: Final = {"revision_clipvision": False, "revision_ignore_prompt": True}
"""Whose picture stands for SDXL's whole text, and whether the prompt is left out beside it."""
_IP_ADAPTER: Final = ("IP-Adapter",)
# Which encoder an adapter was trained with is seen by its tensors: these names say the same.
_SEEN_BY_CLIP: Final = (
    Preprocessor(
        name="clip_vision",
        label="t2ia_style_clipvision",
        control_types=("T2I-Adapter",),
        seen_by_clip=True,
    ),
    Preprocessor(name="ip-adapter-auto", control_types=_IP_ADAPTER, seen_by_clip=True),
    Preprocessor(
        name="ip-adapter_clip_h",
        aliases=("ip-adapter_clip_sd15", "ip-adapter_clip_sdxl_plus_vith", "CLIP-ViT-H (IPAdapter)"),
        control_types=_IP_ADAPTER,
        seen_by_clip=True,
    ),
    Preprocessor(
        name="ip-adapter_clip_g",
        aliases=("ip-adapter_clip_sdxl", "CLIP-ViT-bigG (IPAdapter)"),
        control_types=_IP_ADAPTER,
        seen_by_clip=True,
    ),
    *(
        Preprocessor(
            name=name,
            control_types=("Revision",),
            threshold_a=Slider(name="Noise Augmentation", default=0, low=0, high=1, step=0.01),
            model_free=True,
            seen_by_clip=True,
        )
        for name in REVISIONS
    ),
)

_HED: Final = (WeightFile(folder="hed", name="ControlNetHED.pth"),)
_HED_NUMBERS: Final = 220
_PIDINET: Final = (WeightFile(folder="pidinet", name="table5_pidinet.pth"),)
_MIDAS: Final = WeightFile(folder="midas", name="dpt_hybrid-midas-501f0c75.pt")
_POSE: Final = (
    WeightFile(folder="openpose", name="yolox_l.onnx"),
    WeightFile(folder="openpose", name="dw-ll_ucoco_384.onnx"),
)


def _edges(name: str, label: str, control: str, files: tuple[WeightFile, ...], numbers: int = 512) -> Preprocessor:
    return Preprocessor(
        name=name,
        label=label,
        control_types=(control,),
        resolution=RESOLUTION,
        files=files,
        numbers_a_pixel=numbers,
    )


def _depth(name: str, file: WeightFile, side: int) -> Preprocessor:
    return Preprocessor(name=name, control_types=("Depth",), resolution=RESOLUTION, files=(file,), fixed_side=side)


def _labels(name: str, label: str, file: str) -> Preprocessor:
    return Preprocessor(
        name=name,
        label=label,
        control_types=("Segmentation",),
        resolution=RESOLUTION,
        files=(WeightFile(folder="oneformer", name=file),),
        fixed_side=800,
    )


_WITH_WEIGHTS: Final = (
    _edges("hed", "softedge_hed", "SoftEdge", _HED, _HED_NUMBERS),
    _edges("hed_safe", "softedge_hedsafe", "SoftEdge", _HED, _HED_NUMBERS),
    _edges("scribble_hed", "", "Scribble", _HED, _HED_NUMBERS),
    _edges("pidinet", "softedge_pidinet", "SoftEdge", _PIDINET),
    _edges("pidinet_safe", "softedge_pidisafe", "SoftEdge", _PIDINET),
    _edges("pidinet_scribble", "scribble_pidinet", "Scribble", _PIDINET),
    _edges("pidinet_sketch", "t2ia_sketch_pidi", "T2I-Adapter", _PIDINET),
    Preprocessor(
        name="softedge_teed",
        aliases=("te_hed",),
        control_types=("SoftEdge",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="Safe Steps", default=2, low=0, high=10, step=1),
        files=(WeightFile(folder="TEED", name="7_model.pth"),),
    ),
    _edges("lineart", "lineart_realistic", "Lineart", (WeightFile(folder="lineart", name="sk_model.pth"),)),
    _edges("lineart_coarse", "", "Lineart", (WeightFile(folder="lineart", name="sk_model2.pth"),)),
    _edges("lineart_anime", "", "Lineart", (WeightFile(folder="lineart_anime", name="netG.pth"),)),
    _edges("lineart_anime_denoise", "", "Lineart", (WeightFile(folder="manga_line", name="erika.pth"),)),
    Preprocessor(
        name="mlsd",
        control_types=("MLSD",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="MLSD Value Threshold", default=0.1, low=0.01, high=2, step=0.01),
        threshold_b=Slider(name="MLSD Distance Threshold", default=0.1, low=0.01, high=20, step=0.01),
        files=(WeightFile(folder="mlsd", name="mlsd_large_512_fp32.pth"),),
    ),
    Preprocessor(
        name="softedge_anyline",
        control_types=("SoftEdge",),
        resolution=Slider(name="Resolution", default=1280, low=64, high=2048, step=8),
        files=(WeightFile(folder="TEED", name="MTEED.pth"),),
    ),
    Preprocessor(
        name="depth",
        label="depth_midas",
        control_types=("Depth",),
        resolution=RESOLUTION,
        files=(_MIDAS,),
    ),
    Preprocessor(
        name="depth_leres",
        control_types=("Depth",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="Remove Near %", default=0, low=0, high=100, step=0.1),
        threshold_b=Slider(name="Remove Background %", default=0, low=0, high=100, step=0.1),
        files=(WeightFile(folder="leres", name="res101.pth"),),
    ),
    _depth("depth_zoe", WeightFile(folder="zoedepth", name="ZoeD_M12_N.pt"), 512),
    Preprocessor(
        name="normal_bae",
        control_types=("NormalMap",),
        resolution=RESOLUTION,
        files=(WeightFile(folder="normal_bae", name="scannet.pt"),),
    ),
    Preprocessor(
        name="normal_map",
        label="normal_midas",
        control_types=("NormalMap",),
        resolution=RESOLUTION,
        threshold_a=Slider(name="Background Threshold", default=0.4, low=0, high=1, step=0.01),
        files=(_MIDAS,),
    ),
    _depth(
        "depth_anything",
        WeightFile(
            folder="depth_anything",
            name="depth_anything_vitl14.pth",
            others=("depth_anything_vitb14.pth", "depth_anything_vits14.pth"),
        ),
        518,
    ),
    _depth(
        "depth_anything_v2",
        WeightFile(
            folder="depth_anything_v2",
            name="depth_anything_v2_vitl.safetensors",
            others=tuple(
                f"depth_anything_v2_{size}.{suffix}"
                for size in ("vitl", "vitb", "vits")
                for suffix in ("safetensors", "pth")
            ),
        ),
        518,
    ),
    *(
        Preprocessor(name=name, control_types=("OpenPose",), resolution=RESOLUTION, files=_POSE)
        for name in (
            *("dw_openpose_full", "openpose_full", "openpose", "openpose_face", "openpose_faceonly"),
            "openpose_hand",
        )
    ),
    _labels("oneformer_ade20k", "seg_ofade20k", "250_16_swin_l_oneformer_ade20k_160k.pth"),
    _labels("oneformer_coco", "seg_ofcoco", "150_16_swin_l_oneformer_coco_100ep.pth"),
    Preprocessor(
        name="inpaint_only+lama",
        control_types=("Inpaint",),
        takes_mask=True,
        files=(WeightFile(folder="lama", name="ControlNetLama.pth"),),
        fixed_side=256,
    ),
    Preprocessor(
        name="animal_openpose",
        control_types=("OpenPose",),
        resolution=RESOLUTION,
        files=(
            WeightFile(folder="openpose", name="yolox_l.onnx"),
            WeightFile(folder="openpose", name="rtmpose-m_simcc-ap10k_pt-aic-coco_210e-256x256-7a041aa1_20230206.onnx"),
        ),
    ),
)

PREPROCESSORS: Final = (*_WITHOUT_WEIGHTS, *_SEEN_BY_CLIP, *_WITH_WEIGHTS)
_BY_NAME: Final = {
    name.casefold(): one
    for one in reversed(PREPROCESSORS)
    for name in (*one.aliases, one.title, one.title.partition(" ")[0], one.name)
}


def slider_values(preprocessor: Preprocessor, a: float | None, b: float | None) -> tuple[float, float]:
    """What the sliders A and B stand at, by what is given for them; 0 for one that there is not."""
    first, second = (
        0.0 if slider is None else slider.value(given)
        for slider, given in ((preprocessor.threshold_a, a), (preprocessor.threshold_b, b))
    )
    return first, second


class UnknownPreprocessorError(LookupError):
    """No preprocessor has that name; the message is the sentence to show, with those that are meant perhaps."""


def find_preprocessor(name: str) -> Preprocessor:
    """The preprocessor of an API name, a label or an alias, in any case; "" and "None" are "none".

    Raises:
        UnknownPreprocessorError: there is none.
    """
    found = _BY_NAME.get(name.strip().casefold() or "none")
    if found is None:
        if (why := why_refused(name)) is not None:
            raise UnknownPreprocessorError(why)
        near = difflib.get_close_matches(name.casefold(), _BY_NAME, n=3)
        perhaps = f" Nearest: {', '.join(sorted({_BY_NAME[one].name for one in near}))}." if near else ""
        raise UnknownPreprocessorError(f"There is no preprocessor {name[:80]!r}.{perhaps}")
    return found
