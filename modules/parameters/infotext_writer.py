"""From a resolved request to the text that stands in its pictures, in A1111's format and key order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final

from modules.features.infotext import script_values
from modules.parameters.declaration import declared_parameters
from modules.parameters.infotext_options import recorded_options
from modules.parameters.infotext_values import printable, quote
from modules.parameters.output_options import InfotextOptions
from modules.parameters.request import GenerationRequest
from modules.parameters.resolved import ResolvedRequest
from modules.parameters.samplers import SamplerChoice, choice_of
from modules.settings.choices import MASKED_CONTENTS
from modules.version import INFOTEXT_VERSION

# What comes before the extras (`_EXTRAS` and whatever else `facts` holds), and what comes after them.
_BASE: Final = (
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Distilled CFG Scale",
    "Shift",
    "Image CFG scale",
    "Seed",
    "Face restoration",
    "Size",
    "Model hash",
    "Model",
    "FP8 weight",
    "Cache FP16 weight for LoRA",
    "VAE hash",
    "VAE",
    "Variation seed",
    "Variation seed strength",
    "Seed resize from",
    "Denoising strength",
    "Conditional mask weight",
    "Clip skip",
    "ENSD",
    "Token merging ratio",
    "Token merging ratio hr",
    "Init image hash",
    "RNG",
    "Tiling",
)
# The order in which A1111 comes to know them: the passes are set up, networks and prompts are read, then it samples.
_EXTRAS: Final = (
    "Hires checkpoint",
    "Hires sampler",
    "Hires prompt",
    "Hires negative prompt",
    "Hires schedule type",
    "Hires CFG Scale",
    "Hires upscale",
    "Hires resize",
    "Hires steps",
    "Hires upscaler",
    "Mask mode",
    "Mask blur",
    "Inpaint area",
    "Masked area padding",
    "Masked content",
    "VAE Encoder",
    "Lora hashes",
    "Old prompt editing timelines",
    "TI hashes",
    "Emphasis",
    "Downcast alphas_cumprod",
    "Noise Schedule",
    "Noise multiplier",
    "Discard penultimate sigma",
    "Schedule min sigma",
    "Schedule max sigma",
    "Schedule rho",
    "Beta schedule alpha",
    "Beta schedule beta",
    "SGM noise multiplier",
    "Extra noise",
    "Eta",
    "Eta DDIM",
    "Sigma churn",
    "Sigma tmin",
    "Sigma tmax",
    "Sigma noise",
    "Refiner switch by sampling steps",
    "Hires refiner",
    "Refiner",
    "Refiner switch at",
    "Skip Early CFG",
    "NGMS",
    "NGMS all steps",
    "Pad conds",
    "Pad conds v0",
    "VAE Decoder",
)
_LAST: Final = ("Version", "User")
_PROSE: Final = ("Hires prompt", "Hires negative prompt")


def write_infotext(resolved: ResolvedRequest, index: int, facts: Mapping[str, object]) -> str:
    """The infotext of image `index` of a job.

    `facts` are infotext keys that only the engine knows (Model, Model hash, VAE, Lora hashes, ...). They win
    over what is derived from the request; a fact that is None removes its key; unknown keys follow the known extras in
    their own order.
    """
    resolved = resolved.of_image(index)
    known: dict[str, object] = {"Version": INFOTEXT_VERSION}
    scripts = dict(script_values(resolved.request.scripts))
    known.update(scripts)
    known.update(_request_values(resolved))
    known.update(recorded_options(resolved))
    known.update(facts)
    for key in _left_out(resolved.settings.infotext):
        known.pop(key, None)
    placed = {*_BASE, *scripts, *_EXTRAS, *_LAST}
    # Scripts speak before the passes that they set up.
    keys = (*_BASE, *scripts, *_EXTRAS, *(key for key in known if key not in placed), *_LAST)
    line = ", ".join(_pair(key, known[key]) for key in keys if known.get(key) is not None)
    request = resolved.request
    negative = f"\nNegative prompt: {printable(request.negative_prompt)}" if request.negative_prompt else ""
    return f"{printable(request.prompt)}{negative}\n{line}".strip()


def _left_out(wanted: InfotextOptions) -> Iterator[str]:
    """The keys of facts that an option keeps out of the picture."""
    switches = {
        "Model": wanted.model_name,
        "Model hash": wanted.model_hash,
        "VAE": wanted.vae_name,
        "VAE hash": wanted.vae_hash,
        "User": wanted.user_name,
        "Version": wanted.version,
        "Lora hashes": wanted.lora_hashes,
        "TI hashes": wanted.embedding_hashes,
    }
    yield from (key for key, written in switches.items() if not written)


def _pair(key: str, value: object) -> str:
    return key if value == key else f"{key}: {quote(value, prose=key in _PROSE)}"


def _request_values(resolved: ResolvedRequest) -> Iterator[tuple[str, object]]:
    """Every key that the request itself decides, sizes joined to `WxH`."""
    request = resolved.request
    silent = set(_silent(request))
    shown = dict(_resolved_values(resolved))
    pending: dict[str, object] = {}
    for declared in declared_parameters(GenerationRequest):
        key = declared.parameter.infotext
        if key is None or declared.name in silent or request.mode not in declared.parameter.modes:
            continue
        value = shown[declared.name] if declared.name in shown else _shown(declared.name, request)
        if isinstance(value, float) and value.is_integer() and not request.from_program:
            value = int(value)
        if key.endswith("-1"):
            pending[key.removesuffix("-1")] = value
        elif key.endswith("-2"):
            key = key.removesuffix("-2")
            yield key, f"{pending[key]}x{value}"
        else:
            yield key, value


def _resolved_values(resolved: ResolvedRequest) -> Iterator[tuple[str, object]]:
    """The fields of which infotext says what applied; None where it says nothing."""
    first = resolved.passes[0].choice
    yield "sampler_name", first.sampler.label
    yield "scheduler", first.applied_schedule.label
    yield "tiling", resolved.is_tiled or None
    if resolved.request.has_hires_pass:
        hires = resolved.passes[1].choice
        yield "hr_sampler_name", None if hires.sampler == first.sampler else hires.sampler.label
        yield "hr_scheduler", _hires_schedule(first, hires)


def _hires_schedule(first: SamplerChoice, hires: SamplerChoice) -> str | None:
    """What is written of the hires pass's schedule: A1111 records one that the first pass did not.

    Where nothing written would be read as another schedule than the one that ran, the label is recorded as well.
    """
    if hires.recorded_schedule not in (None, first.recorded_schedule):
        return hires.recorded_schedule
    read = choice_of(hires.sampler, first.schedule)
    return None if read.recorded_schedule == hires.recorded_schedule else hires.applied_schedule.label


def _silent(request: GenerationRequest) -> Iterator[str]:
    """Fields that this request leaves out, because they had no effect."""
    yield from ("prompt", "negative_prompt")
    if request.subseed_strength == 0:
        yield from ("subseed", "subseed_strength")
    if request.seed_resize_from_w <= 0 or request.seed_resize_from_h <= 0:
        yield from ("seed_resize_from_w", "seed_resize_from_h")
    if request.mode == "txt2img" and not request.has_hires_pass:
        yield "denoising_strength"
    if request.distilled_cfg_scale == 0:
        yield "distilled_cfg_scale"
    if not request.has_refiner:
        yield from ("refiner_checkpoint", "refiner_switch_at")
    yield from _silent_hires(request) if request.has_hires_pass else _HIRES
    yield from _silent_inpainting(request) if request.mask is not None else _INPAINTING


_HIRES: Final = tuple(name for name in GenerationRequest.model_fields if name.startswith("hr_"))
_INPAINTING: Final = (
    "mask_blur_x",
    "inpainting_mask_invert",
    "inpainting_fill",
    "inpaint_full_res",
    "inpaint_full_res_padding",
)


def _silent_hires(request: GenerationRequest) -> Iterator[str]:
    if request.hr_resize_x == request.hr_resize_y == 0:
        yield from ("hr_resize_x", "hr_resize_y")
    else:
        yield "hr_scale"
    if request.hr_second_pass_steps == 0:
        yield "hr_second_pass_steps"
    if request.hr_prompt in ("", request.prompt):
        yield "hr_prompt"
    if request.hr_negative_prompt in ("", request.negative_prompt):
        yield "hr_negative_prompt"
    if request.hires_checkpoint is None:
        yield "hr_checkpoint_name"


def _silent_inpainting(request: GenerationRequest) -> Iterator[str]:
    if request.mask_blur_x == 0 or request.mask_blur_x != request.mask_blur_y:
        yield "mask_blur_x"
    if request.inpainting_mask_invert == 0:
        yield "inpainting_mask_invert"
    if request.inpainting_fill == 1:
        yield "inpainting_fill"
    if not request.inpaint_full_res:
        yield from ("inpaint_full_res", "inpaint_full_res_padding")


def _shown(name: str, request: GenerationRequest) -> object:
    """The value of the field `name` in the words of infotext."""
    match name:
        case "inpainting_mask_invert":
            return "Inpaint not masked"
        case "inpainting_fill":
            return MASKED_CONTENTS[request.inpainting_fill]
        case "inpaint_full_res":
            return "Only masked"
        case "hr_checkpoint_name":
            return _short_title(request.hr_checkpoint_name)
        case "refiner_checkpoint":
            return _short_title(request.refiner_checkpoint)
    return getattr(request, name)


def _short_title(title: str) -> str:
    """A checkpoint as A1111 names it in infotext: `name [hash]`, without folder and suffix."""
    file, bracket, hash_part = title.partition(" [")
    return PurePath(file).stem + bracket + hash_part
