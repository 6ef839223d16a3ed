"""The request as it was submitted: one frozen value for page, API, infotext, queue row and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, field_validator

from modules.features.declaration import Script
from modules.features.table import SELECTABLE, checked_scripts
from modules.parameters.declaration import Parameter, parameter_of
from modules.parameters.extras_request import MOST_PICTURES, ExtrasRequest, Share
from modules.parameters.merger_request import MergerRequest
from modules.settings.choices import BOTH, IMG2IMG, SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULE, TXT2IMG

Mode = Literal["txt2img", "img2img", "extras", "modelmerger"]

MAXIMUM_SIDE: Final = 8192
MAXIMUM_PROMPT: Final = 1_000_000
LARGEST_SEED: Final = 2**64 - 1

# What the words for "the same as in the first pass" mean is said by `GenerationRequest.hires_checkpoint`,
# `hires_sampler` and `hires_schedule`; `hires_names` and `hires_checkpoint_name` write them.
# Names that choose no checkpoint of its own for the hires pass.
NO_CHECKPOINT: Final = ("", "None")
# Names that choose no refiner.
NO_REFINER: Final = ("", "None", "none")

Prompt = Annotated[str, Field(max_length=MAXIMUM_PROMPT)]
Side = Annotated[int, Field(ge=64, le=MAXIMUM_SIDE)]
OptionalSide = Annotated[int, Field(ge=0, le=MAXIMUM_SIDE)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class RequestError(ValueError):
    """A request that cannot be carried out. The message is one sentence for the person who sent it."""


class BatchFile(BaseModel):
    """The file of a batch that a request came from: its name, its place in the batch, and where its pictures go.

    Without a `folder` they go where all others do. Page and API set this after checking that the folder is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    number: int = 0
    folder: str | None = None

    @property
    def stem(self) -> str:
        return PurePath(self.name).stem


class GenerationRequest(BaseModel):
    """What was requested. Field names are those of A1111's API; labels, ranges and infotext keys stand beside them.

    Sampler and schedule are labels as shown on the page. Seeds of -1 are drawn when the request is resolved.
    Pictures (`init_images`, `mask`, `firstpass_image`) are references into the job's stored inputs, never the bytes
    themselves.
    `scripts` holds the arguments of every script that acts, by its title: at most one that is chosen, and those that
    are always on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "txt2img"
    from_program: bool = False
    """It came through A1111's API, which knows numbers by their type: its infotext says 7.0 where the page's says 7."""
    makes_grid: bool = True
    """Whether a grid of several pictures is made as the settings say; scripts whose result is a grid make it anyway."""
    disable_extra_networks: bool = False
    """Tags of extra networks are taken off the prompt and nothing is applied."""
    prompt: Annotated[Prompt, Parameter("Prompt", infotext="Prompt")] = ""
    negative_prompt: Annotated[Prompt, Parameter("Negative prompt", infotext="Negative prompt")] = ""
    styles: Annotated[tuple[str, ...], Parameter("Styles", choices="styles")] = ()
    steps: Annotated[
        int,
        Field(ge=1, le=1000),
        Parameter("Sampling steps", infotext="Steps", api_default=50, minimum=1, maximum=150, step=1),
    ] = 20
    sampler_name: Annotated[
        str, Parameter("Sampling method", infotext="Sampler", api_default="Euler", choices="samplers")
    ] = "DPM++ 2M"
    scheduler: Annotated[str, Parameter("Schedule type", infotext="Schedule type", choices="schedules")] = "Automatic"
    cfg_scale: Annotated[
        float,
        Field(ge=0, le=1000, allow_inf_nan=False),
        Parameter("CFG Scale", infotext="CFG scale", minimum=1, maximum=30, step=0.5),
    ] = 7.0
    distilled_cfg_scale: Annotated[
        float,
        Field(ge=0, le=100, allow_inf_nan=False),
        Parameter("Shift", infotext="Shift", minimum=0, maximum=24, step=0.1),
    ] = 0.0
    """By how much models trained by flow matching see more noise, or the guidance that they were distilled with, under
    Forge's name; 0 is as they were made for.
    """
    image_cfg_scale: Annotated[
        Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None,
        Parameter(
            "Image CFG Scale",
            infotext="Image CFG scale",
            api_default=None,
            img2img_default=1.5,
            minimum=0,
            maximum=3,
            step=0.05,
            modes=IMG2IMG,
        ),
    ] = None
    seed: Annotated[int, Field(ge=-1, le=LARGEST_SEED), Parameter("Seed", infotext="Seed")] = -1
    width: Annotated[Side, Parameter("Width", infotext="Size-1", minimum=64, maximum=2048, step=8)] = 512
    height: Annotated[Side, Parameter("Height", infotext="Size-2", minimum=64, maximum=2048, step=8)] = 512
    n_iter: Annotated[int, Field(ge=1, le=1000), Parameter("Batch count", minimum=1, maximum=100, step=1)] = 1
    batch_size: Annotated[int, Field(ge=1, le=64), Parameter("Batch size", minimum=1, maximum=8, step=1)] = 1

    subseed: Annotated[int, Field(ge=-1, le=LARGEST_SEED), Parameter("Variation seed", infotext="Variation seed")] = -1
    subseed_strength: Annotated[
        Share,
        Parameter("Variation strength", infotext="Variation seed strength", minimum=0, maximum=1, step=0.01),
    ] = 0.0
    seed_resize_from_w: Annotated[
        Annotated[int, Field(ge=-1, le=MAXIMUM_SIDE)],
        Parameter(
            "Resize seed from width", infotext="Seed resize from-1", api_default=-1, minimum=0, maximum=2048, step=8
        ),
    ] = 0
    seed_resize_from_h: Annotated[
        Annotated[int, Field(ge=-1, le=MAXIMUM_SIDE)],
        Parameter(
            "Resize seed from height", infotext="Seed resize from-2", api_default=-1, minimum=0, maximum=2048, step=8
        ),
    ] = 0

    denoising_strength: Annotated[
        Share,
        Parameter(
            "Denoising strength",
            infotext="Denoising strength",
            api_default=0.75,
            img2img_default=0.75,
            minimum=0,
            maximum=1,
            step=0.01,
        ),
    ] = 0.7
    enable_hr: Annotated[bool, Parameter("Hires. fix", modes=TXT2IMG)] = False
    hr_upscaler: Annotated[
        str, Parameter("Upscaler", infotext="Hires upscaler", choices="hires_upscalers", modes=TXT2IMG)
    ] = "Latent"
    hr_second_pass_steps: Annotated[
        int,
        Field(ge=0, le=1000),
        Parameter("Hires steps", infotext="Hires steps", minimum=0, maximum=150, step=1, modes=TXT2IMG),
    ] = 0
    hr_scale: Annotated[
        float,
        Field(gt=0, le=16, allow_inf_nan=False),
        Parameter("Upscale by", infotext="Hires upscale", minimum=1, maximum=4, step=0.05, modes=TXT2IMG),
    ] = 2.0
    hr_resize_x: Annotated[
        OptionalSide,
        Parameter("Resize width to", infotext="Hires resize-1", minimum=0, maximum=2048, step=8, modes=TXT2IMG),
    ] = 0
    hr_resize_y: Annotated[
        OptionalSide,
        Parameter("Resize height to", infotext="Hires resize-2", minimum=0, maximum=2048, step=8, modes=TXT2IMG),
    ] = 0
    hr_checkpoint_name: Annotated[
        str, Parameter("Hires checkpoint", infotext="Hires checkpoint", choices="checkpoints", modes=TXT2IMG)
    ] = SAME_CHECKPOINT
    hr_sampler_name: Annotated[
        str, Parameter("Hires sampling method", infotext="Hires sampler", choices="samplers", modes=TXT2IMG)
    ] = SAME_SAMPLER
    hr_scheduler: Annotated[
        str, Parameter("Hires schedule type", infotext="Hires schedule type", choices="schedules", modes=TXT2IMG)
    ] = SAME_SCHEDULE
    hr_prompt: Annotated[Prompt, Parameter("Hires prompt", infotext="Hires prompt", modes=TXT2IMG)] = ""
    hr_negative_prompt: Annotated[
        Prompt, Parameter("Hires negative prompt", infotext="Hires negative prompt", modes=TXT2IMG)
    ] = ""
    hr_cfg: Annotated[
        Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None,
        Parameter("Hires CFG Scale", infotext="Hires CFG Scale", minimum=1, maximum=30, step=0.5, modes=TXT2IMG),
    ] = None

    refiner_checkpoint: Annotated[
        str, Parameter("Checkpoint", infotext="Refiner", api_default=None, choices="checkpoints")
    ] = ""
    refiner_switch_at: Annotated[
        Share,
        Parameter("Switch at", infotext="Refiner switch at", api_default=None, minimum=0.01, maximum=1, step=0.01),
    ] = 0.8

    firstpass_image: Annotated[str | None, Parameter("First pass", modes=TXT2IMG)] = None
    init_images: Annotated[tuple[str, ...], Parameter("Image", modes=IMG2IMG)] = ()
    mask: Annotated[str | None, Parameter("Mask", modes=IMG2IMG)] = None
    resize_mode: Annotated[int, Field(ge=0, le=3), Parameter("Resize mode", choices="resize_modes", modes=IMG2IMG)] = 0
    mask_blur_x: Annotated[
        int,
        Field(ge=0, le=256),
        Parameter("Mask blur", infotext="Mask blur", minimum=0, maximum=64, step=1, modes=IMG2IMG),
    ] = 4
    mask_blur_y: Annotated[
        int, Field(ge=0, le=256), Parameter("Mask blur, vertical", minimum=0, maximum=64, step=1, modes=IMG2IMG)
    ] = 4
    mask_round: Annotated[bool, Parameter("Round mask", modes=IMG2IMG)] = True
    inpainting_mask_invert: Annotated[
        int, Field(ge=0, le=1), Parameter("Mask mode", infotext="Mask mode", choices="mask_modes", modes=IMG2IMG)
    ] = 0
    inpainting_fill: Annotated[
        int,
        Field(ge=0, le=3),
        Parameter("Masked content", infotext="Masked content", api_default=0, choices="masked_contents", modes=IMG2IMG),
    ] = 1
    inpaint_full_res: Annotated[
        bool,
        Parameter("Inpaint area", infotext="Inpaint area", api_default=True, choices="inpaint_areas", modes=IMG2IMG),
    ] = False
    inpaint_full_res_padding: Annotated[
        int,
        Field(ge=0, le=MAXIMUM_SIDE),
        Parameter(
            "Only masked padding, pixels",
            infotext="Masked area padding",
            api_default=0,
            minimum=0,
            maximum=256,
            step=4,
            modes=IMG2IMG,
        ),
    ] = 32

    restore_faces: Annotated[bool | None, Parameter("Restore faces")] = None
    tiling: Annotated[bool | None, Parameter("Tiling", infotext="Tiling")] = None
    extras: ExtrasRequest | None = None
    merger: MergerRequest | None = None
    override_settings: Annotated[dict[str, JsonValue], Parameter("Override settings", modes=BOTH)] = Field(
        default_factory=dict
    )
    # No parameter, so that no program and no infotext can set it.
    batch: BatchFile | None = None
    scripts: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    @property
    def script(self) -> Script | None:
        """The script that was chosen, if any."""
        return next((script for script in SELECTABLE if script.title in self.scripts), None)

    @property
    def has_hires_pass(self) -> bool:
        """Whether a hires pass follows the first one."""
        return self.mode == "txt2img" and self.enable_hr

    @property
    def hires_checkpoint(self) -> str | None:
        """The title of the hires pass's own checkpoint; None where it has the first pass's or is not there."""
        own = self.has_hires_pass and self.hr_checkpoint_name not in (SAME_CHECKPOINT, *NO_CHECKPOINT)
        return self.hr_checkpoint_name if own else None

    @property
    def hires_sampler(self) -> str | None:
        """The name of the hires pass's own sampler; None where it has the first pass's."""
        return None if self.hr_sampler_name == SAME_SAMPLER else self.hr_sampler_name

    @property
    def hires_schedule(self) -> str | None:
        """The name of the hires pass's own schedule; None where it has the first pass's."""
        return None if self.hr_scheduler == SAME_SCHEDULE else self.hr_scheduler

    @property
    def has_refiner(self) -> bool:
        """Whether another checkpoint is to go on with its passes somewhere before their end."""
        return self.refiner_checkpoint not in NO_REFINER and self.refiner_switch_at < 1

    @field_validator("scripts")
    @classmethod
    def _scripts_that_exist(
        cls, scripts: dict[str, dict[str, JsonValue]], info: ValidationInfo
    ) -> dict[str, dict[str, JsonValue]]:
        return checked_scripts(scripts, str(info.data.get("mode", "txt2img")))

    @field_validator("width", "height")
    @classmethod
    def _multiple_of_8(cls, side: int) -> int:
        if side % 8:
            raise ValueError(f"it must be a multiple of 8; the nearest is {max(64, round(side / 8) * 8)}")
        return side


def hires_names(*, sampler: str | None, schedule: str | None) -> dict[str, str]:
    """The fields of a hires pass's own sampler and schedule; None means the first pass's."""
    return {
        "hr_sampler_name": SAME_SAMPLER if sampler is None else sampler,
        "hr_scheduler": SAME_SCHEDULE if schedule is None else schedule,
    }


def hires_checkpoint_name(title: str | None) -> str:
    """The field of a hires pass's own checkpoint; None means the first pass's."""
    return SAME_CHECKPOINT if title is None else title


def reason_of(wrong: Mapping[str, object]) -> str:
    """What pydantic says of one thing that is wrong, without its own words in front."""
    return str(wrong["msg"]).removeprefix("Value error, ")


def _sentence(error: ValidationError) -> str:
    """The first thing wrong with a request, in the words of the page."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "request"
    reason = reason_of(first)
    if name == "scripts":
        # These sentences name the script themselves.
        return reason
    try:
        label = parameter_of(GenerationRequest, name).parameter.label
    except KeyError:
        label = name
    value = repr(first.get("input"))
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    return f"{label} is {shown}: {reason[:1].lower()}{reason[1:]}."


def parse_request(values: Mapping[str, Any]) -> GenerationRequest:
    """Check raw values. Raises RequestError with one sentence naming the first value that cannot be used."""
    try:
        return _with_room_for_its_pictures(GenerationRequest.model_validate(dict(values)))
    except ValidationError as error:
        raise RequestError(_sentence(error)) from error


def _with_room_for_its_pictures(request: GenerationRequest) -> GenerationRequest:
    """Several pictures to start from are the batch, as in A1111. A script that was chosen takes them as it does.

    A1111 makes a larger batch size smaller, and refuses a smaller one; here that grows.
    """
    pictures = len(request.init_images)
    if request.mode != "img2img" or pictures < 2 or request.script is not None:
        return request
    return request.model_copy(update={"batch_size": pictures})


def extras_job(extras: ExtrasRequest, pictures: tuple[str, ...] = ()) -> GenerationRequest:
    """The request behind an Extras job, over the files that `extras` names or over these pictures."""
    count = len(extras.paths or pictures)
    if not 1 <= count <= MOST_PICTURES:
        raise RequestError(f"An Extras job takes from 1 to {MOST_PICTURES} pictures, not {count}.")
    return GenerationRequest(mode="extras", seed=0, subseed=0, n_iter=count, init_images=pictures, extras=extras)


def merger_job(merger: MergerRequest) -> GenerationRequest:
    """The request behind a job of the Checkpoint Merger, which makes no picture."""
    return GenerationRequest(mode="modelmerger", seed=0, subseed=0, merger=merger)
