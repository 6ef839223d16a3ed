"""A request to Extras: enlarging, faces and cutting of finished pictures, under the names of A1111's API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCALE_BY: Final = 0
SCALE_TO: Final = 1
NO_UPSCALER: Final = "None"
MOST_PICTURES: Final = 1000

# Its operations by A1111's names, by which the settings know them, and what each of them is when it is off.
OPERATIONS: Final[dict[str, dict[str, object]]] = {
    "Upscale": {"upscaler_1": NO_UPSCALER, "upscaler_2": NO_UPSCALER},
    "GFPGAN": {"gfpgan_visibility": 0.0},
    "CodeFormer": {"codeformer_visibility": 0.0},
    "Split oversized images": {"split": None},
    "Auto focal point crop": {"focal_crop": None},
    "Auto-sized crop": {"auto_crop": None},
    "Create flipped copies": {"flips": ()},
}

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Length = Annotated[int, Field(ge=1, le=16384)]


class SplitOversized(BaseModel):
    """Cut a picture whose proportions are far from those of the wanted size into several of that size."""

    model_config = ConfigDict(frozen=True)

    threshold: Share = 0.5
    overlap_ratio: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] = 0.2


class FocalCrop(BaseModel):
    """Cut to the wanted size around what draws the eye: faces where a detector is there, detail, and edges."""

    model_config = ConfigDict(frozen=True)

    face_weight: Share = 0.9
    entropy_weight: Share = 0.15
    edges_weight: Share = 0.5


class AutoCrop(BaseModel):
    """Cut to the best size whose sides and area lie within the limits, sides being multiples of 64."""

    model_config = ConfigDict(frozen=True)

    mindim: Length = 384
    maxdim: Length = 768
    minarea: Annotated[int, Field(ge=1, le=16384**2)] = 4096
    maxarea: Annotated[int, Field(ge=1, le=16384**2)] = 409600
    maximize_area: bool = True
    threshold: Share = 0.1


class PreprocessRequest(BaseModel):
    """A preprocessor of ControlNet, and its numbers: -1 is the default of each.

    `poses` are those that are drawn instead, as OpenPose's JSON, one for each picture of the job. With `masked` each
    picture's alpha channel is what was painted on it.
    """

    model_config = ConfigDict(frozen=True)

    module: str
    resolution: float = -1
    threshold_a: float = -1
    threshold_b: float = -1
    poses: tuple[str, ...] = ()
    masked: bool = False


class ExtrasRequest(BaseModel):
    """One job of the Extras tab. `resize_mode` is SCALE_BY, by `upscaling_resize`, or SCALE_TO, to a size.

    Scaling to a size keeps the proportions and covers it; `upscaling_crop` cuts what sticks out. `max_side_length`
    holds a scaled side down, 0 meaning no limit. `names` are what the pictures are called. `paths` names the files of
    a directory on this machine; without them the pictures are the request's `init_images`. `output_dir` is where they
    go, instead of the Extras folder; `batch` says that results keep the names of their pictures if the setting
    use_original_name_batch is on. `transparency` is kept, or falls away as in A1111. Splitting and cropping work
    towards `upscaling_resize_w` x `upscaling_resize_h`. `show` says whether the page shows the results.
    With `preprocess` a picture's result is its map for ControlNet, and nothing else is done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    output_dir: str = ""
    batch: bool = False
    transparency: bool = True
    upscaler_1: str = NO_UPSCALER
    upscaler_2: str = NO_UPSCALER
    extras_upscaler_2_visibility: Share = 0.0
    resize_mode: Annotated[int, Field(ge=0, le=1)] = SCALE_BY
    upscaling_resize: Annotated[float, Field(gt=0, le=64, allow_inf_nan=False)] = 4.0
    max_side_length: Annotated[int, Field(ge=0, le=65535)] = 0
    upscaling_resize_w: Length = 512
    upscaling_resize_h: Length = 512
    upscaling_crop: bool = True
    gfpgan_visibility: Share = 0.0
    codeformer_visibility: Share = 0.0
    codeformer_weight: Share = 0.0
    split: SplitOversized | None = None
    focal_crop: FocalCrop | None = None
    auto_crop: AutoCrop | None = None
    show: bool = True
    preprocess: PreprocessRequest | None = None
    flips: tuple[Literal["Horizontal", "Vertical", "Both"], ...] = ()

    @property
    def blends(self) -> bool:
        """Whether the second upscaler has a say."""
        return self.upscaler_2 != NO_UPSCALER and self.extras_upscaler_2_visibility > 0

    @property
    def upscalers(self) -> tuple[str, ...]:
        """The upscalers that are used."""
        if self.upscaler_1 == NO_UPSCALER:
            return ()
        return (self.upscaler_1, self.upscaler_2) if self.blends else (self.upscaler_1,)

    @property
    def restorers(self) -> dict[str, float]:
        """The face restorers that are used, with how much of each is seen."""
        given = {"GFPGAN": self.gfpgan_visibility, "CodeFormer": self.codeformer_visibility}
        return {name: visibility for name, visibility in given.items() if visibility > 0}

    def without(self, operations: Iterable[str]) -> ExtrasRequest:
        """The same with these operations off; names that are none are passed over."""
        off = {field: value for name in operations for field, value in OPERATIONS.get(name, {}).items()}
        return self.model_copy(update=off)
