"""The table of scripts: what is declared holds together, and what is given is checked with a sentence."""

from __future__ import annotations

import ast
import random
from dataclasses import fields
from typing import Any

import pytest
from pydantic import JsonValue

from modules.features.adaptive_projected_guidance.declare import AdaptiveProjectedGuidanceArguments
from modules.features.alternative_test.declare import AlternativeTestArguments
from modules.features.arguments import ScriptArguments
from modules.features.cads.declare import CadsArguments
from modules.features.cfg_rescale.declare import CfgRescaleArguments
from modules.features.cfg_zero_star.declare import CfgZeroStarArguments
from modules.features.declaration import Argument, Script, ScriptError, checked_arguments
from modules.features.deep_shrink.declare import DeepShrinkArguments
from modules.features.dynamic_prompts.declare import DynamicPromptsArguments
from modules.features.dynamic_thresholding.declare import DynamicThresholdingArguments
from modules.features.epsilon_scaling.declare import EpsilonScalingArguments
from modules.features.freeu.declare import FreeUArguments
from modules.features.guidance_interval.declare import GuidanceIntervalArguments
from modules.features.hypertile.declare import HyperTileArguments
from modules.features.infotext import script_values
from modules.features.latent_couple.declare import LatentCoupleArguments
from modules.features.loopback.declare import LoopbackArguments
from modules.features.mahiro.declare import MahiroArguments
from modules.features.negpip.declare import NegPipArguments
from modules.features.normalized_attention.declare import NormalizedAttentionArguments
from modules.features.outpaint.declare import OutpaintArguments
from modules.features.outpainting_mk2.declare import OutpaintingMk2Arguments
from modules.features.perp_neg.declare import PerpNegArguments
from modules.features.perturbed_attention.declare import PerturbedAttentionArguments
from modules.features.poor_mans_outpainting.declare import PoorMansOutpaintingArguments
from modules.features.postprocessing.declare import CodeFormerArguments, GfpganArguments, UpscaleArguments
from modules.features.postprocessing.run import requested_postprocessing
from modules.features.prompt_matrix.declare import PromptMatrixArguments
from modules.features.prompts_from_file.declare import PromptsFromFileArguments
from modules.features.sd_upscale.declare import SdUpscaleArguments
from modules.features.self_attention_guidance.declare import SelfAttentionGuidanceArguments
from modules.features.sequences.declare import InterpolatePicturesArguments, InterpolatePromptsArguments
from modules.features.smoothed_energy.declare import SmoothedEnergyArguments
from modules.features.soft_inpainting.declare import SoftInpaintingArguments
from modules.features.table import SCRIPTS, find_script
from modules.features.tiled_diffusion.declare import TiledDiffusionArguments
from modules.features.ultimate_upscale.declare import UltimateUpscaleArguments
from modules.features.xyz_plot.declare import XyzArguments
from modules.parameters import RequestError, parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.extras_request import SCALE_TO
from modules.parameters.resolved import resolve
from modules.settings import OPTIONS
from tests import source_rules as rules

MADE_UP = Script(
    "Made up",
    arguments=(
        Argument("note", "A word", look="note"),
        Argument("count", "Count", 4, minimum=1, maximum=32, step=1, most=100),
        Argument("share", "Share", 0.5, minimum=0, maximum=1, step=0.01),
        Argument("on", "On", False, "checkbox"),
        Argument("way", "Way", "Up", "radio", choices=("Up", "Down")),
        Argument("sides", "Sides", ["left"], "checkboxes", choices=("left", "right")),
        Argument("text", "Text", "", "textbox"),
    ),
)


def test_titles_names_and_infotext_keys_are_unique_and_defaults_are_accepted() -> None:
    titles = [script.title.lower() for script in SCRIPTS]
    assert titles and len(set(titles)) == len(titles)
    keys = [argument.infotext for script in SCRIPTS for argument in script.arguments if argument.infotext]
    assert len(set(keys)) == len(keys)
    for script in SCRIPTS:
        names = [argument.name for argument in script.arguments]
        assert len(set(names)) == len(names)
        for argument in script.valued:
            assert checked_arguments(script, {})[argument.name] == argument.default
            if argument.look == "units":
                # Its list is the setting that says how many there are, where there is one.
                assert argument.record and argument.most and (argument.listed is None or argument.listed in OPTIONS)
                continue
            assert argument.label and (argument.look in ("dropdown", "radio", "checkboxes")) == bool(
                argument.choices or argument.listed
            )
        assert not script.always_on or script.arguments[0].look in ("checkbox", "units")
        assert find_script(script.title.upper()) is script


def test_values_are_taken_as_a1111_takes_them() -> None:
    given: dict[str, JsonValue] = {"count": 7.0, "way": 1, "sides": ["RIGHT", 0], "on": True}
    assert checked_arguments(MADE_UP, given) == {
        **{"count": 7, "share": 0.5, "on": True, "way": "Down", "sides": ["left", "right"], "text": ""}
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 0}, "Made up: Count is 0: it must be a whole number from 1 to 100."),
        ({"count": 101}, "Made up: Count is 101: it must be a whole number from 1 to 100."),
        ({"count": 1.5}, "Made up: Count is 1.5: it must be a whole number from 1 to 100."),
        ({"count": "many"}, "Made up: Count is 'many': it must be a whole number from 1 to 100."),
        ({"share": float("nan")}, "Made up: Share is nan: it must be a number from 0 to 1."),
        ({"share": True}, "Made up: Share is True: it must be a number from 0 to 1."),
        ({"on": 1}, "Made up: On is 1: it must be true or false."),
        ({"way": "Sideways"}, "Made up: Way is 'Sideways': it must be one of Up, Down."),
        ({"way": 2}, "Made up: Way is 2: it must be one of Up, Down."),
        ({"sides": "left"}, "Made up: Sides is 'left': it must be a list out of left, right."),
        ({"sides": ["up"]}, "Made up: Sides is ['up']: it must be a list out of left, right."),
        ({"text": 3}, "Made up: Text is 3: it must be a text."),
        ({"speed": 3}, "Made up has no argument 'speed'."),
        ({"note": "x"}, "Made up has no argument 'note'."),
    ],
)
def test_what_cannot_be_used_is_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ScriptError) as refused:
        checked_arguments(MADE_UP, given)
    assert str(refused.value) == said


def test_a_request_carries_its_script_with_every_argument() -> None:
    request = parse_request({"mode": "img2img", "scripts": {"loopback": {"loops": 2}}})
    assert request.script is find_script("Loopback")
    assert request.scripts["Loopback"]["loops"] == 2
    assert request.scripts["Loopback"]["final_denoising_strength"] == 0.5
    assert parse_request(request.model_dump()) == request
    assert parse_request({}).script is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scripts": {"Loopbakc": {}}}, "There is no script 'Loopbakc'"),
        ({"scripts": {"Loopback": {}}}, "Loopback works on the img2img tab only."),
        ({"mode": "img2img", "scripts": {"Loopback": {"loops": -1}}}, "Loopback: Loops is -1: it must be"),
    ],
)
def test_a_request_with_a_script_that_cannot_run_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_request(values)


def test_arguments_come_back_from_the_infotext_that_they_were_written_to() -> None:
    given = {"final_denoising_strength": 0.25, "denoising_curve": "Lazy"}
    request = parse_request({"mode": "img2img", "seed": 3, "scripts": {"Loopback": given}})
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    assert "Denoising strength: 0.7, Final denoising strength: 0.25, Denoising curve: Lazy, Version:" in text
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.fields["scripts"] == request.scripts
    assert pasted.notices == ()


def test_what_an_infotext_says_wrongly_of_a_script_is_reported() -> None:
    text = "a cat\nSteps: 20, Sampler: Euler, Seed: 3, Final denoising strength: much, Denoising curve: Lazy"
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.fields["scripts"] == {}
    assert any("much" in notice for notice in pasted.notices)


def test_a_request_without_scripts_writes_nothing_of_them() -> None:
    assert list(script_values({})) == []


KINDS: list[type[ScriptArguments]] = [
    *(LoopbackArguments, OutpaintArguments, OutpaintingMk2Arguments, PoorMansOutpaintingArguments, SdUpscaleArguments),
    *(AlternativeTestArguments, InterpolatePicturesArguments, InterpolatePromptsArguments, PromptMatrixArguments),
    *(PromptsFromFileArguments, SoftInpaintingArguments, XyzArguments, DynamicPromptsArguments),
    *(UpscaleArguments, GfpganArguments, CodeFormerArguments, UltimateUpscaleArguments, TiledDiffusionArguments),
    *(
        GuidanceIntervalArguments,
        FreeUArguments,
        DeepShrinkArguments,
        HyperTileArguments,
        CadsArguments,
        DynamicThresholdingArguments,
        AdaptiveProjectedGuidanceArguments,
        MahiroArguments,
        SelfAttentionGuidanceArguments,
        LatentCoupleArguments,
        PerturbedAttentionArguments,
        *(NegPipArguments, NormalizedAttentionArguments, PerpNegArguments),
        SmoothedEnergyArguments,
        *(CfgRescaleArguments, CfgZeroStarArguments),
        EpsilonScalingArguments,
    ),
    *(UpscaleArguments, GfpganArguments, CodeFormerArguments),
]


def test_each_script_has_its_arguments_as_a_type() -> None:
    # Scripts of units read these one by one.
    plain = {script.title for script in SCRIPTS if all(argument.look != "units" for argument in script.arguments)}
    assert {kind.script.title for kind in KINDS} == plain


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_each_field_is_a_declared_argument_of_its_type(kind: type[ScriptArguments]) -> None:
    defaults = checked_arguments(kind.script, {})
    read = kind.read({})
    assert kind.of({kind.script.title: defaults}) == read
    for one in fields(read):
        value, default = getattr(read, one.name), defaults[one.name]
        assert value == (tuple(default) if isinstance(default, list) else default)


@pytest.mark.parametrize("value", ["4", True, 4.5, [4]])
def test_an_argument_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ScriptError, match=r"Loopback: loops is .*, which is of another type"):
        LoopbackArguments.read({"loops": value})


def test_postprocessing_is_read_from_typed_arguments() -> None:
    wanted = requested_postprocessing({"GFPGAN": {}, "CodeFormer": {"visibility": 1, "weight": 0.5}})
    assert wanted is not None and wanted.restorers == {"GFPGAN": 1, "CodeFormer": 1}
    assert wanted.codeformer_weight == 0.5
    upscaled = requested_postprocessing({"Upscale": {"upscaler_1_name": "Lanczos", "upscale_mode": "Scale to"}})
    assert upscaled is not None
    assert (upscaled.upscalers, upscaled.resize_mode, upscaled.upscaling_resize_w) == (("Lanczos",), SCALE_TO, 512)
    assert requested_postprocessing({}) is requested_postprocessing({"Upscale": {}}) is None
    with pytest.raises(ScriptError, match=r"Upscale: max_side_length is '9', which is of another type"):
        requested_postprocessing({"Upscale": {"max_side_length": "9"}})


def test_numbers_and_lists_become_those_of_the_fields() -> None:
    read = OutpaintingMk2Arguments.read({"noise_q": 2, "direction": ["up"], "mask_blur": None})
    assert repr(read.noise_q) == "2.0" and read.direction == ("up",) and read.mask_blur == 8


def test_generation_and_plans_read_no_argument_by_its_name() -> None:
    """What is called `arguments` there is a typed group; the JSON of a request goes to its reader alone."""
    rooms = ("generation", "intake", "jobs", "engine")
    lookups = [
        f"{one.name}:{node.lineno}"
        for one in rules.sources()
        if one.room in rooms
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant | ast.JoinedStr)
        and ast.unparse(node.value).endswith(("arguments", "scripts"))
        and isinstance(node.ctx, ast.Load)
    ]
    assert lookups == []
