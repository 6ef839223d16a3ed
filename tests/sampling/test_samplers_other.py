"""LCM, Restart and Forge's samplers, against diffusers or the published formulas; Euler against diffusers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DEISMultistepScheduler, EulerDiscreteScheduler, LCMScheduler
from scipy import integrate
from torch import Tensor

from modules.sampling import SAMPLER_FUNCTIONS, sd1_sigmas, sigma_schedule
from modules.sampling.conditioning import Conditioning
from modules.sampling.denoiser import LcmPrediction
from modules.sampling.model_schedule import LcmSigmas
from modules.sampling.options import SolverOptions
from modules.sampling.samplers.multistep import _vp_time
from modules.sampling.samplers.protocol import slope
from modules.sampling.samplers.restart import restart_steps
from tests.sampling.doubles import MixingDenoiser, ignore, latent, no_noise, seeded_noise

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class NoiseModel:
    """A noise-predicting model in the scaled space that diffusers' schedulers and UNets share."""

    def __call__(self, scaled: Tensor, timestep: float) -> Tensor:
        return torch.tanh(scaled * 0.8 + timestep / 1000) + 0.1 * scaled


class SigmaView:
    """The same model as a sigma denoiser."""

    alphas_cumprod = torch.empty(0)
    last_uncond = None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        timestep = float(sd1_sigmas().sigma_to_t(sigma))
        return x - sigma * NoiseModel()(x / (1 + sigma**2).sqrt(), timestep)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_euler_equals_diffusers_on_its_own_levels(steps: int) -> None:
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.clone()
    x = latent(2, 4, 8, 8) * sigmas[0]
    theirs = x.clone()
    for t in scheduler.timesteps:
        theirs = scheduler.step(NoiseModel()(scheduler.scale_model_input(theirs, t), float(t)), t, theirs).prev_sample
    ours = SAMPLER_FUNCTIONS["Euler"](SigmaView(), x, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-4


@pytest.mark.parametrize("steps", [2, 10, 50])
def test_ddpm_equals_diffusers(steps: int) -> None:
    scheduler = DDPMScheduler(**BETAS, clip_sample=False, variance_type="fixed_small", timestep_spacing="leading")
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    sigmas = torch.cat([sd1_sigmas().sigmas[timesteps], torch.zeros(1)])
    x = latent(2, 4, 8, 8) * sigmas[0]
    theirs = x / (1 + sigmas[0] ** 2).sqrt()
    draw = seeded_noise(x, 3)
    alphas = sd1_sigmas().alphas_cumprod.double()
    for t in timesteps.tolist():
        # diffusers ends one step above 0 noise; the posterior itself goes all the way.
        eps = NoiseModel()(theirs, t)
        before = t - 1000 // steps
        previous = alphas[before] if before >= 0 else torch.tensor(1.0)
        image = (theirs - (1 - alphas[t]).sqrt() * eps) / alphas[t].sqrt()
        share = 1 - alphas[t] / previous
        mean = previous.sqrt() * share / (1 - alphas[t]) * image
        mean = mean + (alphas[t] / previous).sqrt() * (1 - previous) / (1 - alphas[t]) * theirs
        if before >= 0:
            torch.testing.assert_close(
                scheduler._get_variance(t, None).double(), (1 - previous) / (1 - alphas[t]) * share, atol=1e-6, rtol=0
            )
            mean = mean + ((1 - previous) / (1 - alphas[t]) * share).sqrt() * draw(x, x)
        theirs = mean.float()
    ours = SAMPLER_FUNCTIONS["DDPM"](SigmaView(), x, sigmas, seeded_noise(x, 3), SolverOptions(), ignore)
    assert float((ours - theirs).abs().max()) <= 2e-4


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lcm_equals_diffusers(steps: int) -> None:
    model = LcmSigmas(sd1_sigmas())
    scheduler = LCMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(steps, original_inference_steps=50)
    timesteps = scheduler.timesteps
    sigmas = torch.cat([sd1_sigmas().sigmas[timesteps], torch.zeros(1)])
    x = latent(1, 4, 8, 8) * sigmas[0]
    prediction = LcmPrediction(lambda rows, t, text: NoiseModel()(rows, float(t[0])), model)
    text = Conditioning(torch.zeros(1, 1, 1))

    class Denoiser:
        alphas_cumprod = torch.empty(0)
        last_uncond = None

        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            return prediction(x, sigma, text, None)

    drawn = [latent(1, 4, 8, 8, seed=10 + i) for i in range(steps)]
    pending = iter(drawn)
    ours = SAMPLER_FUNCTIONS["LCM"](Denoiser(), x, sigmas, lambda a, b: next(pending), SolverOptions(), ignore)
    theirs = x / (1 + sigmas[0] ** 2).sqrt()
    alphas = sd1_sigmas().alphas_cumprod
    denoised = theirs
    for i, t in enumerate(timesteps.tolist()):
        # diffusers weighs the scaled latent in its skip connection, A1111 the unscaled one; undo that difference.
        step = scheduler.step(NoiseModel()(theirs, t), timesteps[i], theirs)
        c_skip, _ = scheduler.get_scalings_for_boundary_condition_discrete(timesteps[i])
        sigma = float(sigmas[i])
        denoised = step.denoised + c_skip * theirs * (math.sqrt(1 + sigma**2) - 1)
        if i + 1 < steps:
            after = alphas[int(timesteps[i + 1])]
            theirs = after.sqrt() * denoised + (1 - after).sqrt() * drawn[i]
    assert float((ours - denoised).abs().max()) <= 1e-4


def test_lcm_model_has_50_levels_at_every_20th_timestep() -> None:
    model = LcmSigmas(sd1_sigmas())
    assert len(model.sigmas) == 50
    timesteps = model.sigma_to_t(model.sigmas)
    assert timesteps.tolist() == list(range(19, 1000, 20))
    assert torch.allclose(model.t_to_sigma(timesteps), model.sigmas, rtol=1e-5)
    assert model.uniform(4).tolist() == pytest.approx([14.6146, 3.8571, 1.0447, 0.1315, 0], rel=0.5)
    assert float(model.uniform(1)[0]) == pytest.approx(float(model.sigmas[-1]), rel=1e-5)


def test_restart_under_20_steps_is_heun() -> None:
    sigmas, x = torch.tensor(sigma_schedule("Karras", 19)), latent(1, 4, 8, 8) * 14.6
    restart = SAMPLER_FUNCTIONS["Restart"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    heun = SAMPLER_FUNCTIONS["Heun"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    assert torch.equal(restart, heun)


@pytest.mark.parametrize(("steps", "again", "times"), [(20, 9, 1), (35, 9, 1), (36, 9, 2), (60, 15, 2), (150, 37, 2)])
def test_restart_repeats_the_stretch_from_2_to_a_tenth(steps: int, again: int, times: int) -> None:
    plan = restart_steps(torch.tensor(sigma_schedule("Karras", steps)))
    base = sigma_schedule("Karras", steps - again * times)
    # As many steps as asked: what is repeated was taken off the base schedule.
    assert len(plan) == steps
    low = min(range(len(base)), key=lambda i: abs(base[i] - 0.1))
    high = min(range(len(base)), key=lambda i: abs(base[i] - 2))
    rises = [i for i in range(1, len(plan)) if plan[i][0] > plan[i - 1][1]]
    assert len(rises) == times
    for rise in rises:
        assert float(plan[rise - 1][1]) == pytest.approx(base[low], rel=1e-5)
        assert float(plan[rise][0]) == pytest.approx(base[high], rel=1e-5)
        # The stretch ends where it was left, in n steps.
        assert float(plan[rise + again - 1][1]) == pytest.approx(base[low], rel=1e-5)
    assert plan[-1][1] == 0


def test_restart_adds_just_the_noise_between_the_levels() -> None:
    sigmas, x = torch.tensor(sigma_schedule("Karras", 20)), latent(1, 4, 8, 8) * 14.6
    drawn: list[tuple[float, float]] = []

    def noise(low: Tensor, high: Tensor) -> Tensor:
        drawn.append((float(low), float(high)))
        return torch.zeros_like(x)

    SAMPLER_FUNCTIONS["Restart"](MixingDenoiser(), x, sigmas, noise, SolverOptions(), ignore)
    assert len(drawn) == 1 and drawn[0][0] < drawn[0][1]


def derivative(x: Tensor, sigma: Tensor) -> Tensor:
    return slope(x, sigma, MixingDenoiser()(x, sigma))


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_heunpp2_equals_its_formula(steps: int) -> None:
    s = torch.tensor(sigma_schedule("Karras", steps))
    x = expected = latent(1, 4, 8, 8) * s[0]
    for i in range(steps):
        d1, h = derivative(expected, s[i]), s[i + 1] - s[i]
        if i + 1 == steps:
            expected = expected + h * d1
            continue
        x2 = expected + h * d1
        d2 = derivative(x2, s[i + 1])
        if i + 2 == steps:
            w2 = s[i + 1] / (2 * s[0])
            expected = expected + h * ((1 - w2) * d1 + w2 * d2)
        else:
            d3 = derivative(x2 + d2 * (s[i + 2] - s[i + 1]), s[i + 2])
            w2, w3 = s[i + 1] / (3 * s[0]), s[i + 2] / (3 * s[0])
            expected = expected + h * ((1 - w2 - w3) * d1 + w2 * d2 + w3 * d3)
    found = SAMPLER_FUNCTIONS["HeunPP2"](MixingDenoiser(), x, s, no_noise, SolverOptions(), ignore)
    assert float((found - expected).abs().max() / expected.abs().max()) <= 2e-6


def test_ipndm_equals_adams_bashforth_on_even_steps() -> None:
    """On even steps fixed weights, LMS (weights for any steps) and the integral agree."""
    sigmas, x = torch.linspace(5, 1, 11, dtype=torch.float64), latent(1, 4, 8, 8, dtype=torch.float64)
    ipndm = SAMPLER_FUNCTIONS["IPNDM"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    lms = SAMPLER_FUNCTIONS["LMS"](MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ipndm - lms).abs().max()) <= 1e-12


def test_ipndm_v_weighs_as_published() -> None:
    """By hand from diff-sampler's formula for one step of each order, misplaced bracket and ratio included."""
    s = [9.0, 7.0, 4.0, 2.5, 1.0]
    h, h1, h2, h3 = (s[4] - s[3], s[3] - s[2], s[2] - s[1], s[1] - s[0])
    temp1 = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
    temp2 = ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))) * (
        h * (h + h1) * (h + h1 + h2)
    )
    temp2 /= h1 * (h1 + h2) * (h1 + h2 + h3)
    q = h1 * (h1 + h2) / (h2 * (h2 + h3))
    weights = [
        (2 + h / h1) / 2 + temp1 + temp2,
        -(h / h1) / 2 - (1 + h1 / h2) * temp1 - (1 + h1 / h2 + q) * temp2,
        temp1 * h1 / h2 + (h1 / h2 + q * (1 + h2 / h3)) * temp2,
        -temp2 * q * h1 / h2,
    ]
    recorded: list[tuple[Tensor, Tensor]] = []
    x = latent(1, 4, 4, 4, dtype=torch.float64)
    sigmas = torch.tensor(s, dtype=torch.float64)
    found = SAMPLER_FUNCTIONS["IPNDM_V"](
        MixingDenoiser(), x, sigmas, no_noise, SolverOptions(), lambda step: recorded.append((step.x, step.denoised))
    )
    slopes = [(x - denoised) / sigma for (x, denoised), sigma in zip(recorded, s[:4], strict=True)]
    expected = recorded[3][0] + h * sum(weight * d for weight, d in zip(weights, reversed(slopes), strict=True))
    assert float((found - expected).abs().max()) <= 1e-12
    first = recorded[0][0] + (s[1] - s[0]) * slopes[0]
    second = recorded[1][0] + h3 * 0 + (s[2] - s[1]) * ((2 + h2 / h3) / 2 * slopes[1] - h2 / h3 / 2 * slopes[0])
    assert torch.allclose(recorded[1][0], first) and torch.allclose(recorded[2][0], second)


def test_deis_weights_are_the_integrals_of_the_paper() -> None:
    """Zhang & Chen (2022), equation 15, by SciPy's quadrature over time instead of noise level."""
    s = [9.0, 4.0, 1.5, 0.4]
    recorded: list[tuple[Tensor, Tensor]] = []
    x = latent(1, 4, 4, 4, dtype=torch.float64)
    found = SAMPLER_FUNCTIONS["DEIS"](
        MixingDenoiser(),
        x,
        torch.tensor(s, dtype=torch.float64),
        no_noise,
        SolverOptions(),
        lambda step: recorded.append((step.x, step.denoised)),
    )
    slopes = [(x - denoised) / sigma for (x, denoised), sigma in zip(recorded, s[:3], strict=True)]
    nodes = _vp_time(np.array(s[2::-1]))

    def integrand(sigma: float, j: int) -> float:
        time = float(_vp_time(np.array([sigma]))[0])
        others = [k for k in range(3) if k != j]
        return math.prod((time - nodes[k]) / (nodes[j] - nodes[k]) for k in others)

    weights = [integrate.quad(integrand, s[2], s[3], args=(j,), epsabs=1e-12)[0] for j in range(3)]
    expected = recorded[2][0] + sum(w * d for w, d in zip(weights, reversed(slopes), strict=True))
    assert float((found - expected).abs().max()) <= 1e-9


def test_deis_is_near_the_scheduler_of_diffusers() -> None:
    """diffusers interpolates in log sigma, so only the limit of many steps is common."""
    scheduler = DEISMultistepScheduler(**BETAS, solver_order=3)
    scheduler.set_timesteps(200)
    sigmas = torch.as_tensor(scheduler.sigmas).clone()
    x = latent(1, 4, 8, 8)
    theirs = x.clone()
    for t in scheduler.timesteps:
        theirs = scheduler.step(NoiseModel()(theirs, float(t)), t, theirs).prev_sample
    start = x * (1 + sigmas[0] ** 2).sqrt()
    ours = SAMPLER_FUNCTIONS["DEIS"](SigmaView(), start, sigmas, no_noise, SolverOptions(), ignore)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 0.02
