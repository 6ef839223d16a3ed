"""The shipped checkpoint, loaded as any other, in 32 bits on the CPU."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.features.runs import features_for
from modules.generation.decoding import decode_latent, to_image
from modules.generation.finishing import finish
from modules.generation.img2img import img2img
from modules.generation.init_picture import InitPicture, prepare_init_picture
from modules.generation.pipeline import JobFeature, Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint

DEMO = Path(__file__).parents[2] / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"
QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
DEFAULTS = {"width": 128, "height": 128, "steps": 12, "cfg_scale": 5, "sampler_name": "Euler", "seed": 1}


class Artist:
    """Draws with the demo checkpoint what a request asks for."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        model = load_checkpoint(DEMO)
        self.engine = Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)

    def draw(self, prompt: str, **values: object) -> Image.Image:
        request = resolved(prompt=prompt, **values)
        return self._image(txt2img(replace(self.engine, features=features_of), request, range(1), QUIET)[0])

    def redraw(
        self, picture: Image.Image, prompt: str, mask: Image.Image | None = None, **values: object
    ) -> Image.Image:
        request = resolved(prompt=prompt, mode="img2img", mask=None if mask is None else "stored", **values)
        return self.over(request, prepare_init_picture(request, picture, mask))

    def over(self, request: ResolvedRequest, source: InitPicture) -> Image.Image:
        """The finished picture of an img2img request over `source`."""
        latent = img2img(self.engine, request, range(1), source, QUIET)[0]
        return finish(self._image(latent), source, correct_colours=False)

    def _image(self, latent: torch.Tensor) -> Image.Image:
        return to_image(decode_latent(self.engine.model.vae, latent, self.engine.model.latent_scaling))


def features_of(request: ResolvedRequest) -> Sequence[JobFeature]:
    """Features that need nothing of a job but its request."""
    job: Any = SimpleNamespace(resolved=request, notice=lambda text: None, picture=None, leave=lambda: False)
    return features_for(job)


def resolved(**values: object) -> ResolvedRequest:
    return resolve(parse_request(DEFAULTS | values), options={"randn_source": "CPU"}, rng=random.Random(0))


def mean_colour(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    mean: np.ndarray = np.asarray(image.crop(box), dtype=float).mean(axis=(0, 1))
    return mean


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.fixture(scope="session")
def artist() -> Artist:
    return Artist()
