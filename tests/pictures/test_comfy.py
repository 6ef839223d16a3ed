"""Graphs of ComfyUI: which sampler made the picture, and which text is which prompt."""

from __future__ import annotations

from typing import Any

import pytest

from modules.parameters import parse_infotext
from modules.pictures.comfy import read_graph

Nodes = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampler(**inputs: Any) -> dict[str, Any]:
    values = {"seed": 5, "steps": 20, "cfg": 7, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    links = {"model": ["model", 0], "positive": ["fox", 0], "negative": ["fog", 0], "latent_image": ["latent", 0]}
    return node("KSampler", **(values | links | inputs))


def graph(**nodes: dict[str, Any]) -> Nodes:
    """A plain text to image graph, with `nodes` in it."""
    plain = {
        "model": node("CheckpointLoaderSimple", ckpt_name="sub/xl_base_1.0.safetensors"),
        "fox": node("CLIPTextEncode", text="a fox", clip=["model", 1]),
        "fog": node("CLIPTextEncode", text="fog", clip=["model", 1]),
        "latent": node("EmptyLatentImage", width=640, height=512, batch_size=1),
        "sampler": sampler(),
        "pixels": node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
        "save": node("SaveImage", images=["pixels", 0], filename_prefix="x"),
    }
    return {**plain, **nodes}


def said(nodes: Nodes) -> dict[str, Any]:
    return parse_infotext(read_graph(nodes, (64, 64)))


def prompts(nodes: Nodes) -> tuple[str, str]:
    found = said(nodes)
    return found["Prompt"], found["Negative prompt"]


def test_the_number_of_the_output_says_which_prompt_is_meant() -> None:
    control = node("ControlNetApplyAdvanced", positive=["fox", 0], negative=["fog", 0], image=["fox", 0], strength=1)
    nodes = graph(control=control, sampler=sampler(positive=["control", 0], negative=["control", 1]))
    assert prompts(nodes) == ("a fox", "fog")
    # Two of them, one behind the other, as people chain ControlNets.
    nodes["second"] = node("ControlNetApplyAdvanced", positive=["control", 0], negative=["control", 1])
    nodes["sampler"] = sampler(positive=["second", 0], negative=["second", 1])
    assert prompts(nodes) == ("a fox", "fog")


def test_a_loader_that_holds_both_prompts() -> None:
    loader = node("Efficient Loader", ckpt_name="x.ckpt", positive="an owl", negative="rain", lora_name="None")
    nodes = graph(loader=loader, sampler=sampler(model=["loader", 0], positive=["loader", 1], negative=["loader", 2]))
    assert prompts(nodes) == ("an owl", "rain")


def test_zeroed_conditioning_is_empty() -> None:
    zeroed = node("ConditioningZeroOut", conditioning=["fox", 0])
    assert prompts(graph(zeroed=zeroed, sampler=sampler(negative=["zeroed", 0]))) == ("a fox", "")


@pytest.mark.parametrize(
    ("joining", "expected"),
    [
        (node("StringConcatenate", string_a="a red", string_b=["noun", 0], delimiter=" "), "a red fox"),
        (node("Text Concatenate", delimiter="\\n", text_a="a red", text_b=["noun", 0]), "a red\nfox"),
        (node("JoinStrings", string1="a red", string2=["noun", 0]), "a red, fox"),
    ],
)
def test_joined_strings_are_read(joining: dict[str, Any], expected: str) -> None:
    encode = node("CLIPTextEncode", text=["join", 0], clip=["model", 1])
    nodes = graph(noun=node("PrimitiveString", value="fox"), join=joining, fox=encode)
    assert prompts(nodes) == (expected, "fog")


def test_conditionings_brought_together() -> None:
    both = node("ConditioningCombine", conditioning_1=["fox", 0], conditioning_2=["fog", 0])
    assert prompts(graph(both=both, sampler=sampler(positive=["both", 0])))[0] == "a fox AND fog"
    joined = node("ConditioningConcat", conditioning_to=["fox", 0], conditioning_from=["fog", 0])
    assert prompts(graph(both=joined, sampler=sampler(positive=["both", 0])))[0] == "a fox BREAK fog"


def test_loras_of_every_kind_and_none() -> None:
    stack = node(
        "LoRA Stacker", lora_name_1="None", lora_wt_1=1.0, lora_name_2="inks.safetensors", lora_wt_2=0.5,
        lora_name_3="off.safetensors", lora_wt_3=0.5, switch_3="Off", model=["power", 0],
    )  # fmt: skip
    power = node(
        "Power Lora Loader (rgthree)",
        lora_1={"on": True, "lora": "oil.safetensors", "strength": 0.25},
        lora_2={"on": False, "lora": "gone.safetensors", "strength": 1},
        model=["none", 0],
    )
    none = node("LoraLoader", lora_name="None", strength_model=1.0, model=["model", 0])
    nodes = graph(stack=stack, power=power, none=none, sampler=sampler(model=["stack", 0]))
    found = said(nodes)
    assert found["Prompt"] == "a fox <lora:inks:0.5> <lora:oil:0.25>" and found["Model"] == "xl_base_1.0"


def in_parts(**sampler_inputs: Any) -> Nodes:
    custom = node(
        "SamplerCustomAdvanced",
        noise=["noise", 0],
        guider=["guider", 0],
        sampler=["select", 0],
        sigmas=["sigmas", 0],
        latent_image=["latent", 0],
    )
    return graph(
        noise=node("RandomNoise", noise_seed=77),
        guider=node("CFGGuider", model=["model", 0], positive=["fox", 0], negative=["fog", 0], cfg=4.5),
        select=node("KSamplerSelect", sampler_name="dpmpp_2m"),
        sigmas=node("BasicScheduler", model=["model", 0], scheduler="karras", steps=30, denoise=0.6),
        sampler={**custom, "inputs": {**custom["inputs"], **sampler_inputs}},
    )


def test_a_sampler_of_separate_parts() -> None:
    found = said(in_parts())
    assert (found["Prompt"], found["Negative prompt"], found["Model"]) == ("a fox", "fog", "xl_base_1.0")
    assert (found["Steps"], found["Seed"], found["CFG scale"]) == ("30", "77", "4.5")
    assert (found["Sampler"], found["Schedule type"]) == ("DPM++ 2M", "Karras")
    assert (found["Denoising strength"], found["Size-1"], found["Size-2"]) == ("0.6", "640", "512")


def test_parts_that_are_named_by_their_class_or_cut() -> None:
    nodes = in_parts(sigmas=["cut", 1], sampler=["own", 0])
    nodes["cut"] = node("SplitSigmas", sigmas=["sigmas", 0], step=3)
    nodes["sigmas"] = node("KarrasScheduler", steps=12, sigma_max=14.6, sigma_min=0.03, rho=7)
    nodes["own"] = node("SamplerEulerAncestral", eta=1.0, s_noise=1.0)
    nodes["guider"] = node("BasicGuider", model=["model", 0], conditioning=["fox", 0])
    found = said(nodes)
    assert (found["Steps"], found["Sampler"], found["Schedule type"]) == ("12", "Euler a", "Karras")
    assert (found["Prompt"], found["Negative prompt"]) == ("a fox", "")


def test_the_sampler_of_the_saved_picture_counts() -> None:
    """The first in the file made a picture that was only looked at, the second the one that was enlarged and saved."""
    nodes = graph()
    nodes = {
        "looked": sampler(seed=1, steps=4, positive=["fog", 0]),
        "aside": node("VAEDecode", samples=["looked", 0]),
        "preview": node("PreviewImage", images=["aside", 0]),
        **nodes,
        "larger": node("LatentUpscale", samples=["sampler", 0], width=1280, height=1024),
        "again": sampler(seed=9, steps=11, denoise=0.4, latent_image=["larger", 0]),
        "pixels": node("VAEDecode", samples=["again", 0]),
    }
    found = said(nodes)
    assert (found["Seed"], found["Steps"], found["Prompt"]) == ("9", "11", "a fox")
    assert (found["Size-1"], found["Denoising strength"]) == ("1280", "0.4")


def test_a_repainted_face_is_not_the_picture() -> None:
    face = node(
        "FaceDetailer", image=["pixels", 0], steps=3, seed=1, cfg=2, sampler_name="ddim", scheduler="simple",
        positive=["fog", 0], negative=["fox", 0], model=["model", 0], denoise=0.5,
    )  # fmt: skip
    nodes = graph(face=face, save=node("SaveImage", images=["face", 0]))
    assert (said(nodes)["Steps"], prompts(nodes)) == ("20", ("a fox", "fog"))


def test_a_number_held_by_a_node_goes_by_its_name() -> None:
    config = node("KSampler Config", steps_total=30, refiner_step=24, cfg=8.0, steps=28)
    found = said(graph(config=config, sampler=sampler(steps=["config", 0], cfg=["config", 1])))
    assert (found["Steps"], found["CFG scale"]) == ("28", "8.0")


@pytest.mark.parametrize("length", [50, 5000])
def test_a_chain_without_end_or_a_circle_ends(length: int) -> None:
    nodes = graph(sampler=sampler(positive=["0", 0], negative=["again", 0], model=["0", 0]))
    for index in range(length):
        following = [str(index + 1), 0]
        nodes[str(index)] = node("X", conditioning_1=following, conditioning_2=following, text_1=following, text_2="")
    nodes["again"] = node("X", conditioning=["again", 0], positive=["again", 0], negative=["again", 1])
    assert said(nodes)["Steps"] == "20"
