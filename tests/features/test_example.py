"""The example in docs/features.md is complete: it is read from there, and does what it says."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.features.declaration import ScriptError, checked_arguments
from modules.sampling.conditioning import constant_conditions
from modules.sampling.denoiser import Prediction, SigmaPrediction, TimestepPrediction
from modules.sampling.guidance import Guidance, GuidanceOptions
from modules.sampling.model_schedule import sd1_sigmas
from tests.sampling.doubles import latent, toy_conditioning, toy_unet

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
X = latent(2, 4, 6, 6) * 3


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    names: dict[str, Any] = {"__name__": "example"}
    exec("\n".join(blocks), names)
    return names


def hooks_of(example: dict[str, Any], phi: float) -> tuple[Any, ...]:
    arguments = checked_arguments(example["EXAMPLE"], {"enabled": True, "phi": phi})
    job = SimpleNamespace(resolved=SimpleNamespace(request=SimpleNamespace(scripts={"Example rescale": arguments})))
    return tuple(example["ExampleRescale"](job).before_pass(None))


def guided(prediction: Prediction, level: float, hooks: tuple[Any, ...], scale: float = 20.0) -> torch.Tensor:
    conditions = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    options = GuidanceOptions(cfg_scale=scale, hooks=hooks)
    run = Guidance(prediction, conditions, options, total_calls=5)
    run(X, torch.tensor(level))
    assert run.last_denoised is not None
    return run.last_denoised


@pytest.mark.parametrize("kind", [SigmaPrediction, TimestepPrediction])
def test_the_example_rescales_estimates_whatever_the_sampler_works_with(
    example: dict[str, Any], kind: type[SigmaPrediction]
) -> None:
    level = 3.0 if kind is SigmaPrediction else 900.0
    prediction = kind(toy_unet, sd1_sigmas())
    plain, prompt_alone = guided(prediction, level, ()), guided(prediction, level, (), scale=1.0)
    found = guided(prediction, level, hooks_of(example, 1.0))
    spread = prompt_alone.std(dim=(1, 2, 3))
    assert not torch.allclose(plain.std(dim=(1, 2, 3)), spread, rtol=0.003)
    torch.testing.assert_close(found.std(dim=(1, 2, 3)), spread, rtol=1e-4, atol=1e-5)


def test_the_example_changes_nothing_at_its_neutral_value(example: dict[str, Any]) -> None:
    prediction = SigmaPrediction(toy_unet, sd1_sigmas())
    assert torch.equal(guided(prediction, 3.0, hooks_of(example, 0.0)), guided(prediction, 3.0, ()))


def test_the_examples_arguments_are_checked(example: dict[str, Any]) -> None:
    with pytest.raises(ScriptError, match="Example rescale: Phi is 2: it must be a number from 0 to 1"):
        checked_arguments(example["EXAMPLE"], {"phi": 2})
