"""The VAE in tiles: any size is covered, a local function comes out as in one piece, and memory stays bounded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modules.generation import vae_tiles as tiles
from modules.generation.decoding import decode_latent
from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.tiling import edges_joined
from modules.generation.vae_tiles import (
    MARGIN,
    RAMP,
    SMALLEST,
    bytes_per_pixel,
    fits,
    in_tiles,
    largest_tile,
    spans,
)
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.amounts import some
from tests.checkpoints import SD15, Architecture, _make_vae, write_tiny_checkpoint
from tests.demo.conftest import DEMO


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    return load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


@given(length=st.integers(1, 2000), tile=st.integers(SMALLEST, 400))
def test_tiles_cover_every_cell_and_none_is_larger_than_requested(length: int, tile: int) -> None:
    weights = torch.zeros(length)
    for span in spans(length, tile):
        assert 0 <= span.start < span.stop <= length and span.stop - span.start <= tile
        weights[span.start : span.stop] += span.weights()
    assert (weights > 0).all()


def test_neighbours_share_two_margins_and_a_ramp() -> None:
    first, second = spans(150, 100)[:2]
    assert first.stop - second.start >= 2 * MARGIN + RAMP


@pytest.mark.parametrize(("unit", "made"), some([(1, 8), (8, 1)], 2))
@pytest.mark.parametrize("joined", [False, True])
def test_what_looks_no_further_than_the_margin_comes_out_as_in_one_piece(unit: int, made: int, joined: bool) -> None:
    given_ = torch.randn(1, 2, 150 * unit, 90 * unit, generator=torch.Generator().manual_seed(1))
    mode = "circular" if joined else "replicate"

    def once(part: torch.Tensor) -> torch.Tensor:
        near = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(part, [unit] * 4, mode=mode), 2 * unit + 1, 1)
        return near[..., ::8, ::8] if made == 1 else near.repeat_interleave(8, 2).repeat_interleave(8, 3)

    found = in_tiles(once, given_, SMALLEST, unit=unit, made=made, joined=joined)
    assert torch.allclose(found, once(given_), atol=1e-5)


@pytest.mark.long
def test_a_trained_vae_makes_nearly_the_same_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group norms see less of the picture: above 30 dB on a picture of two tiles, both ways."""
    vae = load_checkpoint(DEMO).vae
    picture = Image.radial_gradient("L").resize((608, 576)).convert("RGB")
    for x in range(5):
        ImageDraw.Draw(picture).ellipse(
            (20 + x * 110, 40 + x * 90, 120 + x * 110, 140 + x * 90), fill=(50 * x, 90, 200)
        )
    latent = encode_pictures(vae, to_tensor([picture]), LatentScaling(1.0))
    whole = decode_latent(vae, latent[0], LatentScaling(1.0))
    monkeypatch.setattr(tiles, "CPU_MEMORY", SMALLEST**2 * 64 * bytes_per_pixel(vae))
    tiled = decode_latent(vae, latent[0], LatentScaling(1.0))
    assert not torch.equal(tiled, whole)
    assert float(((tiled - whole) ** 2).mean()) < 1e-3
    again = encode_pictures(vae, to_tensor([picture]), LatentScaling(1.0))
    assert float((again - latent).abs().mean()) < 0.1 * float(latent.std())


@pytest.mark.long
def test_joined_edges_stay_joined_in_tiles(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shifting the latent shifts the picture: tiles lie elsewhere then, so it is close and not equal."""
    latent = torch.randn(4, 96, 80, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(tiles, "CPU_MEMORY", 80 * 80 * 64 * bytes_per_pixel(model.vae))
    with edges_joined(model, True):
        plain = decode_latent(model.vae, latent, LatentScaling(1.0))
    seam = (plain[:, 0] - plain[:, -1]).abs().mean()
    inside = (plain[:, 400] - plain[:, 399]).abs().mean()
    assert float(seam) < 2 * float(inside) + 0.01


def test_a_tile_of_sd15_fits_the_memory_that_is_said() -> None:
    with torch.device("meta"):
        vae = _make_vae(SD15)
    assert fits(vae, 1024, 1024, 4_500_000_000) and not fits(vae, 2048, 2048, 4_500_000_000)
    side = largest_tile(vae, 4_500_000_000, 8) * 8
    assert 1000 <= side <= 1100
    assert fits(vae, side, side, 4_500_000_000)
    assert largest_tile(_make_vae(Architecture()), 1, 8) == SMALLEST


@pytest.mark.long
def test_no_part_that_the_vae_is_given_is_larger_than_a_tile(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    decode = type(model.vae).decode

    def watched(self: Any, latents: Any, **more: Any) -> Any:
        seen.append(tuple(latents.shape[2:]))
        return decode(self, latents, **more)

    monkeypatch.setattr(type(model.vae), "decode", watched)
    monkeypatch.setattr(tiles, "CPU_MEMORY", 90 * 90 * 64 * bytes_per_pixel(model.vae))
    decode_latent(model.vae, torch.randn(4, 130, 95), LatentScaling(1.0))
    assert len(seen) >= 4
    assert all(max(sides) <= 90 for sides in seen)
