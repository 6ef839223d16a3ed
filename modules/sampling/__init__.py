"""Noise, noise schedules, guidance and samplers: pure functions on tensors that turn a UNet and a seed into a latent.

A run, from seeds to latent:

    choice = resolve_sampler("DPM++ 2M Karras")                    # modules.parameters: any spelling
    options = read_options(SamplerOptions, all_options)             # A1111's option keys
    model = ModelSigmas.from_training(alphas_cumprod)               # or sd1_sigmas()
    plan = plan_run(choice, 20, model, options)                     # strength=0.5 makes it img2img
    noise = ImageNoise((4, 64, 64), seeds, source=options.randn_source, device=device)
    latent = sample(plan, unet, conditions, noise, GuidanceOptions(cfg_scale=7))

`unet(x, t, conditioning)` answers with the model's raw prediction for a batch of rows; it casts to the model's own
type and device layout itself, since `x` comes in float32. `conditions(c)` gives the texts of the c-th model call,
c from 0 (`constant_conditions` where nothing is scheduled; `plan.total_calls` is the count to make a schedule for).
Use a fresh ImageNoise for every pass. Hooks may raise `Interrupted`.
"""

from modules.sampling.conditioning import (
    GUIDANCE,
    TEXT_LENGTH,
    Conditioning,
    ConditionsAt,
    Part,
    StepConditions,
    Window,
    constant_conditions,
)
from modules.sampling.control import UnetResiduals
from modules.sampling.denoiser import UNet
from modules.sampling.finite import UnetOverflow, require_finite
from modules.sampling.guidance import GuidanceOptions
from modules.sampling.hooks import CallPosition, GuidedCall, SamplingHook, overriding
from modules.sampling.inpainting import InpaintMask, SoftBlend
from modules.sampling.model_schedule import EdmSigmas, FlowSigmas, ModelSigmas, scaled_linear_alphas_cumprod, sd1_sigmas
from modules.sampling.noise import ImageNoise, Variation
from modules.sampling.plan import SamplingPlan, img2img_steps, plan_run
from modules.sampling.refiner import GuidedUNet, RefinerSwitch
from modules.sampling.run import Interrupted, sample
from modules.sampling.samplers import SAMPLER_FUNCTIONS, Step
from modules.sampling.schedules import build_sigmas, sigma_schedule

__all__ = [
    "GUIDANCE",
    "SAMPLER_FUNCTIONS",
    "TEXT_LENGTH",
    "CallPosition",
    "Conditioning",
    "ConditionsAt",
    "EdmSigmas",
    "FlowSigmas",
    "GuidanceOptions",
    "GuidedCall",
    "GuidedUNet",
    "ImageNoise",
    "InpaintMask",
    "Interrupted",
    "ModelSigmas",
    "Part",
    "RefinerSwitch",
    "SamplingHook",
    "SamplingPlan",
    "SoftBlend",
    "Step",
    "StepConditions",
    "UNet",
    "UnetOverflow",
    "UnetResiduals",
    "Variation",
    "Window",
    "build_sigmas",
    "constant_conditions",
    "img2img_steps",
    "overriding",
    "plan_run",
    "require_finite",
    "sample",
    "scaled_linear_alphas_cumprod",
    "sd1_sigmas",
    "sigma_schedule",
]
