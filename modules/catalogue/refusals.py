"""What can't work together, as sentences: known from the heads of files, before anything is loaded."""

from modules.catalogue.architecture import Architecture
from modules.catalogue.control_kinds import ControlKind
from modules.families import DEPTH, EDM_TRAINING, Family, PredictionType
from modules.parameters.samplers import SamplerChoice


def refiner_refusal(began: Family, refiner: Family) -> str | None:
    """Why a refiner can't go on with latents that the other family began, as a sentence; None if it can."""
    if refiner.shares_latents_with(began):
        return None
    return (
        f"A refiner of {refiner.label} can't go on with what {began.label} began, since their latents differ: "
        "choose another refiner, or none."
    )


def hires_refusal(began: Family, hires: Family) -> str | None:
    """Why a hires checkpoint can't go on with enlarged latents of the other family, as a sentence; None if it can."""
    if hires.shares_latents_with(began):
        return None
    return (
        f"A hires checkpoint of {hires.label} can't go on with latents of {began.label}, since they differ: "
        "choose an upscaler that works on pixels, or another hires checkpoint."
    )


def size_refusal(family: Family, size: tuple[int, int], model: str) -> str | None:
    """Why a family's model, which the sentence calls `model`, can't paint at a size, as a sentence; None if it can."""
    unit = family.side_unit
    if all(side % unit == 0 for side in size):
        return None
    width, height = (max(unit, round(side / unit) * unit) for side in size)
    return (
        f"{model} paints in squares of {unit} pixels a side, and {size[0]}×{size[1]} is not made of whole ones: choose "
        f"{width}×{height}, or another size in multiples of {unit}."
    )


def text_to_image_refusal(architecture: Architecture, model: str) -> str | None:
    """Why a model, which the sentence calls `model`, can't paint without a picture; None if it can."""
    if architecture.unet_channels != DEPTH:
        return None
    return f"{model} paints by the depth of a picture: use it on the img2img tab, or choose another checkpoint."


def control_refusal(control: str, kind: ControlKind, made_for: str, family: Family, model: str) -> str | None:
    """Why a control model, called `control` and made for the family of that short name, can't guide a `model` of
    `family`, as a sentence; None if it can.
    """
    if family.takes_networks_for(made_for):
        return None
    return (
        f"{control} is {kind.value} for {made_for}, and {model} is a checkpoint of {family.name}: "
        "choose another model in the unit, or another checkpoint."
    )


def shown_text_refusal(preprocessor: str, family: Family, model: str) -> str | None:
    """Why a picture can't stand for the whole text of a `model` of `family`, as a sentence; None if it can."""
    if family.added_numbers:
        return None
    return f"{preprocessor} is for SDXL, and {model} is a checkpoint of {family.name}."


def sampler_refusal(choice: SamplerChoice, prediction_type: PredictionType | None, model: str) -> str | None:
    """Why what a model predicts can't be sampled so, as a sentence that calls it `model`; None if it can."""
    sampler, schedule = choice.sampler, choice.applied_schedule
    if prediction_type == "flow":
        if sampler.flow_instead is not None:
            return (
                f"{sampler.label} can't sample {model}, which was trained by flow matching: "
                f"choose another sampler, such as {sampler.flow_instead}."
            )
        if schedule.flow_instead is not None:
            return (
                f"The schedule {schedule.label} is made of noise levels that {model} lacks, which was trained by flow "
                f"matching: choose another schedule, such as {schedule.flow_instead}."
            )
    if not sampler.needs_timesteps or prediction_type not in EDM_TRAINING:
        return None
    return (
        f"{sampler.label} goes by timesteps, and {model} was trained without any (EDM): choose another sampler, "
        "such as Euler or DPM++ 2M."
    )
