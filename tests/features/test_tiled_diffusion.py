"""Tiled Diffusion: tiles cover the latent, count 1 together everywhere, and leave no trace where they agree."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import JsonValue
from torch import Tensor

from modules.features.declaration import RequestChanges, ScriptError
from modules.features.tiled_diffusion.declare import MIXTURE, MULTIDIFFUSION, TILED_DIFFUSION, TiledDiffusionArguments
from modules.features.tiled_diffusion.run import TiledDiffusion, tile_starts, tile_weights, windows_of
from modules.parameters import parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.resolved import resolve
from modules.sampling import Conditioning
from tests.features.test_regions import WORDS, by_program, made, pipeline
from tests.sampling.doubles import latent

__all__ = ["pipeline"]  # the shared checkpoint

TITLE = TILED_DIFFUSION.title
TILES: dict[str, Any] = {"enabled": True, "tile_width": 16, "tile_height": 16, "overlap": 8, "batch_size": 2}


def hook_of(cells: tuple[int, int], method: str) -> TiledDiffusion:
    arguments = TiledDiffusionArguments.read({**TILES, "batch_size": 3})
    windows = windows_of(cells, arguments)
    weights = tile_weights(windows[0].height, windows[0].width, gaussian=method == MIXTURE)
    return TiledDiffusion(windows, weights, arguments.batch_size)


@pytest.mark.parametrize("overlap", [0, 4, 12, 48])
@pytest.mark.parametrize("length", [16, 17, 30, 97])
def test_tiles_cover_an_axis_with_the_overlap(length: int, overlap: int) -> None:
    starts = tile_starts(length, 16, overlap)
    assert starts[0] == 0 and starts[-1] + 16 == length
    steps = [later - one for one, later in pairwise(starts)]
    assert all(0 < step <= 16 - min(overlap, 12) for step in steps)


def test_a_picture_shorter_than_the_overlap_along_one_side_has_tiles_along_the_other() -> None:
    windows = windows_of((8, 200), TiledDiffusionArguments.read({}))
    assert {(window.height, window.width, window.top) for window in windows} == {(8, 96, 0)} and len(windows) == 4


@pytest.mark.parametrize("method", [MULTIDIFFUSION, MIXTURE])
@pytest.mark.parametrize("cells", [(16, 17), (40, 33), (19, 64)])
def test_a_model_that_answers_cell_by_cell_leaves_no_seam(cells: tuple[int, int], method: str) -> None:
    """Weights are 1 together, so that a constant comes out as itself, and so does whatever tiles agree about."""
    hook = hook_of(cells, method)
    total = torch.zeros(cells)
    for window, share in zip(windows_of(cells, TiledDiffusionArguments.read(TILES)), hook.shares, strict=True):
        window.cut(total).add_(share)
    torch.testing.assert_close(total, torch.ones(cells))
    x = latent(3, 9, *cells)
    conditioning = Conditioning(latent(3, 7, 5), {"ids": torch.arange(3.0)[:, None]}, negative_rows=1)

    def unet(tiles: Tensor, timesteps: Tensor, given: Conditioning) -> Tensor:
        assert given.rows == len(tiles) == len(timesteps) == len(given.windows)
        assert given.negative_rows * 3 == given.rows and given.added["ids"][-given.negative_rows :].eq(2).all()
        own = given.shown_of(latent(1, 4, *cells, seed=1))
        return tiles[:, :4] * 2 + own + given.context.mean((1, 2))[:, None, None, None] + timesteps[0]

    found = hook.around(unet)(x, torch.full((3,), 5.0), conditioning)
    mean = conditioning.context.mean((1, 2))[:, None, None, None]
    torch.testing.assert_close(found, x[:, :4] * 2 + latent(1, 4, *cells, seed=1) + mean + 5)


def test_mixture_fades_to_nothing_where_a_tile_ends() -> None:
    weights = tile_weights(16, 16, gaussian=True)
    assert weights[8, 8] == weights.max() and weights[0].max() < 0.01 * weights.max()
    assert torch.equal(weights, weights.flip(0)) and torch.equal(tile_weights(4, 5, gaussian=False), torch.ones(4, 5))


def test_a_picture_of_one_tile_is_the_same_to_the_bit(pipeline: Any) -> None:
    assert torch.equal(made(pipeline, {TITLE: {"enabled": True}}), made(pipeline, {}))


def test_tiles_of_a_pass_are_the_same_in_any_batch_and_have_regions_and_merged_tokens(pipeline: Any) -> None:
    size: dict[str, Any] = {"width": 256, "height": 128, "steps": 1}
    together = made(pipeline, {TITLE: TILES}, range(2), prompt="red", **size)
    alone = made(pipeline, {TITLE: {**TILES, "batch_size": 1}}, range(1, 2), prompt="red", **size)
    assert torch.allclose(together[1], alone[0], atol=1e-3)
    assert not torch.allclose(together[:1], made(pipeline, {}, prompt="red", **size), atol=1e-3)
    same = made(pipeline, {TITLE: TILES, **WORDS}, range(2), prompt="red BREAK red", **size)
    assert torch.allclose(same, together, atol=1e-3)
    halves = made(pipeline, {TITLE: {**TILES, "overlap": 0}, **WORDS}, prompt="red BREAK blue", **size)
    left = made(pipeline, {TITLE: {**TILES, "overlap": 0}}, prompt="red", **size)
    assert torch.allclose(halves[..., :16], left[..., :16], atol=1e-3)
    merged = made(pipeline, {TITLE: TILES}, prompt="red", options={"token_merging_ratio": 0.5}, **size)
    assert merged.isfinite().all()


EXTENSION: list[JsonValue] = [True, MIXTURE, False, True, 1024, 1024, 64, 72, 32, 2, "None", 2, False, 10, 1, 1, 64]


@pytest.mark.parametrize(
    ("title", "args"),
    [
        ("Tiled Diffusion", EXTENSION),
        ("MultiDiffusion Integrated", [True, MIXTURE, 512, 576, 256, 2]),
        ("multidiffusion integrated (sd 1.x, sd 2.x, sdxl)", [True, MIXTURE, 512, 576, 256, 2]),
    ],
)
def test_both_programs_say_the_same(title: str, args: list[JsonValue]) -> None:
    request = parse_request({"seed": 3, "scripts": by_program(title, args)})
    assert list(request.scripts[TITLE].values()) == [True, MIXTURE, 64, 72, 32, 2, False, 10, 1, 1, 64]
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    pasted = request_from_infotext(parse_infotext(text), {})
    assert (pasted.fields["scripts"], pasted.notices) == (request.scripts, ())


@pytest.mark.parametrize(
    "line",
    [
        "multidiffusion_enabled: True, multidiffusion_method: Mixture of Diffusers, multidiffusion_tile_width: 512",
        "Tiled Diffusion: \"{'Method': 'Mixture of Diffusers', 'Tile tile width': 64, 'Keep input size': True}\"",
    ],
)
def test_pictures_of_other_programs_are_read(line: str) -> None:
    pasted = request_from_infotext(parse_infotext(f"a cat\nSteps: 20, Sampler: Euler, Seed: 3, {line}"), {})
    assert pasted.notices == ()
    assert pasted.fields["scripts"][TITLE] == {"enabled": True, "method": MIXTURE, "tile_width": 64, **REST}


REST = {"tile_height": 96, "overlap": 48, "batch_size": 4, "noise_inversion": False, "inversion_steps": 10} | {
    "inversion_retouch": 1, "renoise_strength": 1, "renoise_kernel": 64
}  # fmt: skip


def test_what_is_not_here_is_one_sentence() -> None:
    assert TILED_DIFFUSION.own is not None
    with pytest.raises(ScriptError, match="Tiled Diffusion can't guide regions"):
        TILED_DIFFUSION.own.from_api([*EXTENSION, False, True])


def changes(picture: tuple[int, int] | None, **values: JsonValue) -> RequestChanges:
    """What the extension's arguments change of a request of 512 x 512, in their order and as a record."""
    names = (
        *("enabled", "method", "overwrite_size", "keep_input_size", "image_width", "image_height"),
        *("tile_width", "tile_height", "overlap", "tile_batch_size", "upscaler_name", "scale_factor"),
    )
    given = dict(zip(names, EXTENSION, strict=False)) | values
    own = TILED_DIFFUSION.own
    assert own is not None and own.changes is not None
    found = own.changes(list(given.values()), (512, 512), picture)
    assert own.changes([given], (512, 512), picture) == found
    return found


@pytest.mark.parametrize(
    ("picture", "values", "size", "upscaler"),
    [
        (None, {}, None, None),
        (None, {"overwrite_size": True}, (1024, 1024), None),
        (None, {"overwrite_size": True, "image_width": 1001}, (1000, 1024), None),
        # An upscaler is for pictures, and a size of its own for txt2img.
        (None, {"upscaler_name": "Lanczos"}, None, None),
        ((100, 60), {"overwrite_size": True}, None, None),
        ((100, 60), {"upscaler_name": "Lanczos", "scale_factor": 2}, (200, 120), "Lanczos"),
        ((100, 60), {"upscaler_name": "Lanczos", "scale_factor": 1.5, "keep_input_size": False}, (768, 768), "Lanczos"),
        ((100, 60), {"upscaler_name": "Lanczos", "enabled": False}, None, None),
    ],
)
def test_its_arguments_may_ask_for_another_size(
    picture: tuple[int, int] | None, values: dict[str, JsonValue], size: tuple[int, int] | None, upscaler: str | None
) -> None:
    found = changes(picture, **values)
    assert tuple(found.fields.values()) == (size or ())
    assert found.settings == ({"upscaler_for_img2img": upscaler} if upscaler else {})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scale_factor": 9}, "would enlarge the picture 9 times: it must be from 1 to 8"),
        ({"scale_factor": "two"}, "scale_factor is 'two': it must be a number"),
    ],
)
def test_a_size_that_can_t_be_is_one_sentence(values: dict[str, JsonValue], said: str) -> None:
    with pytest.raises(ScriptError, match=said):
        changes((100, 60), upscaler_name="Lanczos", **values)
