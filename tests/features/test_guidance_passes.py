"""Guidance in passes of a narrow checkpoint: features act, are gone after the pass, and do nothing when neutral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.deep_shrink.declare import DeepShrinkArguments
from modules.features.deep_shrink.run import DeepShrink
from modules.features.detail_daemon.declare import UNIT
from modules.features.epsilon_scaling.run import epsilon_scaling
from modules.features.negpip.run import NegPip, split_negative
from modules.features.runs import features_for
from modules.features.table import ALWAYS_ON, IN_GUIDANCE
from modules.generation.module_hooks import attention_received, decoder_joins, middle_attentions, only_values
from modules.generation.passes import conditioner_of
from modules.generation.pipeline import JobFeature, Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest
from modules.prompt import clip_tokenizer
from modules.sampling import CallPosition
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import Architecture, make_modules, write_tiny_checkpoint
from tests.generation.test_txt2img import resolved
from tests.sampling.doubles import latent

UNIT_DEFAULTS: dict[str, Any] = {argument.name: argument.default for argument in UNIT}
# What makes each feature act on the narrow model, and what makes it do nothing; Mahiro and CFG-Zero* have nothing but
# being off.
ACTIVE: dict[str, dict[str, Any]] = {
    "Guidance interval": {"start": 0.5},
    "FreeU": {"b1": 1.5, "b2": 1.6, "s1": 0.9, "s2": 0.2},
    "Kohya HRFix": {"end_percent": 1},
    "HyperTile": {"tile_size": 64, "swap_size": 1},
    "CADS": {},
    "NegPiP": {},
    "Normalized attention guidance": {},
    "CFG-Zero star": {},
    "Perp-Neg": {},
    "Dynamic thresholding": {"mimic_scale": 3},
    "Adaptive projected guidance": {},
    "Mahiro CFG": {},
    "Self-attention guidance": {"threshold": 0.9},
    "Perturbed-attention guidance": {},
    "Smoothed-energy guidance": {},
    "CFG rescale": {},
    "Epsilon scaling": {},
    "Detail Daemon": {
        "units": [{**UNIT_DEFAULTS, "enabled": True, "amount": 1, "start": 0, "end": 1, "smooth": False}]
    },
}
NEUTRAL: dict[str, dict[str, Any]] = {
    "Guidance interval": {"start": 0, "end": 1},
    "FreeU": {"b1": 1, "b2": 1, "s1": 1, "s2": 1},
    "Kohya HRFix": {"downscale_factor": 1},
    "HyperTile": {"tile_size": 256},
    "CADS": {"tau_1": 1, "tau_2": 1},
    "NegPiP": {},
    "Normalized attention guidance": {"scale": 1},
    "Perp-Neg": {},
    "Dynamic thresholding": {"interpolate_phi": 0},
    "Adaptive projected guidance": {"eta": 1, "norm_threshold": 0, "momentum": 0},
    "Self-attention guidance": {"scale": 0},
    "Perturbed-attention guidance": {"scale": 0},
    "Smoothed-energy guidance": {"scale": 0},
    "CFG rescale": {"phi": 0},
    "Epsilon scaling": {"factor": 1},
    "Detail Daemon": {"units": [{**UNIT_DEFAULTS, "enabled": True, "amount": 0}]},
}
# Nothing but being off.
WITHOUT_NEUTRAL = {"CFG-Zero star", "Mahiro CFG"}
# What acts on negative weights alone needs some.
PROMPTS = {"NegPiP": "a (red:-1.2) circle", "Perp-Neg": "a circle AND red :-0.5"}
# Acting in no call is nothing either, to the bit and whatever the sampler works with.
OUTSIDE: dict[str, dict[str, Any]] = {
    "FreeU": {**ACTIVE["FreeU"], "start": 1},
    "Kohya HRFix": {"start_percent": 1, "end_percent": 1},
    "Perturbed-attention guidance": {"start": 1},
    "Smoothed-energy guidance": {"start": 1},
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


def features_of(request: ResolvedRequest) -> Sequence[JobFeature]:
    job: Any = SimpleNamespace(resolved=request, notice=None, picture=None, leave=lambda: False)
    return features_for(job)


def made(pipeline: Pipeline, scripts: dict[str, dict[str, Any]], images: range = range(1), **values: Any) -> Tensor:
    on = {title: own if "units" in own else {_first(title): True, **own} for title, own in scripts.items()}
    fields = {"width": 128, "height": 96, "steps": 3, "batch_size": 2, **values}
    request = resolved(scripts=on, **fields)
    quiet = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
    return txt2img(replace(pipeline, features=features_of), request, images, quiet)


def _first(title: str) -> str:
    return next(script.arguments[0].name for script in ALWAYS_ON if script.title == title)


@pytest.fixture(scope="module")
def plain(pipeline: Pipeline) -> Tensor:
    return made(pipeline, {})


def hooks_on(unet: nn.Module) -> int:
    return sum(len(part._forward_pre_hooks) + len(part._forward_hooks) for part in unet.modules())


def test_every_feature_is_tried() -> None:
    assert set(ACTIVE) == {script.title for script in IN_GUIDANCE}
    assert set(NEUTRAL) | WITHOUT_NEUTRAL == set(ACTIVE)


@pytest.mark.parametrize("title", ACTIVE)
def test_a_feature_acts_and_is_gone_when_the_pass_is_over(pipeline: Pipeline, plain: Tensor, title: str) -> None:
    before = hooks_on(pipeline.model.unet)
    own: dict[str, Any] = {"prompt": PROMPTS[title]} if title in PROMPTS else {}
    found, without = made(pipeline, {title: ACTIVE[title]}, **own), made(pipeline, {}, **own) if own else plain
    assert found.isfinite().all()
    assert (found - without).abs().max() > 1e-4
    assert hooks_on(pipeline.model.unet) == before
    assert torch.equal(made(pipeline, {}), plain)


@pytest.mark.parametrize("title", NEUTRAL)
def test_a_neutral_feature_changes_no_bit(pipeline: Pipeline, plain: Tensor, title: str) -> None:
    assert torch.equal(made(pipeline, {title: NEUTRAL[title]}), plain)


@pytest.mark.parametrize("title", OUTSIDE)
def test_outside_its_steps_a_feature_changes_no_bit(pipeline: Pipeline, title: str) -> None:
    found, plain = (made(pipeline, scripts, sampler_name="DDIM") for scripts in ({title: OUTSIDE[title]}, {}))
    assert torch.equal(found, plain)


def test_all_of_them_at_once_go_together_and_each_image_is_its_own(pipeline: Pipeline) -> None:
    together = made(pipeline, ACTIVE, range(2))
    alone = made(pipeline, ACTIVE, range(1, 2))
    assert together.isfinite().all()
    assert torch.allclose(together[1], alone[0], atol=1e-3)


def test_the_interval_spares_the_negative_prompts_calls(pipeline: Pipeline) -> None:
    rows: list[int] = []
    handle = pipeline.model.unet.conv_in.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    try:
        made(pipeline, {"Guidance interval": {"start": 0.5}})
    finally:
        handle.remove()
    assert rows == [1, 1, 2]


def test_noise_that_a_model_mixes_in_is_not_scaled() -> None:
    """At the first level of flow matching there is no picture in the latent, so none that less noise would show."""
    model = SimpleNamespace(family=SimpleNamespace(flow=object()))
    job: Any = SimpleNamespace(resolved=resolved(scripts={"Epsilon scaling": {"enabled": True}}))
    context: Any = SimpleNamespace(pipeline=SimpleNamespace(model=model))
    assert list(epsilon_scaling(job).before_pass(context)) == []


def test_guidance_within_attention_needs_no_other_guidance_and_goes_with_regions(pipeline: Pipeline) -> None:
    """At scale 1 the negative prompt is nowhere, and with regions each of them is guided away from it."""
    away: dict[str, Any] = {"Normalized attention guidance": {"scale": 3}}
    values: dict[str, Any] = {"cfg_scale": 1, "negative_prompt": "blue"}
    plain, guided = (made(pipeline, scripts, **values) for scripts in ({}, away))
    assert (guided - plain).abs().max() > 1e-3
    own = {"Normalized attention guidance": {"scale": 3, "negative": "blue"}}
    assert torch.equal(made(pipeline, own, **{**values, "negative_prompt": "green"}), guided)
    values["prompt"] = "a red circle BREAK a red circle"
    regional = made(pipeline, {**away, "Regional Prompter": {"active": True}}, **values)
    assert torch.allclose(regional, guided, atol=1e-3)


def test_a_word_of_negative_weight_is_tokens_of_its_own_whose_values_are_negated(pipeline: Pipeline) -> None:
    on = {"enabled": True}
    request = resolved(prompt="a (red:-1.5) circle", scripts={"NegPiP": on})
    context: Any = SimpleNamespace(pipeline=pipeline, resolved=request)
    hook, conditioner = NegPip(context), conditioner_of(pipeline, request.passes[0], request.settings)
    (row,) = hook.encoding(conditioner.of_texts)(["a (red:-1.5) circle"])
    (rest,), (word,) = (conditioner.of_texts([text]) for text in ("(a :1) ( circle:1)", "(red:1.5)"))
    assert row.tokens == 78 and row.signs is not None and row.signs.tolist() == [[-1.0, *[1.0] * 77]]
    torch.testing.assert_close(row.context, torch.cat([word.context[:, 1:2], rest.context], dim=1))
    attention: Any = next(part for name, part in pipeline.model.unet.named_modules() if name.endswith("attn2"))
    x = latent(1, 6, attention.to_q.in_features)
    with torch.no_grad(), hook.patched(pipeline.model.unet):
        hook.residuals(x, x, row)
        found = attention(x, encoder_hidden_states=row.context)
        query, key, value = (
            part.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for part in (attention.to_q(x), attention.to_k(row.context), row.context @ attention.to_v.weight.T)
        )
        scores = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        joined = (scores @ (value * row.signs[:, None, :, None])).transpose(1, 2).flatten(2)
        torch.testing.assert_close(found, attention.to_out[0](joined), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "rest", "words"),
    [
        ("a (red:-1.5) circle", "(a :1.000000) ( circle:1.000000)", ["(red:1.500000)"]),
        (r"a \(b\) BREAK (c:-1)", r"(a \(b\):1.000000) BREAK", ["(c:1.000000)"]),
        ("((a:-1):2)", "", ["(a:2.000000)"]),
        ("a cat", "(a cat:1.000000)", []),
    ],
)
def test_runs_of_negative_weight_are_taken_out_of_a_text(text: str, rest: str, words: list[str]) -> None:
    assert split_negative(text) == (rest, words)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return make_modules(Architecture(vocabulary=512), seed=2).unet


def test_without_attention_the_middle_is_that_of_diffusers(unet: UNet2DConditionModel) -> None:
    (one, *_) = middle_attentions(unet)
    attention, kind = cast(Any, one.attention), cast(Any, PAGIdentitySelfAttnProcessor2_0)
    oracle = kind()
    x = latent(2, 6, attention.to_q.in_features)
    with torch.no_grad():
        theirs = oracle(attention, torch.cat([x, x]))
        torch.testing.assert_close(only_values(attention, x), theirs[2:])
        torch.testing.assert_close(attention(x), theirs[:2])


def test_what_each_place_is_looked_at_is_its_share_of_the_scores(unet: UNet2DConditionModel) -> None:
    attention: Any = middle_attentions(unet)[0].attention
    x = latent(2, 6, attention.to_q.in_features)
    with torch.no_grad():
        query, key = (attention.head_to_batch_dim(part(x)) for part in (attention.to_q, attention.to_k))
        scores = attention.get_attention_scores(query, key).view(2, attention.heads, 6, 6)
        torch.testing.assert_close(attention_received(attention, x), scores.mean(1).sum(1))


def test_the_decoders_joins_are_known_by_their_features(unet: UNet2DConditionModel) -> None:
    """What is joined on is the skip, so that both widths make up the block's input."""
    skips = [part.out_channels for part in (unet.conv_in,)]
    for level in cast(Any, unet.down_blocks):
        skips += [block.out_channels for block in level.resnets]
        skips += [one.out_channels for one in level.downsamplers or ()]
    joins = list(decoder_joins(unet))
    assert len(joins) == len(skips)
    for (block, width), skip in zip(joins, reversed(skips), strict=True):
        assert block.in_channels == width + skip


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("block_number", [1, 2, 3, 32])
def test_deep_shrink_makes_the_deep_part_small_and_the_answer_whole(
    unet: UNet2DConditionModel, block_number: int, after_skip: bool
) -> None:
    values = {"block_number": block_number, "downscale_after_skip": after_skip, "upscale_method": "nearest-exact"}
    shrink = DeepShrink(DeepShrinkArguments.read(values))
    sizes: list[tuple[int, ...]] = []
    middle: Any = unet.mid_block
    handle = middle.resnets[0].register_forward_pre_hook(
        lambda module, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )
    try:
        with torch.no_grad(), shrink.patched(unet):
            for call in (0, 9):
                shrink.begin_call(CallPosition(call, 10, range(1)))
                answer = unet(latent(1, 4, 24, 20), 400, latent(1, 77, 64)).sample
                assert answer.shape == (1, 4, 24, 20) and answer.isfinite().all()
    finally:
        handle.remove()
    small, whole = sizes
    assert small[0] <= whole[0] / 2 + 1 and small[1] <= whole[1] / 2 + 1
