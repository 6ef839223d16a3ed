"""Models trained by EDM, without timesteps: levels and coefficients against published formulas and diffusers."""

from __future__ import annotations

import pytest
import torch
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from torch import Tensor

from modules.families import EDM_TRAINING, PredictionType
from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import resolve_sampler, sampler_labels
from modules.parameters.schedules import AUTOMATIC, resolve_schedule, schedule_labels
from modules.sampling import EdmSigmas, build_sigmas, plan_run
from modules.sampling.conditioning import Conditioning
from modules.sampling.denoiser import SigmaPrediction
from tests.sampling.doubles import latent

# Ten levels of each, computed apart.
GOLDEN: dict[PredictionType, str] = {
    "edm": "80 42.4152 21.1087 9.7232 4.06612 1.50174 .469979 .116639 .0204353 .002 0",
    "edm_v_prediction": "120 35.3407 10.4081 3.06524 .902731 .26586 .0782974 .023059 .00679103 .002 0",
}
KINDS: tuple[PredictionType, ...] = ("edm", "edm_v_prediction")
TEXT = Conditioning(torch.zeros(1, 1, 1))


def model(kind: PredictionType) -> EdmSigmas:
    return EdmSigmas(EDM_TRAINING[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", ["Automatic", "own"])
def test_levels_are_the_published_ones(kind: PredictionType, schedule: str) -> None:
    label = {"edm": "Karras", "edm_v_prediction": "Exponential"}[kind] if schedule == "own" else schedule
    found = build_sigmas(resolve_schedule(label), 10, model(kind), SamplerOptions())
    assert found.tolist() == pytest.approx([float(value) for value in GOLDEN[kind].split()], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_places_on_the_way_are_found_again(kind: PredictionType) -> None:
    levels = model(kind)
    places = torch.tensor([0.0, 0.25, 1.0, 499.5, 998.75, 999.0])
    assert levels.sigma_to_t(levels.t_to_sigma(places)).tolist() == pytest.approx(places.tolist(), abs=2e-2)
    training = EDM_TRAINING[kind]
    assert (levels.sigma_min, levels.sigma_max) == pytest.approx((training.sigma_min, training.sigma_max), rel=1e-6)
    assert len(levels.sigmas) == 1000 and bool((levels.sigmas.diff() > 0).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", schedule_labels())
def test_every_schedule_descends_over_the_range(kind: PredictionType, label: str) -> None:
    found = build_sigmas(resolve_schedule(label), 12, model(kind), SamplerOptions())
    assert len(found) >= 12 and bool((found.diff() < 0).all()) and bool(torch.isfinite(found).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.002, 0.3, 1.0, 79.0])
def test_the_model_is_called_as_diffusers_calls_it(kind: PredictionType, level: float) -> None:
    training = EDM_TRAINING[kind]
    theirs = EDMEulerScheduler(
        sigma_data=training.sigma_data, prediction_type={"edm": "epsilon"}.get(kind, "v_prediction")
    )
    x, answer, seen = latent(1, 4, 2, 2) * level, latent(1, 4, 2, 2, seed=1), []

    def unet(scaled: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
        seen.append((scaled, float(timesteps[0])))
        return answer

    sigma = torch.tensor(level)
    found = SigmaPrediction(unet, model(kind), kind)(x, sigma, TEXT, None)
    ((scaled, timestep),) = seen
    torch.testing.assert_close(scaled, theirs.precondition_inputs(x, sigma))
    assert timestep == pytest.approx(float(theirs.precondition_noise(sigma)), abs=1e-6)
    torch.testing.assert_close(found, theirs.precondition_outputs(x, answer, sigma), atol=1e-5, rtol=1e-5)


def test_coefficients_at_one() -> None:
    """As computed apart: in .894427, skip .2, out .447214, noise 0."""
    ones = torch.ones(1, 1, 1, 1)

    def unet(scaled: Tensor, timesteps: Tensor, text: Conditioning) -> Tensor:
        assert float(scaled) == pytest.approx(0.894427, abs=1e-6) and float(timesteps) == 0
        return ones

    found = SigmaPrediction(unet, model("edm"), "edm")(ones, torch.tensor(1.0), TEXT, None)
    assert float(found) == pytest.approx(0.2 + 0.447214, abs=1e-6)


def test_samplers_that_need_timesteps_say_so() -> None:
    """Those whose function reads the trained schedule, or whose levels are timesteps."""
    needs = [label for label in sampler_labels() if resolve_sampler(label).sampler.needs_timesteps]
    assert needs == ["DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM", "TCD"]
    for label in set(sampler_labels()) - set(needs):
        plan = plan_run(resolve_sampler(label, AUTOMATIC.label), 10, model("edm"), SamplerOptions())
        assert float(plan.start) == pytest.approx(80), label
