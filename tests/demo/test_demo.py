"""The demo checkpoint understands what is requested: colours, backgrounds, guidance, negative prompts, masks."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from safetensors import safe_open

from tests.demo.conftest import DEMO, Artist, difference, features_of, mean_colour

MIDDLE = (52, 52, 76, 76)
CORNER = (0, 0, 16, 16)
# How each colour shows: which channels are bright and which are not.
COLOURS = {
    "red": (True, False, False),
    "green": (None, True, False),
    "blue": (False, None, True),
    "yellow": (True, True, False),
}


def shows(colour: str, pixels: np.ndarray) -> bool:
    bright = [channel > pixels.mean() for channel in pixels]
    return all(wanted is None or wanted == is_bright for wanted, is_bright in zip(COLOURS[colour], bright, strict=True))


def test_the_file_is_small_and_says_what_it_is() -> None:
    assert DEMO.stat().st_size <= 40_000_000
    with safe_open(DEMO, "pt") as file:
        metadata = file.metadata()
    assert metadata["modelspec.architecture"].startswith("stable-diffusion-v1")
    assert metadata["modelspec.resolution"] == "128x128"
    for key in ("title", "license", "author", "prediction_type"):
        assert metadata[f"modelspec.{key}"]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_has_the_requested_colour(artist: Artist, colour: str) -> None:
    assert shows(colour, mean_colour(artist.draw(f"a {colour} circle"), MIDDLE))


@pytest.mark.long
@pytest.mark.parametrize("colour", COLOURS)
def test_a_background_has_the_requested_colour(artist: Artist, colour: str) -> None:
    image = artist.draw(f"a cat on a {colour} background")
    corners = [(0, 0, 16, 16), (112, 0, 128, 16), (0, 112, 16, 128), (112, 112, 128, 128)]
    assert sum(shows(colour, mean_colour(image, corner)) for corner in corners) >= 3


@pytest.mark.long
def test_another_prompt_gives_another_picture(artist: Artist) -> None:
    assert difference(artist.draw("a red circle"), artist.draw("a blue square on a yellow background")) > 30


@pytest.mark.long
def test_seeds_vary_the_picture(artist: Artist) -> None:
    assert difference(artist.draw("a red circle"), artist.draw("a red circle", seed=2)) > 2


@pytest.mark.long
def test_guidance_matters(artist: Artist) -> None:
    weak, strong = (artist.draw("a cat on a blue background", cfg_scale=scale) for scale in (1, 6))
    assert difference(weak, strong) > 5


@pytest.mark.long
def test_the_negative_prompt_matters(artist: Artist) -> None:
    plain = mean_colour(artist.draw("a cat"), CORNER)
    without = mean_colour(artist.draw("a cat", negative_prompt="white background"), CORNER)
    assert plain.mean() > 220
    assert without.mean() < plain.mean() - 20


LEFT, RIGHT = (4, 4, 20, 124), (108, 4, 124, 124)
REGIONS: dict[str, tuple[str, dict[str, object]]] = {
    "words": ("a cat on a {} background BREAK a cat on a {} background", {"Regional Prompter": {"active": True}}),
    "words in latents": (
        "a cat on a {} background BREAK a cat on a {} background",
        {"Regional Prompter": {"active": True, "calculation": "Latent"}},
    ),
    "lines": ("a cat on a {} background\na cat on a {} background", {"Forge Couple": {"enabled": True}}),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", REGIONS)
def test_each_side_has_the_colour_of_its_region(artist: Artist, kind: str) -> None:
    prompt, scripts = REGIONS[kind]
    for left, right in (("red", "blue"), ("blue", "red")):
        image = artist.draw(prompt.format(left, right), scripts=scripts)
        assert shows(left, mean_colour(image, LEFT)) and shows(right, mean_colour(image, RIGHT))


def test_a_region_by_a_word_changes_what_the_word_is_and_nothing_else(artist: Artist) -> None:
    base = "a circle on a blue background"
    scripts = {"Regional Prompter": {"active": True, "divide_mode": "Prompt", "threshold": "0.2"}}
    plain, redder = artist.draw(base), artist.draw(f"{base} BREAK a (red:1.5) circle, circle", scripts=scripts)
    before, after = (mean_colour(image, MIDDLE) for image in (plain, redder))
    assert (after[0] - after[1]) - (before[0] - before[1]) > 15
    assert np.abs(mean_colour(redder, CORNER) - mean_colour(plain, CORNER)).max() < 8


def test_the_noise_of_a_picture_leads_back_to_it(artist: Artist) -> None:
    """Even at a strength at which img2img draws another picture, with more steps the closer."""
    prompt = "a red circle on a blue background"
    picture = artist.draw(prompt, seed=3)
    drawing = copy(artist)
    drawing.engine = replace(artist.engine, features=features_of)
    inverting = {"enabled": True, "noise_inversion": True, "inversion_steps": 10, "renoise_strength": 0}
    values: dict[str, Any] = {"denoising_strength": 0.9, "cfg_scale": 1, "seed": 9}
    at_random = drawing.redraw(picture, prompt, **values)
    again = drawing.redraw(picture, prompt, scripts={"Tiled Diffusion": inverting}, **values)
    assert difference(again, picture) < 0.4 * difference(at_random, picture)


@pytest.mark.long
def test_emphasis_and_composition_reach_the_picture(artist: Artist) -> None:
    plain = artist.draw("a red circle")
    assert difference(plain, artist.draw("a (red:1.3) circle")) > 0.1
    assert difference(plain, artist.draw("a red circle AND blue background")) > 5
    assert difference(plain, artist.draw("a [red:blue:4] circle")) > 1


@pytest.mark.long
def test_img2img_goes_further_from_the_picture_the_more_it_may(artist: Artist) -> None:
    picture = artist.draw("a red circle on a yellow background")
    strengths = (0.2, 0.4, 0.6, 0.8)
    away = [
        difference(picture, artist.redraw(picture, "a green star on a blue background", denoising_strength=strength))
        for strength in strengths
    ]
    assert away == sorted(away)
    assert away[-1] > 2 * away[0]


@pytest.mark.long
def test_inpainting_a_red_circle_into_a_blue_scene_changes_the_mask_only(artist: Artist) -> None:
    scene = Image.new("RGB", (128, 128), (30, 80, 210))
    mask = Image.new("L", (128, 128), 0)
    ImageDraw.Draw(mask).rectangle((32, 32, 95, 95), fill=255)
    result = artist.redraw(
        scene,
        "a red circle on a blue background",
        mask,
        denoising_strength=1.0,
        mask_blur_x=0,
        mask_blur_y=0,
        inpainting_fill=2,
    )
    outside = np.asarray(mask) == 0
    assert (np.asarray(result)[outside] == np.asarray(scene)[outside]).all()
    assert shows("red", mean_colour(result, (44, 44, 84, 84)))
