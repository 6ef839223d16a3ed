"""DDIM, DDIM CFG++, PLMS and UniPC against diffusers where it computes the same, else against the papers' formulas."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.sampling import SAMPLER_FUNCTIONS, sd1_sigmas
from modules.sampling.options import SolverOptions
from modules.sampling.plan import timestep_schedule
from modules.sampling.samplers import Step
from modules.sampling.samplers.unipc import UniPCOptionError
from tests.sampling import references
from tests.sampling.doubles import MixingDenoiser, ignore, latent, no_noise, seeded_noise


def model() -> MixingDenoiser:
    return MixingDenoiser(sd1_sigmas().alphas_cumprod)


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("steps", [5, 10, 20, 50])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_ddim_equals_diffusers_but_for_its_last_step(steps: int, eta: float) -> None:
    timesteps, x = timestep_schedule(steps), latent(2, 4, 8, 8)
    expected = references.ddim(model(), x, timesteps, seeded_noise(x, 1), eta)
    found = SAMPLER_FUNCTIONS["DDIM"](model(), x, timesteps, seeded_noise(x, 1), SolverOptions(eta=eta), ignore)
    assert difference(found, expected) <= 5e-6


def test_the_first_timestep_is_stepped_to_but_never_from() -> None:
    for label, calls in (("DDIM", 19), ("DDIM CFG++", 19), ("PLMS", 20)):
        denoiser = model()
        SAMPLER_FUNCTIONS[label](
            denoiser, latent(1, 4, 4, 4), timestep_schedule(20), no_noise, SolverOptions(eta=0), ignore
        )
        assert len(denoiser.levels) == calls, label
        # PLMS looks ahead at 901 once; nothing asks at timestep 1.
        assert denoiser.levels[0] == 951 and min(denoiser.levels) == 51, label


@pytest.mark.parametrize("steps", [2, 7, 20])
def test_cfgpp_puts_noise_back_along_the_unconditional_prediction(steps: int) -> None:
    timesteps, x = timestep_schedule(steps), latent(1, 4, 8, 8)
    expected = references.ddim_cfgpp(model(), x, timesteps, no_noise)
    found = SAMPLER_FUNCTIONS["DDIM CFG++"](model(), x, timesteps, no_noise, SolverOptions(eta=0), ignore)
    assert difference(found, expected) <= 5e-6


def test_cfgpp_needs_the_unconditional_prediction() -> None:
    class Forgetful(MixingDenoiser):
        def __call__(self, x: Tensor, level: Tensor) -> Tensor:
            answer = super().__call__(x, level)
            self.last_uncond = None
            return answer

    denoiser = Forgetful(sd1_sigmas().alphas_cumprod)
    with pytest.raises(ValueError, match="keeps its unconditional answer"):
        SAMPLER_FUNCTIONS["DDIM CFG++"](
            denoiser, latent(1, 4, 4, 4), timestep_schedule(4), no_noise, SolverOptions(eta=0), ignore
        )


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 20, 30])
def test_plms_equals_the_paper(steps: int) -> None:
    x, timesteps = latent(2, 4, 8, 8), timestep_schedule(steps)
    expected = references.plms(model(), x, timesteps, no_noise)
    found = SAMPLER_FUNCTIONS["PLMS"](model(), x, timesteps, no_noise, SolverOptions(), ignore)
    assert difference(found, expected) <= 5e-6


@pytest.mark.parametrize("lower_final", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unipc_equals_diffusers(variant: str, order: int, lower_final: bool) -> None:
    for steps in (5, 10, 20):
        x = latent(2, 4, 8, 8)
        options = SolverOptions(uni_pc_variant=variant, uni_pc_order=order, uni_pc_lower_order_final=lower_final)
        timesteps = timestep_schedule(steps)
        found = SAMPLER_FUNCTIONS["UniPC"](model(), x, timesteps, no_noise, options, ignore)
        expected = references.unipc(
            model(), x, timesteps, no_noise, variant=variant, order=order, lower_final=lower_final
        )
        assert difference(found, expected) <= 2e-4, steps


def test_unipc_calls_the_model_once_a_step_and_reports_each() -> None:
    denoiser, seen = model(), list[Step]()
    SAMPLER_FUNCTIONS["UniPC"](
        denoiser, latent(1, 4, 4, 4), timestep_schedule(20), no_noise, SolverOptions(), seen.append
    )
    assert len(denoiser.levels) == 20
    assert [step.index for step in seen] == list(range(20))
    assert denoiser.levels[0] == pytest.approx(999)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("order", [1, 3, 5])
def test_unipc_needs_no_more_steps_than_its_order(steps: int, order: int) -> None:
    # A1111 refuses fewer steps than the order; here the order is lowered.
    for variant in ("bh1", "bh2", "vary_coeff"):
        options = SolverOptions(uni_pc_order=order, uni_pc_variant=variant)
        found = SAMPLER_FUNCTIONS["UniPC"](
            model(), latent(1, 4, 4, 4), timestep_schedule(steps), no_noise, options, ignore
        )
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", ["time_uniform", "time_quadratic", "logSNR"])
def test_unipc_spacings_span_the_whole_range(kind: str) -> None:
    denoiser, options = model(), SolverOptions(uni_pc_skip_type=kind)
    SAMPLER_FUNCTIONS["UniPC"](denoiser, latent(1, 4, 4, 4), timestep_schedule(10), no_noise, options, ignore)
    assert denoiser.levels[0] == pytest.approx(999, abs=1e-2)
    assert denoiser.levels == sorted(denoiser.levels, reverse=True)
    alphas = sd1_sigmas().alphas_cumprod
    if kind == "logSNR":
        at = [alphas[round(t)] for t in denoiser.levels]
        lam = [0.5 * math.log(a / (1 - a)) for a in at]
        gaps = [b - a for a, b in itertools.pairwise(lam)]
        # Read at whole timesteps, so not quite even.
        assert max(gaps) - min(gaps) < 0.2 * max(gaps)


def test_unipc_from_an_image_starts_at_its_last_timestep() -> None:
    denoiser = model()
    SAMPLER_FUNCTIONS["UniPC"](
        denoiser, latent(1, 4, 4, 4), timestep_schedule(20)[:10], no_noise, SolverOptions(is_img2img=True), ignore
    )
    assert denoiser.levels[0] == pytest.approx(451, abs=1e-2)
    assert len(denoiser.levels) == 10


@pytest.mark.parametrize("bad", [{"uni_pc_variant": "bh3"}, {"uni_pc_skip_type": "even"}])
def test_unipc_names_an_unknown_option(bad: dict[str, Any]) -> None:
    with pytest.raises(UniPCOptionError, match="not '"):
        SAMPLER_FUNCTIONS["UniPC"](
            model(), latent(1, 4, 4, 4), timestep_schedule(4), no_noise, SolverOptions(**bad), ignore
        )


@pytest.mark.parametrize("label", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
def test_nothing_to_walk_leaves_the_latent_alone(label: str) -> None:
    x = latent(1, 4, 4, 4)
    nothing = torch.zeros(0, dtype=torch.long)
    assert SAMPLER_FUNCTIONS[label](model(), x, nothing, no_noise, SolverOptions(), ignore) is x
