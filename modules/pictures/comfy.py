"""ComfyUI's graph, read backwards from its sampler node to the prompts, the size and the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from modules.pictures.foreign_values import compose, number, obj, text

_SAMPLERS: Final = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "heunpp2": "HeunPP2",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "ddpm": "DDPM",
    "lcm": "LCM",
    "ipndm": "IPNDM",
    "ipndm_v": "IPNDM_V",
    "deis": "DEIS",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
    "uni_pc_bh2": "UniPC",
}
_SCHEDULES: Final = {
    "normal": "Normal",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ddim_uniform": "DDIM",
    "beta": "Beta",
    "kl_optimal": "KL Optimal",
}
_MOST_NODES: Final = 500
_TEXTS: Final = ("text", "text_g", "string", "value", "prompt")

Graph = Mapping[str, object]


def read_graph(graph: Graph, size: tuple[int, int]) -> str:
    """Infotext of the first sampler node with a positive prompt; empty when the graph has none."""
    for node in graph.values():
        inputs = obj(obj(node).get("inputs"))
        if "steps" in inputs and "positive" in inputs:
            return _infotext(graph, inputs, size)
    return ""


def _infotext(graph: Graph, inputs: Graph, size: tuple[int, int]) -> str:
    sampler = text(inputs.get("sampler_name")).removesuffix("_gpu")
    schedule = text(inputs.get("scheduler"))
    latent = next((n for n in _upstream(graph, inputs.get("latent_image")) if "width" in n and "height" in n), {})
    width, height = number(latent.get("width")) or size[0], number(latent.get("height")) or size[1]
    denoise = number(inputs.get("denoise"))
    values = {
        "Steps": _value(graph, inputs.get("steps")),
        "Sampler": _SAMPLERS.get(sampler, sampler),
        "Schedule type": _SCHEDULES.get(schedule, schedule),
        "CFG scale": _value(graph, inputs.get("cfg")),
        "Seed": _value(graph, inputs.get("seed", inputs.get("noise_seed"))),
        "Size": f"{width:.0f}x{height:.0f}",
        "Model": "",
        "Denoising strength": denoise if denoise is not None and denoise < 1 else None,
        # Its noise always comes from the processor.
        "RNG": "CPU",
        "Version": "ComfyUI",
    }
    tags = ""
    for node in _upstream(graph, inputs.get("model")):
        values["Model"] = values["Model"] or _stem(node.get("ckpt_name") or node.get("unet_name"))
        if lora := _stem(node.get("lora_name")):
            weight = number(node.get("strength_model"))
            tags += f" <lora:{lora}:{1 if weight is None else weight}>"
    return compose(_prompt(graph, inputs.get("positive")) + tags, _prompt(graph, inputs.get("negative")), values)


def _upstream(graph: Graph, link: object) -> Iterator[Graph]:
    """Inputs of the node behind `link` and of all that feed it, nearest first; each once, at most 500."""
    queue, seen = [link], set[str]()
    while queue and len(seen) < _MOST_NODES:
        node = _linked(queue.pop(0))
        if node is None or node in seen:
            continue
        seen.add(node)
        inputs = obj(obj(graph.get(node)).get("inputs"))
        yield inputs
        queue += list(inputs.values())[:_MOST_NODES]


def _linked(value: object) -> str | None:
    """The node that `[node, output]` points to."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
        return str(value[0])
    return None


def _prompt(graph: Graph, link: object) -> str:
    for node in _upstream(graph, link):
        for key in _TEXTS:
            if found := text(node.get(key)):
                return found
    return ""


def _value(graph: Graph, value: object) -> int | float | None:
    """A number, given directly or by a node that holds one."""
    if _linked(value) is None:
        return number(value)
    numbers = (number(entry) for node in _upstream(graph, value) for entry in node.values())
    return next((found for found in numbers if found is not None), None)


def _stem(value: object) -> str:
    name = text(value).replace("\\", "/")
    return PurePosixPath(name).stem if name else ""
