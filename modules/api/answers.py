"""Finished jobs as A1111's API answers them: pictures in base64, the echoed request, and `info` as a JSON string."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from modules.api.base64_pictures import as_base64
from modules.api.bodies import ApiOnly
from modules.api.http_errors import GenerationFailed
from modules.gallery import GRID_KINDS
from modules.jobs.job import Job, SavedImage
from modules.jobs.shown_images import shown_images
from modules.parameters import parse_infotext
from modules.version import INFOTEXT_VERSION

# Of an infotext, what A1111 keeps among the extra parameters: of hires fix, of inpainting and of changed settings.
_NOT_EXTRA: Final = frozenset(
    {
        *("Prompt", "Negative prompt", "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model"),
        *("Model hash", "VAE", "VAE hash", "Variation seed", "Variation seed strength", "Seed resize from"),
        *("Denoising strength", "Clip skip", "Version", "User", "Face restoration", "Image CFG scale", "Tiling"),
        *("Size-1", "Size-2", "Seed resize from-1", "Seed resize from-2", "ENSD", "RNG", "Token merging ratio"),
    }
)


# Of `info`, what has an entry for each picture.
_FOR_EACH: Final = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts")


def generation_answer(jobs: Sequence[Job], body: ApiOnly) -> dict[str, Any]:
    """The answer to a generation call; of several jobs, one for each file of a batch, the pictures of all of them.

    Raises GenerationFailed with the cause when one of them has failed.
    """
    for job in jobs:
        if job.state == "failed":
            name = job.request.batch.name if job.request.batch is not None else ""
            raise GenerationFailed(": ".join(filter(None, (name, job.cause or "The job failed."))))
    shown = [shown_images(job) for job in jobs]
    hidden = {"init_images", "mask"} if not getattr(body, "include_init_images", False) else set()
    infos = [job_info(job, images) for job, images in zip(jobs, shown, strict=True)]
    info = infos[0] | {name: [one for each in infos for one in each[name]] for name in _FOR_EACH}
    pictures = [image for images in shown for image in images] if body.send_images else []
    return {
        "images": [as_base64(image.path.read_bytes()) for image in pictures],
        "parameters": body.model_dump() | dict.fromkeys(hidden & set(type(body).model_fields), None),
        "info": json.dumps(info, ensure_ascii=False),
    }


def job_info(job: Job, images: list[SavedImage]) -> dict[str, Any]:
    """A1111's `info`: what was made, by which seeds, with one infotext for each returned picture."""
    resolved, request = job.resolved, job.resolved.request
    one_for_all = [request] * resolved.image_count
    each = [resolved.of_image(index).request for index in range(len(one_for_all))] if resolved.variants else one_for_all
    values = _plain_value(images)
    return {
        "prompt": request.prompt,
        "all_prompts": [one.prompt for one in each],
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [one.negative_prompt for one in each],
        "seed": resolved.seeds[0],
        "all_seeds": list(resolved.seeds),
        "subseed": resolved.subseeds[0],
        "all_subseeds": list(resolved.subseeds),
        "subseed_strength": request.subseed_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler_name,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size,
        "restore_faces": "Face restoration" in values,
        "face_restoration_model": values.get("Face restoration"),
        **_models(resolved.checkpoint, resolved.vae, values),
        "seed_resize_from_w": request.seed_resize_from_w,
        "seed_resize_from_h": request.seed_resize_from_h,
        "denoising_strength": request.denoising_strength if request.enable_hr or request.mode == "img2img" else None,
        "extra_generation_params": _extra_parameters(images),
        "index_of_first_image": sum(image.kind in GRID_KINDS for image in images),
        "infotexts": [image.infotext for image in images],
        "styles": list(job.request.styles),
        "job_timestamp": job_timestamp(job),
        "clip_skip": resolved.settings.encoding.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": INFOTEXT_VERSION,
        "job_id": job.id,
        "comments": list(job.notices),
    }


def _plain_value(images: list[SavedImage]) -> Mapping[str, str]:
    return parse_infotext(images[0].infotext) if images else {}


def _extra_parameters(images: list[SavedImage]) -> dict[str, str]:
    """What stands written in the infotext beside the usual; the reader adds what a missing key means, we don't."""
    return {
        key: value
        for key, value in _plain_value(images).items()
        if key not in _NOT_EXTRA and f", {key}: " in images[0].infotext
    }


def _models(checkpoint: str | None, vae: str | None, values: Mapping[str, str]) -> dict[str, Any]:
    title = (checkpoint or "").rsplit(" [", 1)[0]
    return {
        "sd_model_name": values.get("Model", PurePath(title).stem),
        "sd_model_hash": values.get("Model hash"),
        "sd_vae_name": vae,
        "sd_vae_hash": values.get("VAE hash"),
    }


def job_timestamp(job: Job) -> str:
    """When the job began, in the form A1111 uses for names and state."""
    return time.strftime("%Y%m%d%H%M%S", time.localtime(job.started or job.created))
