"""Files as people find them become models, and what is none is refused with a sentence."""

from __future__ import annotations

import pickle
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.catalogue.model_errors import ModelFileError
from modules.upscaling.architectures import normalize, registry
from modules.upscaling.model import load_restorer, load_upscaler
from modules.upscaling.model_tiles import Tiling, spans, through_tiles
from modules.upscaling.upscale import upscale
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.upscaling.models import MAKERS, weights, write_upscaler

FORMS = ((".pth", ""), (".pth", "params_ema"), (".pth", "params"), (".safetensors", ""), (".pt", "state_dict"))


def noise(width: int, height: int) -> Image.Image:
    smooth = Image.effect_noise((width // 4, height // 4), 90).convert("RGB").resize((width, height))
    return Image.blend(smooth, Image.linear_gradient("L").convert("RGB").resize((width, height)), 0.5)


def unwatched(done: int, total: int) -> None:
    assert 0 <= done < total


def test_spandrel_comes_without_torchvision() -> None:
    assert len(registry()) > 40 and "torchvision" not in sys.modules
    image = torch.rand(3, 4, 5)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    expected = torch.stack([(image[n] - mean[n]) / std[n] for n in range(3)])
    torch.testing.assert_close(normalize(image, mean, std), expected)


@pytest.mark.parametrize("architecture", some(MAKERS, 4))
def test_every_architecture_gives_what_its_own_forward_gives(architecture: str, tmp_path: Path) -> None:
    suffix, wrapper = FORMS[list(MAKERS).index(architecture) % len(FORMS)]
    model = load_upscaler(write_upscaler(tmp_path / f"some{suffix}", architecture, wrapper))
    assert model.architecture == architecture
    image = noise(40, 24)
    plain: Any = registry().load(weights(architecture))  # of a picture alone; others take a mask too
    plain.model.eval()
    bgr = torch.from_numpy(np.asarray(image)[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        expected = plain(bgr)[0].permute(1, 2, 0).flip(-1).mul(255).round().byte().numpy()
    result = np.asarray(upscale(image, model, Tiling(0), unwatched))
    assert result.shape == (24 * model.scale, 40 * model.scale, 3)
    assert np.array_equal(result, expected)


def test_tiles_give_the_untiled_picture(tmp_path: Path) -> None:
    """Convolutions see 4 pixels here: with an overlap twice as wide, only the ramps' sum is left to be seen."""
    model = load_upscaler(write_upscaler(tmp_path / "a.pth", "Compact"))
    image = noise(100, 76)
    whole = np.asarray(upscale(image, model, Tiling(0), unwatched)).astype(int)
    reports: list[tuple[int, int]] = []
    tiled = np.asarray(upscale(image, model, Tiling(48, 16), lambda *progress: reports.append(progress))).astype(int)
    assert reports == [(n, 6) for n in range(6)]
    assert np.abs(whole - tiled).max() <= 8 and np.abs(whole - tiled).mean() < 0.1


@pytest.mark.parametrize(("length", "size", "overlap"), [(100, 48, 8), (193, 192, 8), (64, 16, 48), (1000, 96, 0)])
def test_tiles_cover_everything_and_overlap(length: int, size: int, overlap: int) -> None:
    tiling = Tiling(size, overlap)
    found = spans(length, tiling)
    assert found[0].start == 0 and found[-1].start + found[-1].length == length
    for one, two in pairwise(found):
        assert one.start < two.start <= one.start + one.length - tiling.effective_overlap
    pixels = np.random.default_rng(0).integers(0, 256, (length, length, 3), dtype=np.uint8)
    doubled = through_tiles(pixels, tiling, 2, lambda tile: tile.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(doubled, pixels.repeat(2, 0).repeat(2, 1))


def test_a_watcher_stops_between_two_tiles(tmp_path: Path) -> None:
    model = load_upscaler(write_upscaler(tmp_path / "a.pth"))

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        upscale(noise(100, 100), model, Tiling(32), stop)


def test_memory_that_ends_makes_tiles_smaller(tmp_path: Path) -> None:
    model = load_upscaler(write_upscaler(tmp_path / "a.pth"))
    image = noise(200, 200)
    expected = upscale(image, model, Tiling(96), unwatched)
    net, seen = model.net, []

    def little_memory(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor.shape[-1])
        if tensor.shape[-1] > 100:
            raise torch.OutOfMemoryError
        upscaled: torch.Tensor = net(tensor)
        return upscaled

    vars(little_memory)["model"] = net.model
    model.net = little_memory  # type: ignore[assignment]  # a fake in its place
    assert upscale(image, model, Tiling(192), unwatched).tobytes() == expected.tobytes()
    assert seen[0] == 192 and set(seen[1:]) == {96}
    with pytest.raises(torch.OutOfMemoryError):
        upscale(image, model, Tiling(120), unwatched)


def test_half_precision_that_overflows_is_made_up_for(tmp_path: Path) -> None:
    tensors = weights("Compact")
    tensors["body.0.weight"] *= 3e5
    torch.save(tensors, tmp_path / "a.pth")
    exact, half = (load_upscaler(tmp_path / "a.pth") for _ in range(2))
    half.to(torch.device("cpu"), torch.float16)
    image = noise(32, 32)
    results = [np.asarray(upscale(image, one, Tiling(0), unwatched)).astype(int) for one in (half, exact)]
    assert np.abs(results[0] - results[1]).mean() < 1
    assert half.dtype == torch.float32


def test_pictures_of_any_kind(tmp_path: Path) -> None:
    model = load_upscaler(write_upscaler(tmp_path / "a.pth"))
    for image in (Image.new("L", (1, 1)), Image.new("RGB", (3, 50)), Image.new("RGBA", (9, 9))):
        result = upscale(image, model, Tiling(), unwatched)
        assert result.size == (image.width * 2, image.height * 2) and result.mode == "RGB"
    with pytest.raises(ModelFileError, match="40000x20000 of a picture of 20000x10000, more than 400 megapixels"):
        upscale(Image.new("1", (20_000, 10_000)), model, Tiling(), unwatched)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_files_that_are_no_upscaler(tmp_path: Path) -> None:
    def refused(name: str, words: str) -> None:
        with pytest.raises(ModelFileError, match=words):
            load_upscaler(tmp_path / name)

    write_tiny_checkpoint(tmp_path / "checkpoint.safetensors")
    refused("checkpoint.safetensors", "not an upscaler of a known kind. It is a checkpoint")
    torch.save({"params": weights("Compact"), "more": Payload()}, tmp_path / "hostile.pth")
    refused("hostile.pth", "builtins.exec, which could run code")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    refused("old.pth", "builtins.exec, which could run code")
    whole = write_upscaler(tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    refused("cut.pth", "truncated or damaged")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html></html>")
    refused("page.pth", "a web page")
    (tmp_path / "empty.pth").touch()
    refused("empty.pth", "empty")
    refused("absent.pth", "no longer in")
    odd = weights("ESRGAN")
    name = next(name for name in odd if "RDB2.conv3" in name and name.endswith("weight"))
    torch.save({**odd, name: odd[name][:, :1]}, tmp_path / "odd.pth")
    refused("odd.pth", "don't fit together")
    with pytest.raises(ModelFileError, match="no face restorer"):
        load_restorer(tmp_path / "whole.pth")
