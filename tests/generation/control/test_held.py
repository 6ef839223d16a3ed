"""Units that hold on to their picture, or take its colours, step by step: by hand on small latents."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.generation.control.held import (
    ColourPicture,
    ColourPictures,
    HeldPicture,
    HeldPictures,
    blurred_cells,
    painted_cells,
)
from modules.sampling import CallPosition, GuidedCall

STEPS = 10


def noise(seed: int, rows: int = 2) -> Tensor:
    return torch.randn(rows, 4, 6, 8, generator=torch.Generator().manual_seed(seed))


def call(number: int = 0, scale: float = 7.0, uncond: bool = True) -> GuidedCall:
    conds, negative = noise(1), noise(2)
    at = CallPosition(number, STEPS, range(2))
    made = GuidedCall(
        x=noise(3),
        level=torch.tensor(1.0),
        at=at,
        conds=conds,
        uncond=negative if uncond else None,
        combined=conds,
        scale=scale,
        owners=((0, 1.0), (1, 1.0)),
        predict=lambda x, negative: x,
    )
    return made.after(made.guided(scale))


def painted() -> Tensor:
    mask = torch.zeros(1, 1, 6, 8)
    mask[..., 3:] = 1
    return mask


def test_outside_of_the_mask_the_estimate_is_the_picture() -> None:
    latent, plain = noise(9, 1), call().combined
    made = HeldPictures([HeldPicture(latent, painted())], STEPS).guide(call())
    assert torch.equal(made[..., 3:], plain[..., 3:])
    assert torch.equal(made[..., :3], latent.expand(2, -1, -1, -1)[..., :3])
    less = HeldPictures([HeldPicture(latent, painted(), weight=0.25)], STEPS).guide(call())
    torch.testing.assert_close(less[..., :3], 0.75 * plain[..., :3] + 0.25 * latent[..., :3])


def test_a_window_switches_both_off() -> None:
    held = HeldPictures([HeldPicture(noise(9, 1), painted(), window=(0.5, 1.0))], STEPS)
    colours = ColourPictures([ColourPicture(noise(9, 1), 2, window=(0.5, 1.0))], STEPS)
    for hook in (held, colours):
        assert torch.equal(hook.guide(call(2)), call(2).combined)
        assert not torch.equal(hook.guide(call(8)), call(8).combined)


def test_a_run_begins_with_what_is_left_of_a_picture() -> None:
    drawn, latent = noise(5), noise(9, 1)
    share = 0.0047
    made = HeldPictures([HeldPicture(latent, painted(), first=share)], STEPS).first_noise(drawn)
    torch.testing.assert_close(made, math.sqrt(share) * latent + math.sqrt(1 - share) * drawn)
    assert HeldPictures([HeldPicture(latent, painted())], STEPS).first_noise(drawn) is drawn


def test_cells_that_a_mask_touches_are_painted() -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 8, 8] = 1
    cells = painted_cells(mask)
    assert cells.shape == (1, 1, 6, 8)
    assert sorted(map(tuple, cells[0, 0].nonzero().tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def blurred_by_hand(latent: Tensor, reach: int) -> Tensor:
    made = torch.zeros_like(latent)
    high, wide = latent.shape[2:]
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            rows = (torch.arange(high) + down).clamp(0, high - 1)
            columns = (torch.arange(wide) + across).clamp(0, wide - 1)
            made += latent[:, :, rows][:, :, :, columns]
    return made / (2 * reach + 1) ** 2


@pytest.mark.parametrize("reach", [1, 3, 16])
def test_a_blur_is_the_mean_of_a_square(reach: int) -> None:
    torch.testing.assert_close(blurred_cells(noise(1), reach), blurred_by_hand(noise(1), reach), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sharpness", [0.0, 1.5])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_colours_are_those_of_each_answer_changed_before_guidance(sharpness: float, weight: float) -> None:
    """As the extension does it: on the answer to each text by itself, negative prompts blurred where it sharpens."""
    latent, scale = noise(9, 1), 7.0

    def changed(answer: Tensor, *, negative: bool) -> Tensor:
        made = answer - blurred_by_hand(answer, 2) + blurred_by_hand(latent, 2)
        if negative:
            detail = sharpness * 0.01
            made = detail * blurred_by_hand(made, 2) + (1 - detail) * made
        return made * weight + answer * (1 - weight)

    uncond = changed(noise(2), negative=True)
    expected = uncond + scale * (changed(noise(1), negative=False) - uncond)
    made = ColourPictures([ColourPicture(latent, 2, sharpness, weight)], STEPS).guide(call(scale=scale))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-4)


def test_without_a_negative_prompt_there_is_nothing_to_sharpen_by() -> None:
    pictures: list[Any] = [ColourPicture(noise(9, 1), 2, sharpness) for sharpness in (0.0, 1.0)]
    plain, sharp = (ColourPictures([one], STEPS).guide(call(scale=1, uncond=False)) for one in pictures)
    assert torch.equal(plain, sharp)
