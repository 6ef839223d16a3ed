"""The arguments of each script as typed values, read from a request here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self, get_origin, get_type_hints

from modules.parameters.scripts.declaration import Script, ScriptError
from modules.parameters.scripts.frames import EVEN
from modules.parameters.scripts.from_pictures import (
    ALTERNATIVE_TEST,
    INTERPOLATE_PICTURES,
    LOOPBACK,
    OUTPAINT,
    OUTPAINTING_MK2,
    POOR_MANS_OUTPAINTING,
    SD_UPSCALE,
)
from modules.parameters.scripts.from_prompts import INTERPOLATE_PROMPTS, PROMPT_MATRIX, PROMPTS_FROM_FILE, XYZ_PLOT
from modules.parameters.scripts.postprocessing_arguments import CODEFORMER, GFPGAN, UPSCALE
from modules.parameters.scripts.soft_inpainting import SOFT_INPAINTING


@dataclass(frozen=True, slots=True)
class ScriptArguments:
    """The arguments that the making of pictures reads, one field for each, under the names that `script` declares."""

    script: ClassVar[Script]

    @classmethod
    def of(cls, scripts: Mapping[str, Mapping[str, Any]]) -> Self:
        """The script's arguments among those of a request's scripts. Raises ScriptError."""
        return cls.read(scripts.get(cls.script.title, {}))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Values by the arguments' names; one that is missing or None has its default.

        Raises ScriptError for a value of another type than its argument's.
        """
        types = get_type_hints(cls)
        defaults = {argument.name: argument.default for argument in cls.script.valued}
        given = {}
        for one in fields(cls):
            value = values.get(one.name)
            given[one.name] = _typed(cls.script, one.name, defaults[one.name] if value is None else value, types)
        return cls(**given)


def _typed(script: Script, name: str, value: object, types: Mapping[str, Any]) -> object:
    wanted = types[name]
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if get_origin(wanted) is tuple and isinstance(value, list | tuple):
        return tuple(map(str, value))
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    raise ScriptError(f"{script.title}: {name} is {repr(value)[:60]}, which is of another type.")


@dataclass(frozen=True, slots=True)
class LoopbackArguments(ScriptArguments):
    """How many pictures hang together, and along which curve the denoising strength goes to its final value."""

    script: ClassVar[Script] = LOOPBACK
    loops: int
    final_denoising_strength: float
    denoising_curve: str


@dataclass(frozen=True, slots=True)
class OutpaintingArguments(ScriptArguments):
    """What all outpainting scripts share: by how many pixels and on which sides the picture grows, and the seam."""

    pixels: int
    mask_blur: int
    direction: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutpaintArguments(OutpaintingArguments):
    """`overlap` is how many pixels of the old picture are painted over."""

    script: ClassVar[Script] = OUTPAINT
    overlap: int


@dataclass(frozen=True, slots=True)
class OutpaintingMk2Arguments(OutpaintingArguments):
    """`noise_q` is the exponent by which the noise falls off, `color_variation` how colourful it is."""

    script: ClassVar[Script] = OUTPAINTING_MK2
    noise_q: float
    color_variation: float


@dataclass(frozen=True, slots=True)
class PoorMansOutpaintingArguments(OutpaintingArguments):
    """`inpainting_fill` is a masked content by its word."""

    script: ClassVar[Script] = POOR_MANS_OUTPAINTING
    inpainting_fill: str


@dataclass(frozen=True, slots=True)
class SdUpscaleArguments(ScriptArguments):
    """By how many pixels tiles overlap, and which upscaler enlarges the picture how many times."""

    script: ClassVar[Script] = SD_UPSCALE
    overlap: int
    upscaler: str
    scale_factor: float


@dataclass(frozen=True, slots=True)
class AlternativeTestArguments(ScriptArguments):
    """The pass of which the noise is found, how much of other noise is mixed in, and what of the request it changes."""

    script: ClassVar[Script] = ALTERNATIVE_TEST
    override_sampler: bool
    override_prompt: bool
    original_prompt: str
    original_negative_prompt: str
    override_steps: bool
    decode_steps: int
    override_strength: bool
    decode_cfg: float
    randomness: float
    sigma_adjustment: bool


@dataclass(frozen=True, slots=True)
class SequenceArguments(ScriptArguments):
    """What all sequences share: their length, their pace, and how the animation of them is played."""

    frames: int
    pace: str
    frames_per_second: int
    and_back: bool

    def shares(self) -> list[float]:
        """How far each frame is from the first, 0, to the last, 1."""
        even = [frame / (self.frames - 1) for frame in range(self.frames)]
        return even if self.pace == EVEN else [share * share * (3 - 2 * share) for share in even]


@dataclass(frozen=True, slots=True)
class InterpolatePicturesArguments(SequenceArguments):
    """A sequence from one picture to another."""

    script: ClassVar[Script] = INTERPOLATE_PICTURES


@dataclass(frozen=True, slots=True)
class InterpolatePromptsArguments(SequenceArguments):
    """A sequence from the request's prompt to `second_prompt`."""

    script: ClassVar[Script] = INTERPOLATE_PROMPTS
    second_prompt: str


@dataclass(frozen=True, slots=True)
class PromptMatrixArguments(ScriptArguments):
    """Which prompt is taken apart, and how its parts are joined again. `margin_size` is in pixels."""

    script: ClassVar[Script] = PROMPT_MATRIX
    put_at_start: bool
    different_seeds: bool
    prompt_type: str
    variations_delimiter: str
    margin_size: int


@dataclass(frozen=True, slots=True)
class PromptsFromFileArguments(ScriptArguments):
    """The lines, their seeds, and on which side of the form's prompt they stand."""

    script: ClassVar[Script] = PROMPTS_FROM_FILE
    iterate_seed: bool
    same_seed: bool
    prompt_position: str
    prompts: str


@dataclass(frozen=True, slots=True)
class SoftInpaintingArguments(ScriptArguments):
    """Three numbers for the steps, and three for what is laid over the result."""

    script: ClassVar[Script] = SOFT_INPAINTING
    schedule_bias: float
    preservation_strength: float
    transition_contrast_boost: float
    mask_influence: float
    difference_threshold: float
    difference_contrast: float


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


class AxisArguments(NamedTuple):
    """One axis of a plot: its kind by its label, values as typed, values chosen in a list, and whether seeds vary."""

    name: str
    label: str
    text: str
    chosen: tuple[str, ...]
    varies_seeds: bool


@dataclass(frozen=True, slots=True)
class XyzArguments(ScriptArguments):
    """The three axes, what is made of the pictures, and which seeds they have. `margin_size` is in pixels."""

    script: ClassVar[Script] = XYZ_PLOT
    x_type: str
    x_values: str
    x_values_dropdown: tuple[str, ...]
    y_type: str
    y_values: str
    y_values_dropdown: tuple[str, ...]
    z_type: str
    z_values: str
    z_values_dropdown: tuple[str, ...]
    draw_legend: bool
    include_lone_images: bool
    include_sub_grids: bool
    no_fixed_seeds: bool
    vary_seeds_x: bool
    vary_seeds_y: bool
    vary_seeds_z: bool
    margin_size: int
    csv_mode: bool

    @property
    def axes(self) -> tuple[AxisArguments, AxisArguments, AxisArguments]:
        """X, Y and Z; with `csv_mode` nothing counts as chosen in a list."""
        x, y, z = (
            () if self.csv_mode else chosen
            for chosen in (self.x_values_dropdown, self.y_values_dropdown, self.z_values_dropdown)
        )
        return (
            AxisArguments("x", self.x_type, self.x_values, x, self.vary_seeds_x),
            AxisArguments("y", self.y_type, self.y_values, y, self.vary_seeds_y),
            AxisArguments("z", self.z_type, self.z_values, z, self.vary_seeds_z),
        )
