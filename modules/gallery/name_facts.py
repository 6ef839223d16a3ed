"""What a name may speak of: the picture, its request, its place in the job, and the time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modules.parameters import ResolvedRequest

_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_TITLE: Final = re.compile(r"(?P<file>.*?)(?:\s\[(?P<hash>[0-9a-fA-F]+)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFacts:
    """The values behind the tokens of a pattern.

    `index` counts from 0 over the whole job. `denoising` is None where the strength had no effect. `pixels_hash` is
    called only when the pattern needs it, because the picture must be decoded for it.
    """

    now: datetime
    started: datetime | None = None
    prompt: str = ""
    negative_prompt: str = ""
    style_prompts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    index: int = 0
    steps: int = 20
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    sampler: str = ""
    scheduler: str = "Automatic"
    model_name: str = ""
    model_hash: str = ""
    vae: str | None = None
    batch_size: int = 1
    batch_count: int = 1
    clip_skip: int = 1
    denoising: float | None = None
    user: str | None = None
    basename: str | None = None
    most_words: int = 8
    pixels_hash: Callable[[], str] | None = None

    @property
    def seed(self) -> int:
        return self.seeds[min(self.index, len(self.seeds) - 1)]


def name_facts(
    resolved: ResolvedRequest,
    index: int,
    now: datetime,
    *,
    clip_skip: int,
    most_words: int,
    size: tuple[int, int] | None = None,
    pixels_hash: Callable[[], str] | None = None,
) -> NameFacts:
    """What names may say about image `index` of a job; `size` is the finished picture's, where it differs."""
    own = resolved.of_image(index) if resolved.variants else resolved
    request = own.request
    file, model_hash = _split_title(resolved.checkpoint or "")
    width, height = size or (request.width, request.height)
    return NameFacts(
        now=now,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        styles=request.styles,
        seeds=resolved.seeds,
        index=index,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        width=width,
        height=height,
        sampler=request.sampler_name,
        scheduler=request.scheduler,
        model_name=file.replace("\\", "/").replace("/", "_").rpartition(".")[0] or file,
        model_hash=model_hash,
        vae=resolved.vae,
        batch_size=request.batch_size,
        batch_count=request.n_iter,
        clip_skip=clip_skip,
        denoising=request.denoising_strength if request.mode == "img2img" or request.enable_hr else None,
        most_words=most_words,
        pixels_hash=pixels_hash,
    )


def facts_of_infotext(
    infotext: Mapping[str, object], now: datetime, *, most_words: int = 8, basename: str | None = None
) -> NameFacts:
    """What names may say about a picture of which only the parsed infotext is known."""
    parsed = {key: str(value) for key, value in infotext.items()}
    return NameFacts(
        now=now,
        prompt=parsed.get("Prompt", ""),
        negative_prompt=parsed.get("Negative prompt", ""),
        seeds=(_whole(parsed.get("Seed"), 0),),
        steps=_whole(parsed.get("Steps"), 0),
        cfg_scale=_number(parsed.get("CFG scale"), 0.0),
        width=_whole(parsed.get("Size-1"), 0),
        height=_whole(parsed.get("Size-2"), 0),
        sampler=parsed.get("Sampler", ""),
        scheduler=parsed.get("Schedule type", "Automatic"),
        model_name=parsed.get("Model", ""),
        model_hash=parsed.get("Model hash", ""),
        vae=parsed.get("VAE"),
        clip_skip=_whole(parsed.get("Clip skip"), 1),
        denoising=_number(parsed["Denoising strength"], 0.0) if "Denoising strength" in parsed else None,
        user=parsed.get("User"),
        basename=basename,
        most_words=most_words,
    )


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 20 else default


def _number(text: str | None, default: float) -> float:
    return float(text) if text and _NUMBER.fullmatch(text) else default


def _split_title(title: str) -> tuple[str, str]:
    """`model.safetensors [0123456789]` as file and hash."""
    match = _TITLE.fullmatch(title)
    return (match.group("file"), match.group("hash") or "") if match else (title, "")
