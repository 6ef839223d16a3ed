"""Masks over latents: what is kept hard, and what soft inpainting keeps by degrees."""

from __future__ import annotations

import pytest
import torch

from modules.sampling import InpaintMask, SoftBlend
from tests.sampling.doubles import latent

INIT = latent(2, 4, 6, 6, seed=5)
MADE = latent(2, 4, 6, 6, seed=6)


def ramp() -> torch.Tensor:
    return torch.linspace(0, 1, 6).expand(6, 6)


def test_a_hard_mask_is_a_choice_of_cells() -> None:
    keep = (ramp() > 0.5).float()
    found = InpaintMask(INIT, keep).blend(MADE, torch.tensor(3.0))
    assert torch.equal(found, torch.where(keep.bool(), INIT, MADE))


@pytest.mark.parametrize("level", [14.6, 1.0, 0.03])
def test_soft_inpainting_keeps_all_where_nothing_is_painted_and_nothing_where_all_is(level: float) -> None:
    mask = InpaintMask(INIT, 1 - ramp(), SoftBlend())
    found = mask.blend(MADE, torch.tensor(level))
    assert torch.allclose(found[..., 0], INIT[..., 0], atol=1e-4)
    assert torch.allclose(found[..., 5], MADE[..., 5], atol=1e-4)


def test_the_picture_holds_on_more_the_higher_the_noise() -> None:
    share = torch.tensor([0.5])
    by_level = [float(SoftBlend().repainted(share, torch.tensor(level))) for level in (10.0, 1.0, 0.1)]
    assert by_level == sorted(by_level)
    # At level 1 the bias has no say: 0.5 to the power of the preservation strength.
    assert by_level[1] == pytest.approx(0.5**0.5)
    assert float(SoftBlend(schedule_bias=0).repainted(share, torch.tensor(10.0))) == pytest.approx(0.5**0.5)
    assert float(SoftBlend(preservation=0).repainted(share, torch.tensor(10.0))) == 1


@pytest.mark.parametrize("contrast", [1.0, 4.0, 32.0])
def test_lengths_are_mixed_apart_from_directions(contrast: float) -> None:
    share = 0.3
    found = SoftBlend(contrast=contrast).mixed(INIT, MADE, torch.tensor(share))
    straight = INIT * (1 - share) + MADE * share
    cosine = torch.nn.functional.cosine_similarity(found, straight, dim=1)
    assert torch.allclose(cosine, torch.ones_like(cosine), atol=1e-5)
    old, new = INIT.double().norm(dim=1), MADE.double().norm(dim=1)
    wanted = (old**contrast * (1 - share) + new**contrast * share) ** (1 / contrast)
    assert torch.allclose(found.double().norm(dim=1), wanted, rtol=1e-3)


def test_a_finished_latent_is_blended_once_more_only_by_a_hard_mask() -> None:
    keep = (ramp() > 0.5).float()
    assert torch.equal(InpaintMask(INIT, keep, SoftBlend()).finished(MADE), MADE)
    assert torch.equal(InpaintMask(INIT, keep).finished(MADE), torch.where(keep.bool(), INIT, MADE))


def test_one_image_of_a_batch_keeps_its_own_picture() -> None:
    alone = InpaintMask(INIT, 1 - ramp(), SoftBlend()).of_image(1)
    whole = InpaintMask(INIT, 1 - ramp(), SoftBlend()).blend(MADE, torch.tensor(2.0))
    assert torch.allclose(alone.blend(MADE[1:], torch.tensor(2.0)), whole[1:])
