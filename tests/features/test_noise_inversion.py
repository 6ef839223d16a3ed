"""Noise inversion: the way back to the noise of a picture, what is mixed into it, and how programs ask for it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import JsonValue
from torch import Tensor

from modules.features.alternative_test.inversion import euler_inversion
from modules.features.tiled_diffusion.declare import MIXTURE, TILED_DIFFUSION
from modules.features.tiled_diffusion.noise_inversion import Renoise, detail_share
from modules.generation.img2img import img2img
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import Pipeline, Progress
from modules.parameters import parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.resolved import resolve
from tests.features.test_regions import by_program, pipeline, with_features
from tests.features.test_tiled_diffusion import EXTENSION, TILES, TITLE
from tests.generation.test_txt2img import QUIET, resolved
from tests.sampling.doubles import latent

__all__ = ["pipeline"]  # the shared checkpoint

NOTHING: Any = lambda step, denoised: None  # noqa: E731


def test_the_way_back_is_the_solution_of_its_equation() -> None:
    """For pictures of deviation 1 the best estimate is x / (1 + sigma^2): x grows as sqrt(1 + sigma^2)."""
    x, levels = latent(2, 4, 3, 3), torch.linspace(0, 3, 3001)
    found = euler_inversion(lambda x, level: x / (1 + level**2), x, levels, NOTHING)
    torch.testing.assert_close(found, x * 10**0.5, rtol=2e-3, atol=0)
    below = euler_inversion(lambda x, level: x / (1 + level**2), x, levels, NOTHING, from_below=True)
    torch.testing.assert_close(below, x * 10**0.5, rtol=2e-3, atol=0)


def test_detail_is_where_a_box_varies() -> None:
    picture = torch.full((1, 1, 32, 64), 0.5)
    picture[..., 40:] = (torch.arange(24) % 2).float()
    share = detail_share(picture, 8)
    assert share.shape == picture.shape
    assert float(share[..., :32].abs().max()) < 1e-3
    # 0.25 / 0.26
    assert torch.allclose(share[..., 48:60], torch.tensor(0.25 / 0.26), atol=1e-4)


def test_renoise_takes_the_noise_of_the_seed_where_there_is_detail_and_keeps_its_spread() -> None:
    chequered = Image.new("L", (64, 64), 128)
    for x in range(32, 64, 2):
        chequered.paste(255, (x, 0, x + 1, 64))
        chequered.paste(0, (x + 1, 0, x + 2, 64))
    found, fresh = latent(1, 4, 8, 8), latent(1, 4, 8, 8, seed=9)
    mixed = Renoise(chequered, 2.0, 8).mixed(found, fresh)
    torch.testing.assert_close(mixed[..., :3], found[..., :3], atol=1e-3, rtol=0)
    torch.testing.assert_close(mixed[..., 5:7], fresh[..., 5:7])
    noise = torch.randn(1, 1, 8, 4096, generator=torch.Generator().manual_seed(1))
    flat = Renoise(chequered.crop((32, 0, 64, 64)), 0.5, 8)
    assert float(flat.mixed(noise, noise.flip(3)).std()) == pytest.approx(1, abs=0.05)


def redrawn(pipeline: Pipeline, values: dict[str, JsonValue], images: range = range(1), /, **request: Any) -> Tensor:
    wanted = resolved(scripts={TITLE: {**TILES, **values}}, **OVER | request)
    picture = Image.linear_gradient("L").resize((256, 64)).convert("RGB")
    return img2img(with_features(pipeline), wanted, images, InitPicture(picture), QUIET)


OVER: dict[str, Any] = {
    "mode": "img2img", "prompt": "red", "batch_size": 2, "width": 256,
    "height": 64, "steps": 2, "denoising_strength": 0.9
}  # fmt: skip


def test_a_pass_over_a_picture_begins_with_its_own_noise_and_no_other_pass_does(pipeline: Pipeline) -> None:
    on: dict[str, JsonValue] = {"noise_inversion": True, "inversion_steps": 3, "renoise_strength": 0}
    plain, found = redrawn(pipeline, {}), redrawn(pipeline, on)
    assert not torch.allclose(found, plain, atol=1e-2)
    # Of the seed nothing is left, and with renoise some of it.
    assert torch.allclose(redrawn(pipeline, on, seed=99), found, atol=1e-4)
    mixed = {**on, "renoise_strength": 2, "renoise_kernel": 8}
    assert not torch.allclose(redrawn(pipeline, mixed, seed=99), redrawn(pipeline, mixed), atol=1e-3)
    assert not torch.allclose(redrawn(pipeline, {**on, "inversion_retouch": 4}), found, atol=1e-3)


@pytest.mark.parametrize("sampler", ["Euler", pytest.param("DPM adaptive", marks=pytest.mark.long)])
def test_each_picture_of_a_batch_has_its_own_noise(pipeline: Pipeline, sampler: str) -> None:
    on: dict[str, JsonValue] = {"noise_inversion": True, "inversion_steps": 2, "renoise_kernel": 8}
    together = redrawn(pipeline, on, range(2), sampler_name=sampler)
    alone = redrawn(pipeline, on, range(1, 2), sampler_name=sampler)
    # Its latents have a deviation of 13.
    assert torch.allclose(together[1], alone[0], atol=1e-2)
    assert not torch.allclose(together[0], alone[0], atol=1)


def test_its_steps_count_among_those_of_the_pass(pipeline: Pipeline) -> None:
    """Three of the inversion, then the two of the pass; each shows what the picture is like."""
    steps: list[tuple[int, int, torch.Size]] = []
    watching = Progress(lambda step, of, denoised: steps.append((step, of, denoised.shape)), lambda: None)
    values: dict[str, JsonValue] = {"noise_inversion": True, "inversion_steps": 3}
    wanted = resolved(scripts={TITLE: {**TILES, **values}}, **OVER)
    source = InitPicture(Image.linear_gradient("L").resize((256, 64)).convert("RGB"))
    img2img(with_features(pipeline), wanted, range(2), source, watching)
    assert steps == [(step, 5, (2, 4, 8, 32)) for step in range(1, 6)]


def test_programs_and_pictures_say_it_as_the_extension_does() -> None:
    args: list[JsonValue] = [*EXTENSION[:12], True, 20, 2.5, 0.4, 32, False, False, False, False]
    request = parse_request({"mode": "img2img", "init_images": ["a"], "seed": 3, "scripts": by_program(TITLE, args)})
    assert list(request.scripts[TITLE].values()) == [True, MIXTURE, 64, 72, 32, 2, True, 20, 2.5, 0.4, 32]
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    keys = ('\\"NoiseInv\\": true', '\\"NoiseInv Steps\\": 20', '\\"NoiseInv Retouch\\": 2.5')
    for key in (*keys, '\\"NoiseInv Renoise strength\\": 0.4', '\\"NoiseInv Kernel size\\": 32'):
        assert key in text
    assert request_from_infotext(parse_infotext(text), {}).fields["scripts"] == request.scripts


def test_a_record_with_the_extensions_names_says_the_same() -> None:
    record: JsonValue = {
        "enabled": True, "method": MIXTURE, "overwrite_size": False, "keep_input_size": True, "image_width": 512,
        "image_height": 512, "tile_width": 64, "tile_height": 72, "overlap": 32, "tile_batch_size": 2,
        "upscaler_name": None, "scale_factor": 2, "noise_inverse": True, "noise_inverse_steps": 20,
        "noise_inverse_retouch": 2.5, "noise_inverse_renoise_strength": 0.4, "noise_inverse_renoise_kernel": 32,
        "control_tensor_cpu": False, "enable_bbox_control": False, "draw_background": False,
        "causal_layers": False, "bbox_control_states": {},
    }  # fmt: skip
    values = by_program(TITLE, [record])[TILED_DIFFUSION.title]
    assert list(parse_request({"scripts": {TITLE: values}}).scripts[TITLE].values()) == [
        True, MIXTURE, 64, 72, 32, 2, True, 20, 2.5, 0.4, 32
    ]  # fmt: skip


def test_a_picture_of_the_extension_is_read() -> None:
    line = (
        'Tiled Diffusion: "{\\"Method\\": \\"MultiDiffusion\\", \\"Tile tile width\\": 96, \\"Tile tile height\\": 96, '
        '\\"Tile Overlap\\": 48, \\"Tile batch size\\": 4, \\"Keep input size\\": true, \\"NoiseInv\\": true, '
        '\\"NoiseInv Steps\\": 10, \\"NoiseInv Retouch\\": 1, \\"NoiseInv Renoise strength\\": 0.5, '
        '\\"NoiseInv Kernel size\\": 64}"'
    )
    pasted = request_from_infotext(parse_infotext(f"a cat\nSteps: 25, Sampler: Euler, Seed: 3, {line}"), {})
    values = pasted.fields["scripts"][TITLE]
    assert pasted.notices == () and values["noise_inversion"] is True and values["renoise_strength"] == 0.5
