"""Infotext made from the texts that other programs leave in pictures: NovelAI, InvokeAI, ComfyUI and more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from modules.pictures.comfy import read_graph
from modules.pictures.foreign_json import json_infotext, xmp_parameters
from modules.pictures.foreign_values import compose, json_object, number, obj, sampler_and_schedule, text

_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_DREAM: Final = re.compile(r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>.*?))(?P<flags>(?:\s-.*)?)', re.DOTALL)
_FLAG: Final = re.compile(r"-([sSWHCAf])\s*([\w.]{1,40})")


def foreign_infotext(items: Mapping[str, str], size: tuple[int, int]) -> str:
    """Infotext made from another program's texts in a picture of `size`; empty when there are none that we know."""
    if items.get("Software") == "NovelAI" and (comment := json_object(items.get("Comment"))):
        return _novelai(items.get("Description", ""), comment, size)
    for key in ("invokeai_metadata", "sd-metadata"):
        if metadata := json_object(items.get(key)):
            return _invoke(metadata, size)
    if dream := items.get("Dream") or items.get("dream"):
        return _dream(dream, size)
    for found in _objects(items):
        if infotext := json_infotext(found, size):
            return infotext
    graph = json_object(items.get("prompt"))
    return read_graph(graph, size) if graph else ""


def _objects(items: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """The places where other programs put parameters as one object."""
    yield json_object(items.get("exif comment"))
    yield json_object(items.get("parameters"))
    yield xmp_parameters(items.get("XML:com.adobe.xmp", ""))
    # Easy Diffusion writes each value under a key of its own.
    yield items


def _novelai(description: str, comment: Mapping[str, object], size: tuple[int, int]) -> str:
    sampler, schedule = sampler_and_schedule(text(comment.get("sampler")), text(comment.get("noise_schedule")))
    values = {
        "Steps": number(comment.get("steps")),
        "Sampler": sampler,
        "Schedule type": "" if schedule == "native" else schedule,
        "CFG scale": number(comment.get("scale")),
        "Seed": number(comment.get("seed")),
        "Size": f"{size[0]}x{size[1]}",
        # What NovelAI's own pipeline does, and what A1111 takes it for.
        "Clip skip": 2,
        "ENSD": 31337,
    }
    return compose(description or text(comment.get("prompt")), text(comment.get("uc")), values)


def _invoke(metadata: Mapping[str, object], size: tuple[int, int]) -> str:
    old = obj(metadata.get("image"))
    source = {**metadata, **old}
    sampler, schedule = _invoke_sampler(text(source.get("scheduler") or source.get("sampler")))
    model = obj(source.get("model"))
    values = {
        "Steps": number(source.get("steps")),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": number(source.get("cfg_scale")),
        "Seed": number(source.get("seed")),
        "Size": f"{size[0]}x{size[1]}",
        "Model": text(model.get("name") or model.get("model_name") or source.get("model_weights")),
        "Denoising strength": number(source.get("strength")),
    }
    prompt, negative = text(source.get("positive_prompt")), text(source.get("negative_prompt"))
    if not prompt:
        prompt, negative = _brackets_apart(" ".join(_old_prompts(source.get("prompt"))))
    prompt += "".join(_invoke_loras(source.get("loras")))
    return compose(prompt, negative, values)


def _dream(line: str, size: tuple[int, int]) -> str:
    """The command line that the first InvokeAI wrote: a prompt in quotes, then `-s50 -S 7 -A k_lms`."""
    found = _DREAM.fullmatch(line.strip())
    if found is None:
        return ""
    prompt, negative = _brackets_apart((found["quoted"] or found["bare"] or "").replace('\\"', '"'))
    said: dict[str, str] = dict(_FLAG.findall(found["flags"]))
    sampler, schedule = _invoke_sampler(said.get("A", ""))
    values = {
        "Steps": said.get("s"),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": said.get("C"),
        "Seed": said.get("S"),
        "Size": f"{said.get('W', size[0])}x{said.get('H', size[1])}",
        "Denoising strength": said.get("f"),
    }
    return compose(prompt, negative, values)


def _brackets_apart(prompt: str) -> tuple[str, str]:
    """Old InvokeAI's negative words stand in square brackets among the others."""
    negative = ", ".join(part.strip() for part in _BRACKETS.findall(prompt))
    return " ".join(_BRACKETS.sub("", prompt).split()), negative


def _invoke_sampler(name: str) -> tuple[str, str]:
    name = name.removeprefix("k_")
    stem = name.removesuffix("_k")
    return sampler_and_schedule(stem, "Karras" if stem != name else "")


def _old_prompts(prompt: object) -> Iterator[str]:
    if isinstance(prompt, str):
        yield prompt
    elif isinstance(prompt, list):
        yield from (text(obj(part).get("prompt")) for part in prompt)


def _invoke_loras(loras: object) -> Iterator[str]:
    for entry in loras if isinstance(loras, list) else []:
        model = obj(obj(entry).get("model") or obj(entry).get("lora"))
        name = text(model.get("name") or model.get("model_name"))
        if name:
            weight = number(obj(entry).get("weight"))
            yield f" <lora:{name}:{1 if weight is None else weight}>"
