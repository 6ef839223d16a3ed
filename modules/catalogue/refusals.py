"""What can't work together, as sentences: known from the heads of files, before anything is loaded."""

from modules.families import EDM_TRAINING, Family, PredictionType
from modules.parameters.samplers import Sampler


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


def sampler_refusal(sampler: Sampler, prediction_type: PredictionType | None, model: str) -> str | None:
    """Why a sampler can't be used with what a model predicts, as a sentence that calls it `model`; None if it can."""
    if not sampler.needs_timesteps or prediction_type not in EDM_TRAINING:
        return None
    return (
        f"{sampler.label} goes by timesteps, and {model} was trained without any (EDM): choose another sampler, "
        "such as Euler or DPM++ 2M."
    )
