"""Runs: the steps, starts and counts that A1111 has, and pictures that depend on nothing but their request."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import SAMPLERS, resolve_sampler, sampler_labels
from modules.sampling import (
    SAMPLER_FUNCTIONS,
    GuidanceOptions,
    ImageNoise,
    InpaintMask,
    Interrupted,
    ModelSigmas,
    SamplingPlan,
    Step,
    constant_conditions,
    img2img_steps,
    plan_run,
    sample,
    sd1_sigmas,
    sigma_schedule,
)
from modules.sampling.brownian import BrownianNoise
from modules.sampling.model_schedule import LcmSigmas, scaled_linear_alphas_cumprod
from modules.sampling.plan import timestep_schedule
from modules.sampling.samplers import RANGE_SAMPLERS, STEP_CONTROLLED_SAMPLERS
from tests.amounts import some
from tests.sampling.doubles import latent, toy_conditioning, toy_unet

SHAPE = (4, 8, 8)


def plan(label: str, steps: int = 20, schedule: str | None = None, **given: object) -> SamplingPlan:
    options = given.pop("options", SamplerOptions())
    return plan_run(resolve_sampler(label, schedule), steps, sd1_sigmas(), options, **given)  # type: ignore[arg-type]  # fields of any type


def run(
    made: SamplingPlan, seeds: list[int], *, init: torch.Tensor | None = None, first: int = 0, **given: object
) -> torch.Tensor:
    """The images `first`, `first` + 1, ... of a request: conditions and init latents are taken for these alone."""
    rows = slice(first, first + len(seeds))
    positive, negative = toy_conditioning(4, seed=1), toy_conditioning(4, seed=2)
    conditions = constant_conditions(positive.slice(rows.start, rows.stop), negative.slice(rows.start, rows.stop))
    noise = given.pop("noise", None) or ImageNoise(SHAPE, seeds, source="CPU")
    return sample(
        made,
        toy_unet,
        conditions,
        noise,  # type: ignore[arg-type]  # a fake stands in
        GuidanceOptions(),
        init_latent=None if init is None else init[rows],
        **given,  # type: ignore[arg-type]  # fields of any type
    )


@pytest.mark.parametrize(
    ("steps", "strength", "exact", "expected"),
    [
        (20, 0.75, False, (20, 15)),
        (20, 0.5, False, (20, 10)),
        (20, 1.0, False, (20, 19)),
        (30, 0.75, False, (30, 22)),
        (20, 0.0, False, (20, 0)),
        (20, 0.75, True, (26, 19)),
        (20, 0.5, True, (40, 19)),
        (20, 0.3, True, (66, 19)),
        (20, 0.1, True, (200, 19)),
        (20, 0.0, True, (0, 19)),
    ],
)
def test_img2img_steps(steps: int, strength: float, exact: bool, expected: tuple[int, int]) -> None:
    assert img2img_steps(steps, strength, exact=exact) == expected


@given(st.integers(1, 150), st.floats(0, 1), st.sampled_from(["Euler", "DPM2", "DDIM", "LCM"]))
def test_any_strength_gives_a_plan(steps: int, strength: float, label: str) -> None:
    made = plan(label, steps, strength=strength)
    assert made.steps == int(min(strength, 0.999) * steps) + 1
    if label != "DDIM":
        assert len(made.levels) == made.steps + 1
        assert made.start == made.levels[0]


def test_img2img_enters_the_schedule_late() -> None:
    made = plan("Euler", 20, "Karras", strength=0.75)
    assert made.levels.tolist() == sigma_schedule("Karras", 20)[4:]
    assert made.brownian_range == pytest.approx((0.0291675, 14.6146), rel=1e-4)


def test_hires_takes_exactly_the_requested_steps() -> None:
    made = plan("Euler", 20, "Karras", strength=0.3, exact_steps=True)
    assert made.levels.tolist() == sigma_schedule("Karras", 66)[66 - 20 :]
    by_option = plan("Euler", 20, "Karras", strength=0.3, options=SamplerOptions(img2img_fix_steps=True))
    assert torch.equal(by_option.levels, made.levels)


def test_samplers_that_discard_a_level_keep_their_step_count() -> None:
    for label in ("DPM2", "DPM2 a", "DPM++ 3M SDE"):
        assert len(plan(label).levels) == 21
        assert len(plan(label, strength=0.5).levels) == 12


def test_the_default_schedule_of_a_sampler_applies() -> None:
    assert plan("DPM++ 2M", 7).levels.tolist() == sigma_schedule("Karras", 7)
    assert plan("DPM++ 2M SDE", 7).levels.tolist() == sigma_schedule("Exponential", 7)
    assert plan("Euler a", 7).levels.tolist() == sigma_schedule("Uniform", 7)
    assert plan("DPM++ 2M", 7, "Uniform").levels.tolist() == sigma_schedule("Uniform", 7)


@pytest.mark.parametrize(
    ("steps", "count", "last"), [(20, 20, 951), (30, 31, 991), (7, 8, 995), (10, 10, 901), (1, 1, 1)]
)
def test_timestep_lists(steps: int, count: int, last: int) -> None:
    timesteps = timestep_schedule(steps)
    assert (len(timesteps), int(timesteps[0]), int(timesteps[-1])) == (count, 1, last)


def test_second_order_samplers_count_twice() -> None:
    for entry in SAMPLERS:
        made = plan(entry.label, 20)
        assert made.total_calls == (40 if entry.second_order else 20), entry.label


def test_prompt_schedules_see_every_call_from_0() -> None:
    for label, calls in (("Euler", 10), ("Heun", 19), ("DPM2", 19), ("PLMS", 10), ("UniPC", 10), ("DDIM", 9)):
        seen: list[int] = []
        run(plan(label, 10), [1], before_call=seen.append)
        assert seen == list(range(calls)), label


def test_starting_latents() -> None:
    noise, image = latent(1, *SHAPE), latent(1, *SHAPE, seed=3)
    euler = plan("Euler")
    assert torch.equal(euler.starting_latent(noise), noise * euler.levels[0])
    sgm = plan("Euler", options=SamplerOptions(sgm_noise_multiplier=True))
    assert torch.allclose(sgm.starting_latent(noise), noise * (1 + euler.levels[0] ** 2) ** 0.5)
    late = plan("Euler", strength=0.5, options=SamplerOptions(img2img_extra_noise=0.2))
    assert torch.allclose(late.starting_latent(noise, image), image + noise * late.levels[0] + noise * 0.2)
    assert torch.equal(plan("DDIM").starting_latent(noise), noise)
    ddim = plan("DDIM", strength=0.75, options=SamplerOptions(img2img_extra_noise=0.2))
    # 20 steps at 0.75: t_enc 15, entered at timestep 751, walked from 701.
    alpha = sd1_sigmas().alphas_cumprod[751]
    expected = image * alpha.sqrt() + noise * (1 - alpha).sqrt() + noise * 0.2 * alpha.sqrt()
    assert torch.allclose(ddim.starting_latent(noise, image), expected, atol=1e-6)
    assert int(ddim.levels[-1]) == 701 and len(ddim.levels) == 15


def test_dpm_fast_and_adaptive_go_between_the_models_ends_or_the_images_levels() -> None:
    low, high = sd1_sigmas().sigma_min, sd1_sigmas().sigma_max
    for label in RANGE_SAMPLERS:
        assert plan(label, 20, "Simple").levels.tolist() == pytest.approx([high, low])
        assert plan(label, 20, "Simple").solver.calls == 20
        late = plan(label, 20, "Karras", strength=0.5)
        assert late.levels.tolist() == pytest.approx([sigma_schedule("Karras", 20)[9], low])
        assert late.solver.calls == 11


def test_options_reach_only_the_samplers_that_take_them() -> None:
    options = SamplerOptions(s_churn=7, s_tmin=0.5, s_tmax=3, s_noise=1.05, eta_ancestral=0.6, eta_ddim=0.3)
    euler, ancestral, ddim = (plan(label, options=options).solver for label in ("Euler", "Euler a", "DDIM"))
    assert (euler.s_churn, euler.s_tmin, euler.s_tmax, euler.s_noise) == (7, 0.5, 3, 1.05)
    assert (ancestral.s_churn, ancestral.s_tmax, ancestral.s_noise, ancestral.eta) == (0, float("inf"), 1, 0.6)
    assert ddim.eta == 0.3
    assert plan("DPM++ SDE", options=options).solver.s_noise == 1.05
    assert plan("DDIM", options=options, eta=1.0).solver.eta == 1.0
    assert plan("DPM++ 2M SDE Heun").solver.solver_type == "heun"


@pytest.mark.parametrize("label", some(sampler_labels(), 8))
@pytest.mark.parametrize(("strength", "exact"), some([(None, False), (0.6, False), (0.3, True)], 1))
def test_a_picture_does_not_depend_on_its_batch(label: str, strength: float | None, exact: bool) -> None:
    made = plan(label, 20, strength=strength, exact_steps=exact, options=SamplerOptions(eta_ddim=0.5))
    init = None if strength is None else latent(3, *SHAPE, seed=9)
    together = run(made, [5, 6, 7], init=init)
    assert torch.isfinite(together).all()
    for image, seed in enumerate([5, 6, 7]):
        assert torch.equal(run(made, [seed], init=init, first=image)[0], together[image])


@pytest.mark.parametrize("label", some(sampler_labels(), 8))
def test_a_picture_does_not_depend_on_hooks_or_on_what_ran_before(label: str) -> None:
    made = plan(label, 8)
    first = run(made, [3])
    torch.randn(100)
    again = run(made, [3], on_step=lambda step: step.denoised.mean(), before_call=lambda call: None)
    assert torch.equal(first, again)


@pytest.mark.parametrize("label", some(sampler_labels(), 30))
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_few_steps_are_enough_for_every_sampler(label: str, steps: int) -> None:
    assert torch.isfinite(run(plan(label, steps), [3])).all()
    assert torch.isfinite(run(plan(label, steps, strength=0.5), [3], init=latent(1, *SHAPE))).all()


@pytest.mark.parametrize("label", sampler_labels())
def test_no_strength_and_exact_steps_leave_the_image_alone(label: str) -> None:
    image = latent(1, *SHAPE)
    assert torch.equal(run(plan(label, strength=0.0, exact_steps=True), [3], init=image), image)


def test_interrupting_gives_the_latest_estimate() -> None:
    latest: list[torch.Tensor] = []

    def stop_at_third(step: Step) -> None:
        latest.append(step.denoised)
        if step.index == 2:
            raise Interrupted

    found = run(plan("Euler"), [3], on_step=stop_at_third)
    assert torch.equal(found, latest[2])

    def at_once(call: int) -> None:
        raise Interrupted

    made = plan("Euler")
    assert torch.equal(run(made, [3], before_call=at_once), ImageNoise(SHAPE, [3], source="CPU").draw() * made.start)


def test_brownian_noise_spans_the_whole_schedule_even_from_an_image() -> None:
    made = plan("DPM++ 2M SDE", strength=0.5)
    init = latent(1, *SHAPE)
    noise = ImageNoise(SHAPE, [3], source="NV")
    x = init + noise.draw() * made.start
    tree = BrownianNoise(SHAPE, *made.brownian_range, (3,), noise.seeded)
    drawn: list[tuple[float, float]] = []

    def recorded(sigma: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        drawn.append((float(sigma), float(following)))
        return tree(sigma, following)

    from tests.sampling.test_guidance import guidance  # the same toy model behind guidance

    conditions = constant_conditions(toy_conditioning(4, seed=1).slice(0, 1), toy_conditioning(4, seed=2).slice(0, 1))
    denoiser = guidance(GuidanceOptions(), conditions)
    expected = SAMPLER_FUNCTIONS["DPM++ 2M SDE"](denoiser, x, made.levels, recorded, made.solver, lambda step: None)
    assert torch.equal(run(made, [3], init=init, noise=ImageNoise(SHAPE, [3], source="NV")), expected)
    assert made.brownian_range[1] > drawn[0][0]


def test_without_batch_determinism_one_tree_serves_the_batch() -> None:
    options = SamplerOptions(no_dpmpp_sde_batch_determinism=True)
    made = plan("DPM++ SDE", options=options)
    together, again = run(made, [5, 6]), run(made, [5, 6])
    assert torch.equal(together, again)
    assert not torch.equal(run(made, [5])[0], together[0])


def test_the_mask_keeps_the_picture() -> None:
    init = latent(1, *SHAPE, seed=4)
    keep = torch.zeros(1, 1, 8, 8)
    keep[..., :4] = 1
    mask = InpaintMask(init, keep)
    found = run(plan("Euler", strength=0.8), [3], init=init, mask=mask)
    assert torch.allclose(found[..., :4], init[..., :4], atol=1e-5)
    # DDIM shows the model the picture, but leaves the last blend to the caller.
    ddim = run(plan("DDIM", strength=0.8), [3], init=init, mask=mask)
    assert not torch.allclose(ddim[..., :4], init[..., :4], atol=1e-3)
    assert torch.equal(mask.finished(ddim)[..., :4], init[..., :4])


def test_the_mask_of_a_batch_is_split_for_step_controlled_samplers() -> None:
    init = latent(2, *SHAPE, seed=4)
    keep = (latent(1, 8, 8, seed=5) > 0).float()
    for label in STEP_CONTROLLED_SAMPLERS:
        made = plan(label, strength=0.8)
        found = run(made, [3, 4], init=init, mask=InpaintMask(init, keep))
        # They stop at the lowest noise level, which is still on the picture.
        assert float(((found - init) * keep).abs().max()) < 0.15


def test_noise_multiplier_scales_the_first_noise_only() -> None:
    init = latent(1, *SHAPE)
    made = plan("Euler", strength=0.5)
    assert not torch.equal(run(made, [3], init=init, noise_multiplier=0.5), run(made, [3], init=init))
    none = run(made, [3], init=init, noise_multiplier=0.0)
    assert torch.equal(none, run(made, [4], init=init, noise_multiplier=0.0))


def test_lcm_runs_on_its_own_levels() -> None:
    made = plan("LCM", 4)
    assert isinstance(made.model, LcmSigmas)
    assert float(made.levels[0]) == pytest.approx(float(made.model.sigmas[-1]))


def test_v_prediction_and_zero_terminal_snr_run() -> None:
    model = ModelSigmas.from_training(scaled_linear_alphas_cumprod(), zero_terminal_snr=True)
    for label in ("Euler", "DPM++ 2M", "DDIM", "UniPC"):
        made = plan_run(resolve_sampler(label), 10, model, SamplerOptions())
        assert torch.isfinite(run(made, [3], prediction_type="v_prediction")).all(), label


def test_float32_is_kept_whatever_the_unet_answers() -> None:
    made = plan("Euler", 4)
    conditions = constant_conditions(toy_conditioning(1), toy_conditioning(1))
    found = sample(
        made,
        lambda x, t, text: toy_unet(x, t, text).bfloat16(),
        conditions,
        ImageNoise(SHAPE, [3], source="CPU"),
        GuidanceOptions(),
    )
    assert found.dtype == torch.float32


def test_a_plan_is_a_value() -> None:
    made = plan("Euler")
    assert replace(made, steps=3).steps == 3 and made.steps == 20
