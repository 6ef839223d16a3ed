"""No sampler looks at what lies on the device: reading one number there makes the processor wait for all its work.

On a CPU nothing can be seen of waiting, so a card is pretended (tests/pretend_card.py) that notes what would wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import sampler_labels
from modules.sampling import (
    ConditionsAt,
    GuidanceOptions,
    ImageNoise,
    InpaintMask,
    Interrupted,
    Part,
    Step,
    StepConditions,
    constant_conditions,
    finite,
    noise,
    run,
    sample,
)
from modules.sampling.conditioning import Conditioning
from modules.sampling.inpainting import SoftBlend
from modules.sampling.samplers import STEP_CONTROLLED_SAMPLERS
from tests.amounts import some
from tests.pretend_card import CARD, PretendCard, PretendStreams, sent
from tests.sampling.doubles import toy_conditioning, toy_unet
from tests.sampling.test_run import SHAPE, plan

STEPS = 6
# Samplers that must read from the device, and why: "DPM adaptive" chooses its next step by the picture's error.
MUST_LOOK = {"DPM adaptive": ["read"]}


@pytest.fixture(autouse=True)
def _card_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "sent", sent)
    monkeypatch.setattr(run, "sent", sent)
    monkeypatch.setattr(finite, "streams_for", lambda _device: PretendStreams())


def there(*shape: int) -> Tensor:
    return torch.empty(shape, device=CARD)


def text(tokens: int = 77) -> Conditioning:
    return Conditioning(there(1, tokens, 8))


def plain() -> ConditionsAt:
    return constant_conditions(Conditioning(there(2, 77, 8)), Conditioning(there(2, 77, 8)))


def elaborate() -> ConditionsAt:
    """AND, weights, and texts of two lengths that another takes the place of in mid-run."""
    first = StepConditions(((Part(text(154)), Part(text(77), 0.5)), (Part(text(77)),)), (text(), text()))
    then = replace(first, positive=((Part(text(77)),), (Part(text(77)), Part(text(154), -1.0))))
    return lambda call: first if call < 3 else then


MASK = InpaintMask(there(2, *SHAPE), there(*SHAPE[1:]))
SOFT = replace(MASK, keep=there(1, *SHAPE[1:]), soft=SoftBlend())
EMPTY = there(1, 77, 8)


def waits_of(
    label: str,
    conditions: ConditionsAt | None = None,
    guidance: GuidanceOptions | None = None,
    options: SamplerOptions | None = None,
    look: Callable[[Tensor], object] = lambda shown: None,
    **given: object,
) -> list[str]:
    """What waits from the first model call to the last step, with `look` at what a preview would show."""
    card = PretendCard()
    begun: list[int] = []

    def before_call(call: int) -> None:
        if not begun:
            card.waits.clear()
        begun.append(call)

    def on_step(step: Step) -> None:
        look(step.denoised)

    made = plan(label, STEPS, options=options or SamplerOptions())
    with card:
        drawn = ImageNoise(SHAPE, [1, 2], source="CPU", device=CARD, seed_delta=3)
        result = sample(
            made,
            toy_unet,
            conditions or plain(),
            drawn,
            guidance or GuidanceOptions(),
            before_call=before_call,
            on_step=on_step,
            **given,  # type: ignore[arg-type]  # fields of any type
        )
        assert result.device == CARD and len(begun) >= STEPS - 1
        waited = list(card.waits)
        float(result.sum())  # the one look that is meant, and the proof that looks are seen
    assert card.waits == [*waited, "read"]
    return waited


@pytest.mark.parametrize("label", some((label for label in sampler_labels() if label not in MUST_LOOK), 4))
def test_nothing_is_read_back_in_the_steps(label: str) -> None:
    assert waits_of(label) == []


@pytest.mark.parametrize("label", some([label for label in sampler_labels() if label not in MUST_LOOK], 2))
def test_nor_with_everything_on_at_once(label: str) -> None:
    guidance = GuidanceOptions(
        min_sigma=1.0, skip_early=0.3, pad_with_empty=True, empty_context=EMPTY, one_batch=False, shown="Prompt"
    )
    options = SamplerOptions(s_churn=5.0, s_tmin=0.1, s_tmax=5.0, s_noise=1.01, eta_ddim=1.0)
    assert waits_of(label, elaborate(), guidance, options, mask=SOFT, extra_channels=there(2, 5, *SHAPE[1:])) == []


@pytest.mark.parametrize("label", some(["Euler a", "DDIM", "DPM++ SDE", "UniPC"], 2))
@pytest.mark.parametrize(
    "given",
    [
        {"mask": MASK},
        {"mask": SOFT},
        {"guidance": GuidanceOptions(image_cfg_scale=1.5), "extra_channels": there(2, 4, *SHAPE[1:])},
        {"guidance": GuidanceOptions(cfg_scale=1.0)},
        {"guidance": GuidanceOptions(shown="Negative prompt"), "mask": MASK},
        {"guidance": GuidanceOptions(pad_with_last=True), "conditions": elaborate()},
        {"options": SamplerOptions(no_dpmpp_sde_batch_determinism=True)},
        {"options": SamplerOptions(uni_pc_variant="vary_coeff", uni_pc_skip_type="logSNR")},
    ],
    ids=["mask", "soft", "edit", "cfg 1", "shown", "uneven", "one path", "unipc"],
)
def test_nor_in_any_way_of_guiding_or_inpainting(label: str, given: dict[str, Any]) -> None:
    assert waits_of(label, **given) == []


@pytest.mark.long
def test_only_the_sampler_that_chooses_its_own_steps_must_look_and_at_one_number_a_step() -> None:
    assert set(MUST_LOOK) == STEP_CONTROLLED_SAMPLERS
    steps: list[Tensor] = []
    waited = waits_of("DPM adaptive", look=steps.append)
    assert set(waited) == set(MUST_LOOK["DPM adaptive"])
    assert len(waited) in (len(steps) - 1, len(steps))  # each image runs by itself; the first call clears the count


@pytest.mark.parametrize(
    "look",
    [
        lambda shown: shown.sum().item(),
        lambda shown: bool((shown > 0).any()),
        lambda shown: shown.mean() > 0.5 or True,
        lambda shown: shown.cpu(),
        lambda shown: shown[0, 0, 0].tolist(),
        lambda shown: torch.zeros(4, 8, 8).to(shown),
        lambda shown: shown.clone().copy_(torch.zeros(4, 8, 8)),
        lambda shown: torch.tensor([0.5], device=shown.device),
        lambda shown: shown[torch.tensor([1, 0])],
    ],
)
def test_whatever_waits_is_seen(look: Callable[[Tensor], object]) -> None:
    assert len(waits_of("Euler", look=look)) == STEPS
    with torch.inference_mode():
        assert len(waits_of("Euler", look=look)) == STEPS


@pytest.mark.parametrize("look", [lambda shown: shown.nonzero(), lambda shown: shown[shown > 0]])
def test_a_shape_that_depends_on_values_is_not_even_possible(look: Callable[[Tensor], object]) -> None:
    with pytest.raises(NotImplementedError):
        waits_of("Euler", look=look)


def test_an_interrupted_run_has_not_waited_either() -> None:
    card, conditions = PretendCard(), plain()

    def before_call(call: int) -> None:
        if call == 0:
            card.waits.clear()
        if call == 3:
            raise Interrupted

    with card:
        drawn = ImageNoise(SHAPE, [1, 2], source="CPU", device=CARD)
        sample(plan("Euler a", STEPS), toy_unet, conditions, drawn, GuidanceOptions(), before_call=before_call)
    assert card.waits == []


@pytest.mark.parametrize("label", ["LCM", "Euler a", "DPM++ 2M"])
def test_at_cfg_scale_1_a_step_is_one_forward_of_one_row_a_picture(label: str) -> None:
    rows: list[int] = []

    def unet(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows.append(x.shape[0])
        return toy_unet(x, timesteps, conditioning)

    conditions = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    sample(plan(label, 4), unet, conditions, ImageNoise(SHAPE, [1, 2], source="CPU"), GuidanceOptions(cfg_scale=1.0))
    assert rows == [2] * 4
    rows.clear()
    sample(plan(label, 4), unet, conditions, ImageNoise(SHAPE, [1, 2], source="CPU"), GuidanceOptions(cfg_scale=2.0))
    assert rows == [4] * 4
