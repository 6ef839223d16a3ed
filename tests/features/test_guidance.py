"""Guidance's formulas on small tensors: golden values, and other people's code where it is the same."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.utils.torch_utils import apply_freeu
from scipy.ndimage import gaussian_filter
from torch import Tensor

from modules.features.adaptive_projected_guidance.declare import AdaptiveProjectedGuidanceArguments
from modules.features.adaptive_projected_guidance.run import AdaptiveProjectedGuidance
from modules.features.cads.declare import CadsArguments
from modules.features.cads.run import annealing, noisy
from modules.features.cfg_rescale.run import Rescale
from modules.features.cfg_zero_star.run import CfgZeroStar
from modules.features.dynamic_thresholding.declare import DynamicThresholdingArguments
from modules.features.dynamic_thresholding.run import DynamicThresholding, scheduled
from modules.features.epsilon_scaling.run import EpsilonScaling
from modules.features.freeu.run import low_scaled, stronger
from modules.features.hypertile.run import tile_counts, tiled, untiled
from modules.features.mahiro.run import Mahiro
from modules.features.normalized_attention.declare import NormalizedAttentionArguments
from modules.features.normalized_attention.run import normalized
from modules.features.perp_neg.run import PerpNeg
from modules.features.smoothed_energy.run import blurred_queries
from modules.sampling import CallPosition, GuidedCall
from tests.sampling.doubles import latent


def call(cond: Tensor, uncond: Tensor, scale: float, x: Tensor | None = None, image_scale: float = 1.0) -> GuidedCall:
    """One call for pictures with a text each."""

    def never(x: Tensor, negative: bool) -> Tensor:
        raise AssertionError("nothing asks the model again")

    return GuidedCall(
        cond if x is None else x,
        torch.tensor(2.0),
        CallPosition(2, 5, range(cond.shape[0])),
        cond,
        uncond,
        uncond + (cond - uncond) * scale,
        scale,
        tuple((image, 1.0) for image in range(cond.shape[0])),
        never,
        image_scale,
    )


def line(*values: float) -> Tensor:
    """A picture of one channel and one row."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_rescale_mixes_in_the_estimate_of_the_prompts_spread() -> None:
    guided = call(line(1, -1), line(0, 0), 3.0)
    torch.testing.assert_close(Rescale(0.5).guide(guided), line(2, -2))


@pytest.mark.parametrize(("x", "image_scale"), [(5.0, 1.0), (2.5, 0.5)])
def test_epsilon_scaling_divides_the_noise_whatever_the_latent_is_scaled_by(x: float, image_scale: float) -> None:
    guided = call(line(1), line(1), 7.0, line(x), image_scale)
    torch.testing.assert_close(EpsilonScaling(1.25).guide(guided), line(5 - 4 / 1.25))


def test_cfg_zero_star_scales_the_negative_answer_to_the_prompts() -> None:
    """Answers (2, 2) and (4, 0): s* = 8 / 16, so (2, 0) + 3 · ((2, 2) - (2, 0)) = (2, 6) in the place of (-2, 6)."""
    x = line(10, 10)
    guided = call(x - line(2, 2), x - line(4, 0), 3.0, x)
    for is_flow in (False, True):
        hook = CfgZeroStar(2, is_flow=is_flow)
        torch.testing.assert_close(hook.guide(guided), x - line(2, 6))
    first = replace(guided, at=CallPosition(1, 5, range(1)))
    assert CfgZeroStar(2, is_flow=True).guide(first) is x
    torch.testing.assert_close(CfgZeroStar(2, is_flow=False).guide(first), x - line(2, 6))
    # Of a sampler whose latents hold half of the picture: the answer is what is left of x.
    half = replace(call((x - line(2, 2)) * 2, (x - line(4, 0)) * 2, 3.0, x), image_scale=0.5)
    torch.testing.assert_close(CfgZeroStar(2, is_flow=False).guide(half), (x - line(2, 6)) * 2)
    # Parts of a prompt count by their weights, and one without a negative prompt stays.
    parts = replace(guided, conds=guided.conds.repeat(2, 1, 1, 1), owners=((0, 0.25), (0, 0.75)))
    torch.testing.assert_close(CfgZeroStar(0, is_flow=True).guide(parts), x - line(2, 6))
    alone = replace(guided, uncond=None)
    assert CfgZeroStar(0, is_flow=True).guide(alone) is alone.combined


def test_mahiro_is_guidance_where_both_prompts_agree_and_the_leap_where_they_are_opposed() -> None:
    cond = latent(2, 4, 3, 3)
    torch.testing.assert_close(Mahiro().guide(call(cond, cond, 3.0)), cond)
    torch.testing.assert_close(Mahiro().guide(call(cond, -cond, 3.0)), cond * 3)


def test_mahiro_weighs_each_image_by_itself() -> None:
    cond, uncond = latent(2, 4, 3, 3), latent(2, 4, 3, 3, seed=1)
    together = Mahiro().guide(call(cond, uncond, 5.0))
    torch.testing.assert_close(together[1:], Mahiro().guide(call(cond[1:], uncond[1:], 5.0)))


def test_attention_is_guided_within_bounds_and_mixed_in() -> None:
    """3 · (1, 1) - 2 · (-1, 1) = (5, 1) is three times as long as (1, 1) by the sum of its parts, twice are allowed."""
    arguments = NormalizedAttentionArguments(negative="", scale=3, tau=2, alpha=0.5)
    positive, negative = torch.tensor([[[1.0, 1.0], [2.0, 0.0]]]), torch.tensor([[[-1.0, 1.0], [2.0, 0.0]]])
    wanted = torch.tensor([[[(5 * 2 / 3 + 1) / 2, (2 / 3 + 1) / 2], [2.0, 0.0]]])
    torch.testing.assert_close(normalized(positive, negative, arguments), wanted)


def test_a_negative_part_takes_only_what_the_others_do_not_want() -> None:
    """Of (3, 4) along the direction (1, 0) the 4 is taken, times weight and scale."""
    conds = torch.stack([line(1, 0)[0], line(3, 4)[0]])
    guided = replace(call(line(1, 0), line(0, 0), 2.0), conds=conds, owners=((0, 1.0), (0, -0.5)))
    guided = guided.after(guided.guided(2.0))
    torch.testing.assert_close(PerpNeg().guide(guided), line(2, -4))
    alone = call(line(1, 0), line(0, 0), 2.0)
    assert PerpNeg().guide(alone) is alone.combined


def thresholding(**values: object) -> DynamicThresholdingArguments:
    return DynamicThresholdingArguments.read({"mimic_scale": 2, **values})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, (8.0, 4.0)),
        ({"interpolate_phi": 0.5}, (9.5, 2.5)),
        ({"variability_measure": "STD"}, (8.0, 4.0)),
        ({"scaling_startpoint": "ZERO"}, (5.0, 5 / 11)),
        ({"threshold_percentile": 0}, (8.0, 4.0)),
        ({"threshold_percentile": 0, "scaling_startpoint": "ZERO"}, (5.0, 1.0)),
    ],
)
def test_thresholding_holds_a_high_scale_in_the_range_of_a_low_one(
    values: dict[str, object], wanted: tuple[float, float]
) -> None:
    """g = (11, 1) about 6 and mimic = (5, 1) about 3: five becomes two."""
    found = DynamicThresholding(thresholding(**values)).guide(call(line(3, 1), line(1, 1), 5.0))
    torch.testing.assert_close(found, line(*wanted))


def test_thresholding_compares_channels_by_themselves_or_all_together() -> None:
    cond, uncond = latent(1, 4, 3, 3), latent(1, 4, 3, 3, seed=1)
    each, whole = (
        DynamicThresholding(thresholding(separate_feature_channels=word)).guide(call(cond, uncond, 5.0))
        for word in ("enable", "disable")
    )
    one = DynamicThresholding(thresholding()).guide(call(cond[:, :1], uncond[:, :1], 5.0))
    torch.testing.assert_close(each[:, :1], one)
    assert not torch.allclose(whole[:, :1], one)


@pytest.mark.parametrize(
    ("mode", "value", "share"),
    [
        ("Constant", 1, 1.0),
        ("Linear Down", 1, 0.5),
        ("Linear Up", 1, 0.5),
        ("Cosine Down", 1, math.sqrt(0.5)),
        ("Cosine Up", 1, 1 - math.sqrt(0.5)),
        ("Half Cosine Down", 1, math.cos(0.5)),
        ("Half Cosine Up", 1, 1 - math.cos(0.5)),
        ("Power Up", 2, 0.25),
        ("Power Down", 2, 0.75),
        ("Linear Repeating", 2.5, 0.5),
        ("Cosine Repeating", 1, 0.0),
        ("Sawtooth", 2.5, 0.25),
    ],
)
def test_scales_follow_their_schedule(mode: str, value: float, share: float) -> None:
    """In the middle of five calls, between 2 and 10."""
    at = CallPosition(2, 5, range(1))
    wanted = 10 if mode == "Constant" else 2 + 8 * share
    assert scheduled(10, mode, 2, value, at) == pytest.approx(wanted)


def test_adaptive_projection_is_that_of_diffusers_over_several_calls() -> None:
    arguments = AdaptiveProjectedGuidanceArguments(eta=0.3, norm_threshold=4.0, momentum=-0.5)
    ours, buffer = AdaptiveProjectedGuidance(arguments), MomentumBuffer(-0.5)
    for seed in range(3):
        cond, uncond = latent(2, 4, 5, 5, seed=seed), latent(2, 4, 5, 5, seed=seed + 9)
        theirs = normalized_guidance(cond, uncond, 6.0, buffer, 0.3, 4.0, use_original_formulation=True)
        torch.testing.assert_close(ours.guide(call(cond, uncond, 7.0)), theirs)


@pytest.mark.parametrize(("left", "gamma"), [(1.0, 0.0), (0.9, 0.0), (0.75, 0.5), (0.6, 1.0), (0.1, 1.0)])
def test_texts_come_through_little_by_little(left: float, gamma: float) -> None:
    assert annealing(left, 0.6, 0.9) == pytest.approx(gamma)


def test_noisy_texts_have_the_mean_and_spread_that_they_had() -> None:
    texts, noise = latent(2, 7, 5) * 3 + 1, latent(2, 7, 5, seed=1)
    plain = CadsArguments.read({"rescale": False})
    torch.testing.assert_close(noisy(texts, noise, 0.25, plain), texts * 0.5 + noise * 0.25 * math.sqrt(0.75))
    rescaled = noisy(texts, noise, 0.25, CadsArguments.read({}))
    torch.testing.assert_close(rescaled.mean((1, 2)), texts.mean((1, 2)))
    torch.testing.assert_close(rescaled.std((1, 2)), texts.std((1, 2)))
    half = noisy(texts, noise, 0.25, CadsArguments.read({"mixing_factor": 0.5}))
    torch.testing.assert_close(half, (rescaled + noisy(texts, noise, 0.25, plain)) / 2)


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (5, 7)])
@pytest.mark.parametrize("stage", [0, 1])
def test_freeu_of_the_paper_is_that_of_diffusers(size: tuple[int, int], stage: int) -> None:
    h, skip = latent(2, 8, *size), latent(2, 6, *size, seed=1)
    b, s = (1.5, 0.9) if stage == 0 else (1.6, 0.2)
    theirs = apply_freeu(stage, h.clone(), skip.clone(), b1=1.5, b2=1.6, s1=0.9, s2=0.2)
    torch.testing.assert_close(stronger(h, b, by_mean=False), theirs[0])
    torch.testing.assert_close(low_scaled(skip, s), theirs[1])


def test_freeu_of_its_code_is_strong_where_the_features_mean_is_high() -> None:
    h = torch.tensor([[1.0, 3.0, 2.0], [1.0, 5.0, 2.0]]).view(1, 2, 1, 3)
    wanted = torch.tensor([[1.0, 3.0 * 1.5, 2.0 * (1 + 0.5 / 3)], [1.0, 5.0, 2.0]]).view(1, 2, 1, 3)
    torch.testing.assert_close(stronger(h, 1.5, by_mean=True), wanted)


def test_freeu_keeps_half_precision() -> None:
    h = latent(1, 4, 6, 6, dtype=torch.bfloat16)
    assert stronger(h, 1.5, by_mean=True).dtype == low_scaled(h, 0.5).dtype == torch.bfloat16
    assert stronger(torch.ones_like(h), 1.5, by_mean=True).isfinite().all()


def test_queries_are_blurred_like_a_picture() -> None:
    cells = (9, 10)
    query = latent(2, 90, 3)
    found = blurred_queries(query, cells, 2.0)
    pictures = query.mT.reshape(2, 3, *cells).numpy()
    wanted = np.stack(
        [[gaussian_filter(one, 2.0, mode="mirror", truncate=3.0) for one in picture] for picture in pictures]
    )
    torch.testing.assert_close(found.mT.reshape(2, 3, *cells), torch.from_numpy(wanted), rtol=1e-4, atol=1e-5)
    whole = blurred_queries(query, cells, 9999)
    torch.testing.assert_close(whole[:, 17], query.mean(1))


def test_a_small_picture_is_blurred_with_the_cells_that_it_has() -> None:
    assert blurred_queries(latent(1, 4, 3), (2, 2), 11.0).isfinite().all()
    assert torch.equal(blurred_queries(latent(1, 1, 3), (1, 1), 11.0), latent(1, 1, 3))


def test_tiles_are_equal_parts_of_at_least_the_wanted_size() -> None:
    assert tile_counts(64, 32, 2) == [2, 1]
    assert tile_counts(96, 32, 3) == [3, 2, 1]
    assert tile_counts(96, 32, 1) == [3]
    assert tile_counts(16, 32, 4) == [1]
    assert tile_counts(13, 4, 4) == [1]


def test_a_tile_is_a_part_of_the_picture_and_all_come_back() -> None:
    picture = torch.arange(24.0).view(1, 4, 6, 1)
    parts = tiled(picture.view(1, 24, 1), (4, 6), 2, 3)
    assert parts.shape == (6, 4, 1)
    torch.testing.assert_close(parts[4].view(2, 2), picture[0, 2:4, 2:4, 0])
    assert torch.equal(untiled(parts, (4, 6), 2, 3), picture.view(1, 24, 1))
