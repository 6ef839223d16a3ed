"""Regions with what else a job has: a hires pass, a picture to start from, ControlNet, LoRAs, empty and full masks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.residuals import ControlResiduals, ControlUnit, residual_count
from modules.generation.hires import hires_pass
from modules.generation.img2img import img2img
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import JobFeature, PassContext, PassHook, Pipeline
from modules.generation.resizing import lanczos
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest
from modules.prompt import NetworkUse
from modules.sampling.control import Weighting, residual_weights
from modules.weights.control.reading import ControlModel
from tests.control_models import make_controlnet
from tests.features.test_regions import Scripts, made, pipeline, with_features
from tests.generation.test_txt2img import QUIET, resolved
from tests.sampling.doubles import latent

__all__ = ["pipeline"]  # the shared checkpoint

LINES: Scripts = {"Forge Couple": {"enabled": True}}
SIZE: dict[str, Any] = {"width": 128, "height": 64, "steps": 2}


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-3)


def enlarged(pipeline: Pipeline, prompt: str, scripts: Scripts) -> Tensor:
    """Latents of a hires pass over the same first pass."""
    request = resolved(prompt=prompt, scripts=scripts, enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", **SIZE)
    return hires_pass(with_features(pipeline), request, range(1), latent(1, 4, 8, 16), QUIET, lanczos)


def test_the_hires_pass_has_its_regions_unless_they_are_left_out_of_it(pipeline: Pipeline) -> None:
    plain = enlarged(pipeline, "red", {})
    assert close(enlarged(pipeline, "red\nred", LINES), plain)
    halves = enlarged(pipeline, "red\nblue", LINES)
    assert not close(halves, plain)
    spared: Scripts = {"Forge Couple": {"enabled": True, "disable_hr": True}}
    whole_prompt = enlarged(pipeline, "red\nblue", {})
    assert close(enlarged(pipeline, "red\nblue", spared), whole_prompt) and not close(halves, whole_prompt)


def test_a_pass_over_a_picture_has_regions(pipeline: Pipeline) -> None:
    source = InitPicture(Image.linear_gradient("L").resize((128, 64)).convert("RGB"))

    def over(prompt: str, scripts: Scripts) -> Tensor:
        values = {**SIZE, "mode": "img2img", "denoising_strength": 0.9}
        return img2img(
            with_features(pipeline), resolved(prompt=prompt, scripts=scripts, **values), range(1), source, QUIET
        )

    plain = over("red", {})
    assert close(over("red\nred", LINES), plain) and not close(over("red\nblue", LINES), plain)


class Unit(JobFeature):
    """A ControlNet of random weights in every pass."""

    def __init__(self) -> None:
        model = ControlModel(Path("control.safetensors"), ControlKind.CONTROLNET, "SD 1", make_controlnet())
        weights = Weighting(residual_weights(residual_count(model), 1.0, curved=False))
        self._unit = ControlUnit(model, torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(1)), weights)

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        return (ControlResiduals([self._unit], context.plan.steps),)


def test_a_controlnet_acts_beside_regions_in_a_batch_too(pipeline: Pipeline) -> None:
    unit, own = Unit(), with_features(pipeline)

    def controlled(prompt: str, scripts: Scripts, images: range = range(1)) -> Tensor:
        def features_of(request: ResolvedRequest) -> Sequence[JobFeature]:
            return (unit, *own.features(request))

        request = resolved(prompt=prompt, scripts=scripts, batch_size=2, **SIZE)
        return txt2img(replace(pipeline, features=features_of), request, images, QUIET)

    plain, together = controlled("red", {}), controlled("red\nblue", LINES, range(2))
    assert close(controlled("red\nred", LINES), plain)
    assert not close(plain, made(pipeline, {}, prompt="red"))
    assert not close(together[:1], made(pipeline, LINES, prompt="red\nblue"))
    assert close(together[1:], controlled("red\nblue", LINES, range(1, 2)))


def test_a_lora_of_one_region_is_that_of_the_whole_picture(pipeline: Pipeline) -> None:
    """It is applied once, and the regions are those of the prompt without its tag."""
    applied: list[list[str]] = []

    def networks(uses: Sequence[NetworkUse]) -> AbstractContextManager[Any]:
        applied.append([use.name for use in uses])
        return nullcontext(lambda step: None)

    notices: list[str] = []
    with_tag = made(
        replace(pipeline, networks=networks), LINES, notices=notices, prompt="red <lora:robe:1>\nblue", steps=1
    )
    assert applied == [["robe"]]
    assert notices == ["Forge Couple: LoRAs act on the whole picture, whichever region names them."]
    assert torch.equal(with_tag, made(pipeline, LINES, prompt="red\nblue", steps=1))


@pytest.mark.parametrize(("title", "prompt"), [("Forge Couple", "red\nblue"), ("Regional Prompter", "red BREAK blue")])
def test_masks_of_nothing_are_one_sentence_and_of_everything_are_shared(
    pipeline: Pipeline, title: str, prompt: str
) -> None:
    modes: Scripts = {
        "Forge Couple": {"enabled": True, "mode": "Mask"},
        "Regional Prompter": {"active": True, "divide_mode": "Mask"},
    }
    scripts = {title: {**modes[title], "masks": [{"image": "one"}, {"image": "two"}]}}

    def painted(one: int, two: int) -> Tensor:
        pictures = {"one": Image.new("L", (8, 8), one), "two": Image.new("RGBA", (5, 3), (two, two, two, 255))}
        request = resolved(prompt=prompt, scripts=scripts, **SIZE)
        return txt2img(with_features(pipeline, picture=pictures.__getitem__), request, range(1), QUIET)

    with pytest.raises(RequestError, match=f"^{title}: the regions leave a part of the picture without a prompt"):
        painted(0, 0)
    red = made(pipeline, {}, prompt="red")
    assert close(painted(255, 0), red)
    both = painted(255, 255)
    assert both.isfinite().all() and not close(both, red)
