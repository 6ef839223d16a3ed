"""Regions: words, lines and grids become rectangles, and in passes each place is guided by its own prompts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import JsonValue
from torch import Tensor, nn
from torch.nn import functional

from modules.api.scripts import requested_scripts
from modules.features.forge_couple.declare import FORGE_COUPLE
from modules.features.infotext import script_values
from modules.features.latent_couple.declare import LATENT_COUPLE
from modules.features.plans import check_prompts
from modules.features.regional_prompter.declare import REGIONAL_PROMPTER
from modules.features.regions.attention import AttentionRegions, RegionAttention, joined
from modules.features.regions.plan.areas import Area, Layout, Region
from modules.features.regions.plan.layouts import regions_of
from modules.features.regions.run import covered, region_shares
from modules.features.runs import features_for
from modules.generation.pipeline import JobFeature, Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.parameters import (
    RequestError,
    ResolvedRequest,
    parse_infotext,
    parse_request,
    request_from_infotext,
    write_infotext,
)
from modules.parameters.resolved import resolve
from modules.prompt import clip_tokenizer
from modules.sampling import Conditioning
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.amounts import some
from tests.checkpoints import TINY_SDXL, write_tiny_checkpoint
from tests.generation.test_txt2img import resolved
from tests.sampling.doubles import latent

Scripts = dict[str, dict[str, Any]]


def words(prompt: str, negative: str = "", **values: Any) -> Layout | None:
    """The layout of a prompt by Regional Prompter."""
    return laid_out(REGIONAL_PROMPTER.title, prompt, negative, {"active": True, **values})


def lines(prompt: str, **values: Any) -> Layout | None:
    return laid_out(FORGE_COUPLE.title, prompt, "", {"enabled": True, **values})


def laid_out(title: str, prompt: str, negative: str, values: dict[str, Any]) -> Layout | None:
    request = parse_request({"scripts": {title: values}})
    return regions_of(request.scripts, prompt, negative)


def seen(layout: Layout | None) -> list[tuple[str, tuple[float, ...]]]:
    """(text, left, right, top, bottom) of regions with one area each."""
    assert layout is not None
    boxes = [area.box for region in layout.regions for area in region.areas]
    edges = [tuple(round(edge, 4) for edge in (one.left, one.right, one.top, one.bottom)) for one in boxes]
    return list(zip([region.text for region in layout.regions], edges, strict=True))


def test_a_row_of_columns_by_break_or_by_its_word() -> None:
    wanted = [("red", (0, 0.25, 0, 1)), ("green", (0.25, 0.75, 0, 1)), ("blue", (0.75, 1, 0, 1))]
    for prompt in ("red BREAK green BREAK blue", "red ADDCOL green ADDCOL blue", "red AND green AND blue"):
        assert seen(words(prompt, ratios="1,2,1")) == wanted
    rows = [(text, (0, 1, left, right)) for text, (left, right, *_) in wanted]
    for name in ("Rows", "Vertical"):
        assert seen(words("red BREAK green BREAK blue", ratios="1,2,1", matrix_mode=name)) == rows


def test_nested_ratios_have_the_lines_own_size_first() -> None:
    wanted = [
        *[("sky", (0, 1, 0, 0.25)), ("a", (0, 0.2, 0.25, 1)), ("b", (0.2, 0.5, 0.25, 1)), ("c", (0.5, 1, 0.25, 1))],
    ]
    assert seen(words("sky ADDROW a ADDCOL b ADDCOL c", ratios="1,1;3,2,3,5")) == wanted
    assert seen(words("sky BREAK a BREAK b BREAK c", ratios="1,1;3,2,3,5")) == wanted
    assert seen(words("sky BREAK a BREAK b BREAK c", ratios="1;1,3;2;3;5", flip=False)) != wanted
    assert seen(words("sky BREAK a BREAK b BREAK c", ratios="1;1,3;2;3;5", flip=True)) == wanted
    upright = seen(words("sky ADDCOL a ADDROW b ADDROW c", ratios="1,1;3,2,3,5", matrix_mode="Rows"))
    assert upright == [(text, (top, bottom, left, right)) for text, (left, right, top, bottom) in wanted]


def test_ratios_for_other_regions_than_there_are_give_equal_ones() -> None:
    assert [box for _, box in seen(words("a BREAK b BREAK c", ratios="1,1"))] == [
        pytest.approx((number / 3, (number + 1) / 3, 0, 1), abs=1e-4) for number in range(3)
    ]
    assert seen(words("a ADDROW b", ratios="1,3")) == [("a", (0, 1, 0, 0.25)), ("b", (0, 1, 0.25, 1))]


def test_base_and_common_texts_by_words_or_by_boxes() -> None:
    forms: list[tuple[str, dict[str, Any]]] = [
        ("masterpiece ADDCOMM a beach ADDBASE red BREAK blue", {}),
        ("masterpiece BREAK a beach BREAK red BREAK blue", {"use_common": True, "use_base": True}),
    ]
    for prompt, values in forms:
        layout = words(prompt, base_ratios="0.2,0.5", **values)
        assert layout is not None
        assert [one.text for one in layout.regions] == [f"masterpiece, {text}" for text in ("a beach", "red", "blue")]
        assert [[area.weight for area in one.areas] for one in layout.regions] == [[0.2, 0.5], [0.8], [0.5]]
        assert region_shares(layout, (2, 2), pytest.fail).sum(0) == pytest.approx(1)


def test_negative_prompts_by_the_same_words() -> None:
    def negatives(layout: Layout | None) -> list[str | None]:
        assert layout is not None
        return [region.negative for region in layout.regions]

    assert negatives(words("a BREAK b", "ugly")) == [None, None]
    assert negatives(words("a BREAK b", "x BREAK y")) == ["x", "y"]
    assert negatives(words("a BREAK b BREAK c", "x BREAK y")) == ["x", "y", "y"]
    assert negatives(words("a BREAK b", "all BREAK x BREAK y", use_common_negative=True)) == ["all, x", "all, y"]


def test_lines_side_by_side_and_a_background() -> None:
    assert seen(lines("red\n\nblue")) == [("red", (0, 0.5, 0, 1)), ("blue", (0.5, 1, 0, 1))]
    assert seen(lines("red # blue", separator=" # ", direction="Vertical"))[1] == ("blue", (0, 1, 0.5, 1))
    layout = lines("red\nblue\na beach", background="Last Line", background_weight=0.25)
    assert [text for text, _ in seen(layout)] == ["red", "blue", "a beach"] and layout is not None
    assert torch.allclose(
        region_shares(layout, (1, 2), pytest.fail)[:, 0], torch.tensor([[0.8, 0.0], [0, 0.8], [0.2, 0.2]])
    )


def test_boxes_of_lines_and_common_texts() -> None:
    boxes = "[[0, 0.6, 0, 1, 1], [0.5, 1, 0, 1, 0.5]]"
    layout = lines("{who: a girl} in red\n{who} in blue", mode="Advanced", mapping=boxes, common_parser="{ }")
    assert seen(layout) == [("a girl in red", (0, 0.6, 0, 1)), ("a girl in blue", (0.5, 1, 0, 1))]
    assert layout is not None and layout.overlaps
    undefined = lines("{who: a girl} red\n{who} blue", common_parser="{ }", def_in_prompt=False)
    assert undefined is not None and [one.text for one in undefined.regions] == ["red", "a girl blue"]


def test_one_region_is_none() -> None:
    assert words("a cat") is None
    assert lines("a cat") is None
    assert laid_out(LATENT_COUPLE.title, "a cat", "", {"enabled": True}) is None


def boxes(mapping: str) -> dict[str, Any]:
    return {"enabled": True, "mode": "Advanced", "mapping": mapping}


COUPLE: dict[str, Any] = {"enabled": True, "divisions": "1:1,1:2", "positions": "0:0,0:1", "weights": "1,1"}


@pytest.mark.parametrize(
    ("title", "prompt", "values", "sentence"),
    [
        ("Regional Prompter", "a BREAK b", {"active": True, "ratios": "1,two"}, "the ratio '1,two' can't be read"),
        ("Regional Prompter", "a BREAK b", {"active": True, "ratios": "1,0"}, "numbers above 0"),
        ("Regional Prompter", "a BREAK b", {"active": True, "use_base": True, "base_ratios": "2"}, "base ratio '2'"),
        ("Forge Couple", "a\nb", boxes("[1"), "the boxes '[1' can't be read"),
        ("Forge Couple", "a\nb", boxes("[[0,1,0,1]]"), "2 lines, and there are 1 boxes"),
        ("Forge Couple", "a\nb", boxes("[[0,0.4,0,1,1],[0.5,1,0,1,1]]"), "without a prompt"),
        ("Forge Couple", "a\nb", boxes("[[0,0.4,0,2,1],[0.5,1,0,1,1]]"), "edges from 0 to 1"),
        ("Forge Couple", "a\nb", boxes("[[0.6,0.4,0,1,1],[0,1,0,1,1]]"), "box 0 is empty"),
        ("Forge Couple", "a\nb", {"enabled": True, "mode": "Mask"}, "2 lines, and there are 0 masks"),
        ("Latent Couple extension", "a AND b AND c", COUPLE, "has 3 parts joined with AND, and there are 2 divisions"),
        ("Latent Couple extension", "a AND b", {**COUPLE, "positions": "0:0,0:2"}, "position '0:2' in division '1:2'"),
        ("Latent Couple extension", "a AND b", {**COUPLE, "weights": "1,x"}, "the weight 'x' is no number"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(title: str, prompt: str, values: dict[str, Any], sentence: str) -> None:
    request = parse_request({"scripts": {title: values}})
    with pytest.raises(RequestError) as error:
        check_prompts(request, prompt, "")
    assert str(error.value).startswith(f"{title}: ") and sentence in str(error.value)
    assert str(error.value).count(". ") == 0


def test_two_kinds_of_regions_at_once_are_refused() -> None:
    request = parse_request({"scripts": {"Forge Couple": {"enabled": True}, "Regional Prompter": {"active": True}}})
    with pytest.raises(RequestError, match="Regional Prompter and Forge Couple can't act at once"):
        check_prompts(request, "a", "")


def by_program(title: str, values: list[JsonValue]) -> dict[str, dict[str, JsonValue]]:
    body: Any = SimpleNamespace(script_name=None, script_args=None, alwayson_scripts={title: {"args": values}})
    services: Any = None
    return requested_scripts(services, body, "txt2img")


REGIONAL_ARGS: list[JsonValue] = [
    *(True, False, "Matrix", "Vertical", "Mask", "Prompt", "1,2", "0.3", True, False, True, "Latent", False),
    *("0", "0", "0", "", "0", "0", True),
]  # fmt: skip
BOXES: list[JsonValue] = [[0, 1, 0, 1, 1], [0, 0.5, 0, 1, 0.8]]
COUPLE_ARGS: list[JsonValue] = [True, True, "Advanced", None, "Vertical", "First Line", 0.4, BOXES, "< >", False, True]


@pytest.mark.parametrize(
    ("title", "args", "keys"),
    [
        (
            "regional prompter",
            REGIONAL_ARGS,
            {"RP Active": True, "RP Matrix submode": "Rows", "RP Ratios": "1,2", "RP Base Ratios": "0.3"}
            | {"RP Use Base": True, "RP Use Ncommon": True, "RP Calc Mode": "Latent", "RP Flip": True},
        ),
        (
            "forge couple",
            COUPLE_ARGS,
            {"forge_couple": True, "forge_couple_mode": "Advanced", "forge_couple_common_parser": "< >"}
            | {"forge_couple_mapping": "[[0, 1, 0, 1, 1], [0, 0.5, 0, 1, 0.8]]"},
        ),
        (
            "Forge Couple",
            [True, False, "Basic", "\\n", "Vertical", "First Line", 0.4],
            {"forge_couple_background_weight": 0.4},
        ),
        (
            "Latent Couple extension",
            [True, "1:1,1:2,1:2", "0:0,0:0,0:1", "0.2,0.8,0.8", 12],
            {"Latent Couple": "divisions=1:1,1:2,1:2 positions=0:0,0:0,0:1 weights=0.2,0.8,0.8 end at step=12"},
        ),
    ],
)  # fmt: skip
def test_programs_and_pictures_say_them_as_the_extensions_do(
    title: str, args: list[JsonValue], keys: dict[str, Any]
) -> None:
    request = parse_request({"seed": 3, "scripts": by_program(title, args)})
    written = dict(script_values(request.scripts))
    assert {key: written.get(key) for key in keys} == keys
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.notices == ()
    again = parse_request({"scripts": pasted.fields["scripts"]})
    assert dict(script_values(again.scripts)) == written


def test_masks_of_a_program_are_pictures_of_the_job() -> None:
    masks: list[JsonValue] = [{"mask": "left", "weight": 0.5}, {"mask": "right", "weight": 1}]
    request = parse_request(
        {"scripts": by_program("Forge Couple", [True, False, "Mask", None, None, None, None, masks])}
    )
    layout = regions_of(request.scripts, "a\nb", "")
    assert layout is not None and layout.pictures == ("left", "right")

    def picture(name: str) -> Image.Image:
        white = Image.new("L", (8, 8), 0)
        white.paste(255, (0, 0, 5, 8) if name == "left" else (4, 0, 8, 8))
        return white

    weights = region_shares(layout, (1, 8), picture)[:, 0]
    assert torch.allclose(weights[0], torch.tensor([1, 1, 1, 1, 1 / 3, 0, 0, 0]))
    assert torch.allclose(weights.sum(0), torch.ones(8))
    with pytest.raises(ValueError, match="no region"):
        region_shares(layout, (1, 8), lambda name: Image.new("L", (8, 8), 0))


def test_a_cell_that_an_edge_goes_through_is_shared() -> None:
    assert torch.allclose(covered(0, 1 / 3, 4), torch.tensor([1, 1 / 3, 0, 0]))
    assert torch.allclose(covered(1 / 3, 1, 4), torch.tensor([0, 2 / 3, 1, 1]))


def with_features(pipeline: Pipeline, notices: list[str] | None = None, picture: Any = None) -> Pipeline:
    """The pipeline of a job whose features say their `notices` there, and open its pictures by `picture`."""
    said: list[str] = [] if notices is None else notices

    def features_of(request: ResolvedRequest) -> Sequence[JobFeature]:
        job: Any = SimpleNamespace(resolved=request, notice=said.append, picture=picture, leave=lambda: False)
        return features_for(job)

    return replace(pipeline, features=features_of)


def made(
    pipeline: Pipeline,
    scripts: Scripts,
    images: range = range(1),
    notices: list[str] | None = None,
    **values: Any,
) -> Tensor:
    fields = {"width": 128, "height": 64, "steps": 2, "batch_size": 2, "prompt": "red BREAK blue", **values}
    request = resolved(scripts=scripts, **fields)
    quiet = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
    return txt2img(with_features(pipeline, notices), request, images, quiet)


def pipeline_of(path: Any) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(path)
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return pipeline_of(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


WORDS: Scripts = {"Regional Prompter": {"active": True}}


def test_attention_couple_is_masked_attention_written_out(pipeline: Pipeline) -> None:
    """Against softmax(q·k/√d)·v for each region by hand, within 1e-5: two rows, three texts of other lengths."""
    attention: Any = next(module for name, module in pipeline.model.unet.named_modules() if name.endswith("attn2"))
    texts = [latent(2, tokens, attention.to_k.in_features, seed=tokens) for tokens in (77, 154, 77)]
    x, masks = latent(2, 6, attention.to_q.in_features), torch.rand(3, 2, 3)
    masks = masks / masks.sum(0)
    rows, spans = joined([Conditioning(text) for text in texts], [1.0, 1.0, 1.0])
    hook = AttentionRegions([Region("", (Area(),))] * 3, masks)
    hook._spans = spans, ()
    hook.residuals(latent(2, 4, 2, 3), torch.zeros(2), rows)
    place: Any = SimpleNamespace(cells=(2, 3))
    with torch.no_grad():
        region = RegionAttention(hook, place, attention)
        found = region.look(x, rows.context, lambda context: attention.processor(attention, x, context))
        wanted = torch.zeros_like(x)
        for mask, text in zip(masks, texts, strict=True):
            wanted += _attended(attention, x, text) * mask.flatten()[None, :, None]
        wanted = functional.linear(wanted, attention.to_out[0].weight, attention.to_out[0].bias)
    assert (found - wanted).abs().max() <= 1e-5


def _attended(attention: Any, x: Tensor, text: Tensor) -> Tensor:
    heads = attention.heads
    query, key, value = (
        (part @ layer.weight.T).unflatten(-1, (heads, -1)).transpose(1, 2)
        for part, layer in ((x, attention.to_q), (text, attention.to_k), (text, attention.to_v))
    )
    scores = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
    attended: Tensor = (scores @ value).transpose(1, 2).flatten(2)
    return attended


def test_all_regions_with_one_prompt_are_that_prompt(pipeline: Pipeline) -> None:
    plain = made(pipeline, {}, prompt="red")
    for mode in ("Attention", "Latent"):
        same = made(pipeline, {"Regional Prompter": {"active": True, "calculation": mode}}, prompt="red BREAK red")
        assert torch.allclose(same, plain, atol=2e-4)
    assert not torch.allclose(made(pipeline, WORDS), plain, atol=1e-2)


def test_a_prompt_without_regions_and_one_that_is_off_change_no_bit(pipeline: Pipeline) -> None:
    plain = made(pipeline, {}, prompt="red, blue")
    for scripts in (WORDS, {"Regional Prompter": {"active": False}}, {"Forge Couple": {"enabled": True}}):
        assert torch.equal(made(pipeline, scripts, prompt="red, blue"), plain)
    unet: nn.Module = pipeline.model.unet
    made(pipeline, WORDS)
    assert sum(len(part._forward_pre_hooks) + len(part._forward_hooks) for part in unet.modules()) == 0
    assert torch.equal(made(pipeline, {}, prompt="red, blue"), plain)


@pytest.mark.parametrize(
    "options",
    some([{}, {"pad_cond_uncond": True}, {"batch_cond_uncond": False}, {"cross_attention_optimization": "V1"}], 2),
    ids=str,
)
def test_a_picture_of_a_batch_is_its_own_whatever_rows_go_together(pipeline: Pipeline, options: dict[str, Any]) -> None:
    """With negative prompts of the regions' own both sides are equally long and go into one call."""
    values: dict[str, Any] = {"negative_prompt": "x BREAK y", "options": options}
    together = made(pipeline, WORDS, range(2), **values)
    assert torch.allclose(together[1], made(pipeline, WORDS, range(1, 2), **values)[0], atol=1e-3)
    assert not torch.allclose(together[1], made(pipeline, WORDS, range(1, 2), negative_prompt="x")[0], atol=1e-3)


def test_latent_couple_is_and_where_its_weights_are_one_and_after_its_end(pipeline: Pipeline) -> None:
    prompt = "red AND blue"
    plain = made(pipeline, {}, prompt=prompt)
    whole = {**COUPLE, "divisions": "1:1,1:1", "positions": "0:0,0:0"}
    assert torch.allclose(made(pipeline, {LATENT_COUPLE.title: whole}, prompt=prompt), plain, atol=1e-5)
    halves = {**COUPLE, "divisions": "1:2,1:2"}
    acting = made(pipeline, {LATENT_COUPLE.title: halves}, prompt=prompt)
    assert not torch.allclose(acting, plain, atol=1e-2)
    for_one = made(pipeline, {LATENT_COUPLE.title: {**halves, "step": 1}}, prompt=prompt)
    assert not torch.allclose(for_one, acting, atol=1e-3) and not torch.allclose(for_one, plain, atol=1e-3)


def test_what_a_person_may_not_expect_is_said(pipeline: Pipeline) -> None:
    notices: list[str] = []
    overlapping = boxes("[[0,0.6,0,1,1],[0.5,1,0,1,1]]")
    made(pipeline, {"Forge Couple": overlapping}, notices=notices, prompt="red <lora:robe:1>\nblue", steps=1)
    assert notices == [
        "Forge Couple: LoRAs act on the whole picture, whichever region names them.",
        "Forge Couple: the regions overlap: there they are mixed by their weights.",
    ]
    quiet: list[str] = []
    made(pipeline, {"Forge Couple": {"enabled": True}}, notices=quiet, prompt="red\nblue", steps=1)
    assert quiet == []


def test_sdxl_has_regions(tmp_path: Any) -> None:
    path = write_tiny_checkpoint(tmp_path / "xl.safetensors", architecture=TINY_SDXL)
    sdxl = pipeline_of(path)
    plain = made(sdxl, {}, prompt="red")
    assert torch.allclose(made(sdxl, WORDS, prompt="red BREAK red"), plain, atol=1e-3)
    assert not torch.allclose(made(sdxl, WORDS), plain, atol=1e-2)
