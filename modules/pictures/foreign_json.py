"""Parameters that other programs write as one JSON object where A1111 writes its infotext.

SwarmUI (`sui_image_params`), Fooocus and RuinedFooocus, Draw Things (`c` and `uc`, in XMP), Easy Diffusion. They differ
in the names of keys alone, so one table of names reads them all.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from modules.pictures.foreign_values import (
    compose,
    json_object,
    model_stem,
    number,
    obj,
    sampler_and_schedule,
    text,
)

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "Prompt", "positive_prompt", "original_prompt", "c"),
    "negative": ("negativeprompt", "negative_prompt", "Negative", "negative prompt", "Negative Prompt", "uc"),
    "steps": ("steps", "num_inference_steps", "Steps"),
    "sampler": ("sampler", "sampler_name", "Sampler"),
    "schedule": ("scheduler", "Scheduler"),
    "cfg": ("cfgscale", "guidance_scale", "cfg_scale", "cfg", "scale"),
    "seed": ("seed", "Seed"),
    "model": ("model", "base_model", "base_model_name", "use_stable_diffusion_model", "Model"),
    "hash": ("base_model_hash", "model_hash"),
    "vae": ("vae", "use_vae_model"),
    "denoise": ("initimagecreativity", "prompt_strength", "strength", "denoise"),
    "clip_skip": ("clip_skip",),
}
# Of these at least two, or the object is something else.
_DECISIVE: Final = ("prompt", "steps", "sampler", "cfg", "seed", "model")
_SIZE: Final = re.compile(r"\D*([0-9]{1,6})\s*[x,×]\s*([0-9]{1,6})\D*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_XMP_COMMENT: Final = re.compile(r"<exif:UserComment>.*?<rdf:li[^>]*>([^<]*)</rdf:li>", re.DOTALL)
_NO_NAME: Final = frozenset({"", "None", "Automatic", "Default (model)"})
_VERSIONS: Final = ("swarm_version", "version", "software")


def json_infotext(source: Mapping[str, object], size: tuple[int, int]) -> str:
    """Infotext of a JSON object with parameters, in a picture of `size`; empty when it holds none that we know."""
    said = obj(source.get("sui_image_params")) or source
    found = {name: next((said[key] for key in keys if key in said), None) for name, keys in _NAMES.items()}
    if sum(found[name] is not None for name in _DECISIVE) < 2:
        return ""
    sampler, schedule = sampler_and_schedule(text(found["sampler"]), text(found["schedule"]))
    width, height = _size(said) or size
    values = {
        "Steps": _number(found["steps"]),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": _number(found["cfg"]),
        "Seed": _number(found["seed"]),
        "Size": f"{width}x{height}",
        "Model hash": text(found["hash"])[:10],
        "Model": model_stem(found["model"]),
        "VAE": "" if text(found["vae"]) in _NO_NAME else text(found["vae"]),
        "Denoising strength": _denoising(_number(found["denoise"])),
        "Clip skip": _number(found["clip_skip"]),
        "Version": _version(said),
    }
    tags = "".join(f" <lora:{name}:{weight}>" for name, weight in _loras(said))
    return compose(_prompt(found["prompt"]) + tags, _prompt(found["negative"]), values)


def xmp_parameters(xmp: str) -> dict[str, object]:
    """The JSON object in an XMP block's `exif:UserComment` (Draw Things), else an empty one."""
    found = _XMP_COMMENT.search(xmp)
    return json_object(html.unescape(found[1])) if found else {}


def _prompt(value: object) -> str:
    """A prompt; Fooocus lists several."""
    return "\n".join(map(text, value)) if isinstance(value, list) else text(value)


def _number(value: object) -> int | float | str | None:
    """A number, also one in quotes."""
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else number(value)


def _denoising(value: int | float | str | None) -> int | float | str | None:
    return None if value is None or float(value) >= 1 else value


def _size(said: Mapping[str, object]) -> tuple[int, int] | None:
    width, height = number(said.get("width")), number(said.get("height"))
    if width is not None and height is not None:
        return int(width), int(height)
    for key in ("resolution", "size"):
        found = _SIZE.fullmatch(str(said.get(key, ""))[:100])
        if found:
            return int(found[1]), int(found[2])
    return None


def _version(said: Mapping[str, object]) -> str:
    version = next((text(said[key]) for key in _VERSIONS if text(said.get(key))), "")
    return f"SwarmUI {version}" if "swarm_version" in said else version


def _loras(said: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Name and weight: parallel lists (SwarmUI), `[name, weight]` in either order (Fooocus), objects (Draw Things)."""
    loras, weights = said.get("loras") or said.get("lora"), said.get("loraweights")
    weights = weights if isinstance(weights, list) else []
    for index, entry in enumerate(loras if isinstance(loras, list) else ()):
        weight: object = weights[index] if index < len(weights) else None
        name: object = entry
        if isinstance(entry, dict):
            name, weight = entry.get("model") or entry.get("name"), entry.get("weight")
        elif isinstance(entry, list):
            # RuinedFooocus has the weight first, and both in quotes.
            name, weight = next(((one, other) for one, other in _pairs(entry) if _number(one) is None), (None, None))
        if text(name) not in _NO_NAME:
            known = _number(weight)
            yield model_stem(name), 1 if known is None else known


def _pairs(entry: Sequence[object]) -> list[tuple[object, object]]:
    """The first two of a list in both orders."""
    first, second = (*entry, None, None)[:2]
    return [(first, second), (second, first)]
