"""Prompts from file or textbox: a line is a prompt, or a command line that says what changes. As A1111 v1.10.1."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from modules.features.planning import Picture, few_enough, ordinary
from modules.features.prompts_from_file.declare import PromptsFromFileArguments
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.samplers import SAMPLERS

# Without a seed of its own each line has another one, this far from the job's.
_APART: Final = 2**31
_RANDOM: Final = random.SystemRandom()


# An apostrophe between letters is no quote; while a line is split, this stands in its place.
_APOSTROPHE: Final = re.compile(r"(?<=\w)'(?=\w)")
_STAND_IN: Final = "\ue000"
_OPTION: Final = re.compile(r"--[A-Za-z]")


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "1", "yes", "on", "false", "0", "no", "off"):
        raise ValueError(text)
    return text.lower() in ("true", "1", "yes", "on")


def _sampler(text: str) -> str:
    """By its place in the list, as --sampler_index gives it; names pass."""
    return SAMPLERS[int(text)].label if text.isdecimal() and int(text) < len(SAMPLERS) else text


_CHECKPOINT: Final = "sd_model_checkpoint"

# What a line may change: the field, and how its text is read. The others that A1111 knows are without effect here.
_TAGS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "prompt": ("prompt", str),
    "negative_prompt": ("negative_prompt", str),
    "seed": ("seed", int),
    "subseed": ("subseed", int),
    "subseed_strength": ("subseed_strength", float),
    "seed_resize_from_h": ("seed_resize_from_h", int),
    "seed_resize_from_w": ("seed_resize_from_w", int),
    "sampler_index": ("sampler_name", _sampler),
    "sampler_name": ("sampler_name", str),
    "batch_size": ("batch_size", int),
    "n_iter": ("n_iter", int),
    "steps": ("steps", int),
    "cfg_scale": ("cfg_scale", float),
    "width": ("width", int),
    "height": ("height", int),
    "tiling": ("tiling", _switch),
    "sd_model": (_CHECKPOINT, str),
}
_IDLE: Final = ("outpath_samples", "outpath_grids", "prompt_for_display", "styles", "restore_faces")
_IDLE_TOO: Final = ("do_not_save_samples", "do_not_save_grid")


def prompts_from_file(request: GenerationRequest) -> Sequence[Picture]:
    """The pictures of every line, one line after the other."""
    arguments = PromptsFromFileArguments.of(request.scripts)
    lines = [line for text in arguments.prompts.splitlines() if (line := text.strip())]
    if not lines:
        raise RequestError("Prompts from file or textbox: the list is empty: write a prompt on each line.")
    few_enough("Prompts from file or textbox", len(lines))
    drawn_anew = request.seed == -1 and not (arguments.iterate_seed or arguments.same_seed)
    pictures: list[Picture] = []
    for number, line in enumerate(lines):
        fields = _joined(request, read_line(line, number + 1), at_start=arguments.prompt_position == "start")
        overrides = {_CHECKPOINT: fields.pop(_CHECKPOINT)} if _CHECKPOINT in fields else {}
        changed = request.model_copy(update=fields)
        before = number * request.n_iter * request.batch_size if arguments.iterate_seed else 0
        before += _RANDOM.randrange(_APART) if drawn_anew else 0
        for one in ordinary(changed, fields):
            own = {"seed": fields["seed"] + one.seed} if fields.get("seed", -1) >= 0 else {}
            pictures.append(Picture({**fields, **own}, overrides, seed=before + one.seed, subseed=one.subseed))
    return pictures


def read_line(line: str, number: int) -> dict[str, Any]:
    """The fields that a line changes: its prompt, or what its `--options` say.

    A line without options is a prompt. Raises RequestError naming the line and what of it can't be read: A1111 takes
    such a line for a prompt, options and all.
    """
    if not any(_OPTION.match(word) for word in line.split()):
        return {"prompt": line}
    words = _words(line, number)
    fields: dict[str, Any] = {}
    position = 0
    while position < len(words):
        tag = words[position].removeprefix("--")
        if not _OPTION.match(words[position]):
            text = repr(words[position][:40])
            raise RequestError(f"Line {number} of the prompts: {text} belongs to no option: write --prompt before it.")
        if tag not in (*_TAGS, *_IDLE, *_IDLE_TOO):
            raise RequestError(f"Line {number} of the prompts: there is no option --{tag[:40]}.")
        position += 1
        if tag in ("prompt", "negative_prompt"):
            start = position
            while position < len(words) and not _OPTION.match(words[position]):
                position += 1
            fields[tag] = " ".join(words[start:position])
            continue
        if position >= len(words):
            raise RequestError(f"Line {number} of the prompts: --{tag} has no value.")
        if tag in _TAGS:
            fields |= _read(tag, words[position], number)
        position += 1
    return fields


def _words(line: str, number: int) -> list[str]:
    try:
        words = shlex.split(_APOSTROPHE.sub(_STAND_IN, line))
    except ValueError as error:
        raise RequestError(f"Line {number} of the prompts: a quote is opened and not closed: {line[:60]!r}.") from error
    return [word.replace(_STAND_IN, "'") for word in words]


def _read(tag: str, text: str, number: int) -> dict[str, Any]:
    field, read = _TAGS[tag]
    try:
        return {field: read(text)}
    except ValueError:
        if read is _switch:
            sentence = f"Line {number} of the prompts: --{tag} is {text[:40]!r}, which is neither true nor false."
        else:
            sentence = f"Line {number} of the prompts: --{tag} is {text[:40]!r}, which is no number."
        raise RequestError(sentence) from None


def _joined(request: GenerationRequest, fields: dict[str, Any], *, at_start: bool) -> dict[str, Any]:
    """A line's prompts stand before or behind those of the form."""
    for name in ("prompt", "negative_prompt"):
        own, forms = fields.get(name), getattr(request, name)
        if own and forms:
            fields[name] = f"{own} {forms}" if at_start else f"{forms} {own}"
    return fields
