"""How residuals of control models are weighed and added: golden values of the curves, and what each mode touches."""

from __future__ import annotations

import pytest
import torch

from modules.parameters.control import ControlMode
from modules.sampling import CallPosition, GuidanceOptions, UnetResiduals, constant_conditions, sd1_sigmas
from modules.sampling.conditioning import Conditioning, stack_rows
from modules.sampling.control import (
    Weighting,
    added,
    feature_weights,
    is_curved,
    is_pooled,
    is_positive_only,
    is_within,
    residual_weights,
    weigh,
)
from modules.sampling.denoiser import SigmaPrediction
from modules.sampling.guidance import Guidance
from tests.sampling.doubles import toy_conditioning

CURVE = (0.0994, 0.1205, 0.1460, 0.1770, 0.2146, 0.2601, 0.3152, 0.3821, 0.4631, 0.5614, 0.6806, 0.825, 1.0)


def test_the_curve_of_stable_diffusion_1() -> None:
    assert residual_weights(13, 1.0, curved=True) == pytest.approx(CURVE, abs=2e-4)
    assert residual_weights(13, 0.5, curved=True) == pytest.approx([value / 2 for value in CURVE], abs=2e-4)
    assert residual_weights(13, 0.7, curved=False) == (0.7,) * 13


def test_sdxl_takes_the_first_ten() -> None:
    assert residual_weights(10, 1.0, curved=True) == pytest.approx(CURVE[:10], abs=2e-4)


def test_the_curve_of_adapters() -> None:
    assert feature_weights(4, 2.0, curved=True) == pytest.approx((0.5, 1.24, 1.65, 2.0))
    assert feature_weights(4, 2.0, curved=False) == (2.0,) * 4


@pytest.mark.parametrize(
    ("mode", "preprocessor", "hires", "curved"),
    [
        (ControlMode.BALANCED, "depth_midas", True, False),
        (ControlMode.BALANCED, "canny", False, False),
        (ControlMode.BALANCED, "canny", True, True),
        (ControlMode.BALANCED, "MLSD", True, True),
        (ControlMode.PROMPT, "none", False, True),
        (ControlMode.CONTROL, "none", False, True),
    ],
)
def test_which_units_fall_towards_the_top(mode: ControlMode, preprocessor: str, hires: bool, curved: bool) -> None:
    assert is_curved(mode, preprocessor, hires=hires) is curved


def test_shuffle_and_one_mode_leave_the_negative_prompt_alone() -> None:
    assert is_pooled("control_v11e_sd15_Shuffle [526bfdae]")
    assert not is_pooled("control_v11p_sd15_canny")
    assert is_positive_only(ControlMode.CONTROL, "canny")
    assert is_positive_only(ControlMode.BALANCED, "control_v11e_sd15_shuffle")
    assert not is_positive_only(ControlMode.PROMPT, "canny")


def residuals() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(3, 2, side, side, generator=generator) for side in (8, 4, 4)]


def test_each_residual_has_its_factor() -> None:
    made = weigh(residuals(), Weighting((1.0, 0.5, 0.0)))
    assert torch.equal(made[0], residuals()[0])
    assert torch.equal(made[1], residuals()[1] * 0.5)
    assert not made[2].any()
    with pytest.raises(ValueError, match="3 weights are needed, and 2 are given"):
        weigh(residuals(), Weighting((1.0, 0.5)))


def test_rows_of_the_negative_prompt_get_zeros() -> None:
    made = weigh(residuals(), Weighting((1.0,) * 3, positive_only=True), negative_rows=2)
    for one, whole in zip(made, residuals(), strict=True):
        assert torch.equal(one[:3], whole)
        assert one.shape[0] == 5
        assert not one[3:].any()


def test_pooled_residuals_are_their_mean_after_weighing() -> None:
    made = weigh(residuals(), Weighting((2.0,) * 3, pooled=True))
    torch.testing.assert_close(made[1], (residuals()[1] * 2).mean((2, 3), keepdim=True).expand(3, 2, 4, 4))


def test_a_region_mask_is_brought_to_each_size() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    made = weigh(residuals(), Weighting((1.0,) * 3, mask=mask))
    for one, whole in zip(made, residuals(), strict=True):
        half = one.shape[-1] // 2
        assert torch.equal(one[..., :half], whole[..., :half])
        assert not one[..., half:].any()


def test_units_add_up() -> None:
    first = UnetResiduals(tuple(residuals()[:2]), residuals()[2])
    features = UnetResiduals(features=(residuals()[0],))
    total = added([first, features, first, features])
    assert total is not None
    assert total.middle is not None
    assert torch.equal(total.skips[0], residuals()[0] * 2)
    assert torch.equal(total.middle, residuals()[2] * 2)
    assert torch.equal(total.features[0], residuals()[0] * 2)
    assert added([]) is None
    only = added([features])
    assert only is not None
    assert (only.skips, only.middle) == ((), None)


def test_a_window_lags_one_call() -> None:
    """Of ten steps the second call still sees the first step, as the extension counts."""
    seen = [CallPosition(call, 10, range(1)) for call in range(10)]
    assert [is_within((0.0, 0.3), at, 10) for at in seen] == [True] * 5 + [False] * 5
    assert [is_within((0.2, 1.0), at, 10) for at in seen] == [False] * 3 + [True] * 7
    assert [is_within((0.0, 0.0), at, 10) for at in seen] == [True] * 2 + [False] * 8


def test_a_window_of_a_sampler_that_calls_twice_a_step() -> None:
    """The second call of a step sees that step, the first one the step before."""
    seen = [CallPosition(call, 9, range(1)) for call in range(9)]
    assert [is_within((0.2, 0.4), at, 5) for at in seen] == [False] * 3 + [True] * 4 + [False] * 2


def test_rows_know_which_are_of_the_negative_prompt() -> None:
    positive, negative = toy_conditioning(2), toy_conditioning(3, seed=1).as_negative()
    both = stack_rows([positive, negative])
    assert [both.slice(0, stop).negative_rows for stop in (1, 2, 3, 5)] == [0, 0, 1, 3]
    assert both.slice(4, 5).negative_rows == 1
    assert both.with_context(both.context * 2).negative_rows == 3


@pytest.mark.parametrize(("tokens", "rows"), [(77, [(4, 2)]), (154, [(2, 0), (2, 2)])])
def test_guidance_says_which_rows_are_of_the_negative_prompt(tokens: int, rows: list[tuple[int, int]]) -> None:
    seen: list[tuple[int, int]] = []

    def unet(x: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        seen.append((conditioning.rows, conditioning.negative_rows))
        return x

    conditions = constant_conditions(toy_conditioning(2, tokens), toy_conditioning(2))
    guidance = Guidance(SigmaPrediction(unet, sd1_sigmas()), conditions, GuidanceOptions(), total_calls=1)
    guidance(torch.zeros(2, 4, 8, 8), torch.tensor(3.0))
    assert seen == rows
