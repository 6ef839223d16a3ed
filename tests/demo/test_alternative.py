"""img2img alternative test with a checkpoint that has learned something: the picture comes back from its noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from modules.features.alternative_test.declare import AlternativeTestArguments
from modules.features.alternative_test.run import decoding, found_noise
from modules.generation.decoding import decode_latent, to_image
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.passes import model_sigmas
from modules.parameters.sampler_options import SamplerOptions
from modules.settings.groups import read_options
from tests.demo.conftest import QUIET, Artist, difference, resolved

STEPS = 25


@pytest.mark.long
@pytest.mark.parametrize("adjusted", [False, True])
def test_a_picture_is_made_again_from_the_noise_that_was_found_for_it(artist: Artist, adjusted: bool) -> None:
    prompt = "a red circle on a blue background"
    picture = artist.draw(prompt, seed=3)
    request = resolved(prompt=prompt, mode="img2img", denoising_strength=1.0, steps=STEPS, cfg_scale=1.0)
    source = prepare_init_picture(request, picture, None)
    start = start_of(artist.engine, request, range(1), source)
    wanted = AlternativeTestArguments.read({"original_prompt": prompt, "decode_steps": STEPS, "decode_cfg": 1.0})
    noise = found_noise(artist.engine, request, start, decoding(request, wanted), QUIET, adjusted=adjusted)
    assert 0.9 < float(noise.std()) < 1.1
    sigma = model_sigmas(
        artist.engine.model, read_options(SamplerOptions, request.options), request.passes[0]
    ).sigma_max
    begun = replace(start, noise=noise - start.latent / sigma)
    again = image(artist, img2img(artist.engine, request, range(1), source, QUIET, begun)[0])
    through_vae = image(artist, start.latent[0])
    at_random = image(artist, img2img(artist.engine, request, range(1), source, QUIET)[0])
    assert difference(again, through_vae) < 0.4 * difference(at_random, through_vae)


def image(artist: Artist, latent: Any) -> Image.Image:
    model = artist.engine.model
    return to_image(decode_latent(model.vae, latent, model.latent_scaling))
