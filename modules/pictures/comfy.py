"""ComfyUI's graph, read backwards from the saved picture to its sampler, and from there to prompts, size and models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from modules.pictures.comfy_graph import Graph, Inputs, Node
from modules.pictures.comfy_prompts import PromptReader
from modules.pictures.foreign_values import compose, model_stem, number, obj, sampler_and_schedule, text

_MOST_ENDS: Final = 20
# Where a sampler comes in parts, the inputs behind which they stand.
_PARTS: Final = ("guider", "noise", "sampler", "sigmas")
_SAMPLER_NODES: Final = {
    "SamplerEulerAncestral": "euler_ancestral",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "SamplerDPMPP_SDE": "dpmpp_sde",
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
    "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
    "SamplerDPMAdaptative": "dpm_adaptive",
    "SamplerLMS": "lms",
}
_SCHEDULER_NODES: Final = {
    "KarrasScheduler": "karras",
    "ExponentialScheduler": "exponential",
    "PolyexponentialScheduler": "polyexponential",
    "BetaSamplingScheduler": "beta",
    "AlignYourStepsScheduler": "align_your_steps",
    "SDTurboScheduler": "turbo",
}
_LORA_NAME: Final = re.compile(r"lora_name(?P<number>_?[0-9]{0,2})")
_LORA_WEIGHTS: Final = ("strength_model", "model_weight", "model_str", "lora_wt", "strength")
_NO_LORA: Final = frozenset({"", "None", "none"})


def read_graph(nodes: Inputs, size: tuple[int, int]) -> str:
    """Infotext of the sampler that made the saved picture; empty when the graph has no sampler with prompts."""
    graph = Graph(nodes)
    sampler = _saved_sampler(graph)
    return _infotext(graph, sampler, size) if sampler else ""


def _saved_sampler(graph: Graph) -> Node | None:
    """The sampler nearest to the picture that was saved; of several pictures, to the one with the longest way."""
    ends = sorted(graph.ends(), key=_rank)[:_MOST_ENDS]
    best: Node | None = None
    key = (-3, 0)
    for end in ends:
        line = [end, *graph.upstream(*end.inputs.values())]
        samplers = [node for node in line if _is_sampler(node)]
        # Nodes that repaint parts of a finished picture sample as well, but did not make it.
        samplers = [node for node in samplers if "image" not in node.inputs] or samplers
        if samplers and (-_rank(end), len(line)) > key:
            best, key = samplers[0], (-_rank(end), len(line))
    return best


def _rank(end: Node) -> int:
    kind = end.kind.lower()
    return 0 if "save" in kind else 1 if "preview" in kind else 2


def _is_sampler(node: Node) -> bool:
    inputs = node.inputs
    return ("positive" in inputs and ("steps" in inputs or "sigmas" in inputs)) or (
        "guider" in inputs and "sigmas" in inputs
    )


def _infotext(graph: Graph, node: Node, size: tuple[int, int]) -> str:
    parts = _parts(graph, node)

    def part(*names: str) -> object:
        return next((inputs[name] for inputs in parts for name in names if name in inputs), None)

    sampler, schedule = sampler_and_schedule(
        graph.string(part("sampler_name"), ("sampler_name",)), graph.string(part("scheduler"), ("scheduler",))
    )
    model = part("model")
    tags = "".join(f" <lora:{name}:{weight}>" for name, weight in _loras(graph, model))
    denoise = graph.number(part("denoise"), ("denoise",))
    values = {
        "Steps": graph.number(part("steps"), ("steps",)),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": graph.number(part("cfg", "cfg_conds"), ("cfg",)),
        "Seed": graph.number(part("seed", "noise_seed")),
        "Size": _size(graph, part("latent_image", "samples"), size),
        "Model": _model(graph, model),
        "Denoising strength": denoise if denoise is not None and denoise < 1 else None,
        # Its noise always comes from the processor.
        "RNG": "CPU",
        "Version": "ComfyUI",
    }
    prompts = PromptReader(graph)
    positive = prompts.read(part("positive", "conditioning", "cond1"), "positive")
    return compose(positive + tags, prompts.read(part("negative"), "negative"), values)


def _parts(graph: Graph, node: Node) -> list[Inputs]:
    """The inputs of a sampler and of the nodes that its parts consist of, nearest first."""
    parts = [node.inputs]
    for name in _PARTS:
        # The first node of a part names it; those behind may cut its steps, and lead on to the model.
        for found in graph.upstream(node.inputs.get(name)):
            named = {"sampler_name": _SAMPLER_NODES.get(found.kind), "scheduler": _SCHEDULER_NODES.get(found.kind)}
            parts.append({**found.inputs, **{key: value for key, value in named.items() if value}})
            if "sigmas" not in found.inputs:
                break
    return parts


def _size(graph: Graph, latent: object, size: tuple[int, int]) -> str:
    sized = (node.inputs for node in graph.upstream(latent) if "width" in node.inputs and "height" in node.inputs)
    inputs = next(sized, {})
    width = graph.number(inputs.get("width"), ("width",)) or size[0]
    height = graph.number(inputs.get("height"), ("height",)) or size[1]
    return f"{width:.0f}x{height:.0f}"


def _model(graph: Graph, link: object) -> str:
    names = (model_stem(node.inputs.get("ckpt_name") or node.inputs.get("unet_name")) for node in graph.upstream(link))
    return next(filter(None, names), "")


def _loras(graph: Graph, link: object) -> Iterator[tuple[str, int | float]]:
    """Name and weight of every LoRA on the way to the model, those switched off left out."""
    for node in graph.upstream(link):
        for key, value in node.inputs.items():
            if named := _LORA_NAME.fullmatch(key):
                ending = named["number"]
                name, on = text(value), node.inputs.get(f"switch{ending}") != "Off"
                weights = [number(node.inputs.get(weight + ending)) for weight in _LORA_WEIGHTS]
            else:
                name, on = text(obj(value).get("lora")), obj(value).get("on") is not False
                weights = [number(obj(value).get("strength"))]
            if name not in _NO_LORA and on:
                yield model_stem(name), next((weight for weight in weights if weight is not None), 1)
