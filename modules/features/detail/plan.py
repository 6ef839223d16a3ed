"""The passes of the detail pass: for each tab one for each part of its prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelNotFoundError
from modules.features.controlnet.declare import CONTROLNET
from modules.features.declaration import checked_arguments
from modules.features.detail.declare import (
    NONE,
    PASSTHROUGH,
    SAME_VAE,
    TITLE,
    DetailArguments,
    DetailTab,
)
from modules.features.detail.detectors.plan import Detector, named_detector
from modules.features.planning import Picture
from modules.features.table import scripts_of
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.job_options import DetailOptions
from modules.parameters.samplers import resolve_sampler
from modules.settings.choices import IMG2IMG, SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULE
from modules.settings.groups import read_options

_SEPARATOR: Final = re.compile(r"\s*\[SEP\]\s*")
_MAIN: Final = "[PROMPT]"
_SKIP: Final = "[SKIP]"
# These are parts of A1111 and not named by the setting.
_BUILT_IN: Final = frozenset({"soft_inpainting", "hypertile_script"})


class MaskPrompts(NamedTuple):
    """The prompts of a mask, as a tab has them. A blank one means the picture's own."""

    prompt: str
    negative_prompt: str

    @property
    def is_skipped(self) -> bool:
        """Whether the mask is left as it is."""
        return self.prompt == _SKIP


def parts_of(tab: DetailTab) -> list[MaskPrompts]:
    """The prompts of a tab's masks: the first mask has the first, and those beyond the end have the last."""
    prompts, negatives = (_SEPARATOR.split(text.strip()) for text in (tab.ad_prompt, tab.ad_negative_prompt))
    count = max(len(prompts), len(negatives))
    return [
        MaskPrompts(prompts[min(number, len(prompts) - 1)], negatives[min(number, len(negatives) - 1)])
        for number in range(count)
    ]


def detail_passes(request: GenerationRequest, options: Mapping[str, object]) -> Sequence[Picture]:
    """What every pass changes of the request, tab by tab and part by part.

    Raises RequestError for too many tabs, and for names of samplers that are unknown.
    """
    wanted = read_options(DetailOptions, options)
    tabs = DetailArguments.of(request.scripts).tabs
    if len(tabs) > wanted.max_models:
        raise RequestError(
            f"{TITLE}: there are {len(tabs)} tabs; the setting ad_max_models allows {wanted.max_models}."
        )
    for tab in tabs:
        _check_sampler(request, tab)
    return [_pass(request, wanted, tab, part) for tab in tabs for part in parts_of(tab)]


def check_detectors(request: GenerationRequest, names: Callable[[], Sequence[str]]) -> None:
    """Look the detectors of the tabs up among the `names` of those that are here.

    Raises RequestError for one that is not.
    """
    tabs = DetailArguments.of(request.scripts).tabs
    detectors = [Detector(name=name) for name in names()] if tabs else []
    for tab in tabs:
        try:
            named_detector(tab.ad_model, detectors)
        except ModelNotFoundError as error:
            raise RequestError(f"{TITLE}: {error}") from error


def _check_sampler(request: GenerationRequest, tab: DetailTab) -> None:
    fields = {"sampler_name": request.sampler_name, "scheduler": request.scheduler, **dict(_separate_fields(tab))}
    if tab.ad_use_sampler:
        try:
            resolve_sampler(fields["sampler_name"], fields["scheduler"], strict=True)
        except ValueError as error:
            raise RequestError(f"{TITLE}: {error}") from error


def _pass(request: GenerationRequest, wanted: DetailOptions, tab: DetailTab, part: MaskPrompts) -> Picture:
    fields: dict[str, Any] = {
        "mode": "img2img",
        **dict(_prompts(request, part)),
        "denoising_strength": tab.ad_denoising_strength,
        "enable_hr": False,
        "refiner_checkpoint": "",
        "firstpass_image": None,
        "n_iter": 1,
        "batch_size": 1,
        "init_images": (),
        # The mask is made when the picture is there: this says that there is one.
        "mask": TITLE,
        "mask_round": True,
        "mask_blur_x": tab.ad_mask_blur,
        "mask_blur_y": tab.ad_mask_blur,
        "resize_mode": 0,
        "inpainting_mask_invert": 0,
        "inpainting_fill": 1,
        "inpaint_full_res": tab.ad_inpaint_only_masked,
        "inpaint_full_res_padding": tab.ad_inpaint_only_masked_padding,
        "restore_faces": tab.ad_restore_face,
        "scripts": dict(_scripts_inside(request, wanted, tab)),
        **dict(_separate_fields(tab)),
    }
    return Picture(fields, dict(_separate_settings(tab)))


def _prompts(request: GenerationRequest, part: MaskPrompts) -> Iterator[tuple[str, str]]:
    for name, own, main in (
        ("prompt", part.prompt, request.prompt),
        ("negative_prompt", part.negative_prompt, request.negative_prompt),
    ):
        if own:
            yield name, own.replace(_MAIN, main)


def _separate_fields(tab: DetailTab) -> Iterator[tuple[str, Any]]:
    if tab.ad_use_inpaint_width_height:
        yield "width", _cells(tab.ad_inpaint_width)
        yield "height", _cells(tab.ad_inpaint_height)
    if tab.ad_use_steps:
        yield "steps", tab.ad_steps
    if tab.ad_use_cfg_scale:
        yield "cfg_scale", tab.ad_cfg_scale
    if tab.ad_use_sampler and tab.ad_sampler != SAME_SAMPLER:
        yield "sampler_name", tab.ad_sampler
    if tab.ad_use_sampler and tab.ad_scheduler != SAME_SCHEDULE:
        yield "scheduler", tab.ad_scheduler


def _separate_settings(tab: DetailTab) -> Iterator[tuple[str, JsonValue]]:
    if tab.ad_use_checkpoint and tab.ad_checkpoint not in ("", "None", SAME_CHECKPOINT):
        yield "sd_model_checkpoint", tab.ad_checkpoint
    if tab.ad_use_vae and tab.ad_vae not in ("", SAME_VAE):
        yield "sd_vae", tab.ad_vae
    if tab.ad_use_noise_multiplier:
        yield "initial_noise_multiplier", tab.ad_noise_multiplier
    if tab.ad_use_clip_skip:
        yield "CLIP_stop_at_last_layers", tab.ad_clip_skip


def _cells(side: int) -> int:
    """A side in whole cells of the latent."""
    return max(64, round(side / 8) * 8)


def _scripts_inside(
    request: GenerationRequest, wanted: DetailOptions, tab: DetailTab
) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """The scripts that work in the passes too: those that settings name, and ControlNet where the tab passes it on."""
    named = _BUILT_IN | {name.strip() for name in wanted.script_names.split(",")}
    for script, values in scripts_of(request.scripts):
        if script is CONTROLNET:
            inside = tab.ad_controlnet_model == PASSTHROUGH
        else:
            inside = script.title != TITLE and script.always_on and not script.postprocesses
            inside = inside and (not wanted.only_selected_scripts or PurePath(script.file).stem in named)
        if inside and script.tabs >= IMG2IMG:
            yield script.title, dict(values)
    if tab.ad_controlnet_model not in ("", NONE, PASSTHROUGH):
        yield CONTROLNET.title, checked_arguments(CONTROLNET, {"units": [_unit(tab)]})


def _unit(tab: DetailTab) -> dict[str, JsonValue]:
    """The unit of ControlNet that a tab names; without a picture of its own it sees what the pass starts from."""
    return {
        "enabled": True,
        "module": tab.ad_controlnet_module,
        "model": tab.ad_controlnet_model,
        "weight": tab.ad_controlnet_weight,
        "guidance_start": tab.ad_controlnet_guidance_start,
        "guidance_end": tab.ad_controlnet_guidance_end,
    }


def detector_folders(folders: ModelFolders, extra: str) -> tuple[Path, ...]:
    """Where detectors lie: their own folder, and those that the setting names, parted by vertical bars."""
    named = (Path(part.strip()).expanduser() for part in extra.split("|") if part.strip())
    return (*folders.detectors, *named)
