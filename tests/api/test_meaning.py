"""Pictures by meaning with a real engine: the order over HTTP is that of transformers' own vectors."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.prompt import clip_tokenizer
from modules.weights.control.image_encoder import normalised
from tests.api.conftest import made
from tests.clips import SIDE, make_clip, write_clip
from tests.server.server import Server

COUNT = 12


def vectors(found: object) -> np.ndarray:
    values = found if isinstance(found, Tensor) else getattr(found, "pooler_output")  # noqa: B009 - of several versions
    assert isinstance(values, Tensor)
    return torch.nn.functional.normalize(values, dim=-1).numpy()


@pytest.fixture
def clips(server: Server) -> Iterator[Path]:
    folder = server.data_dir / "models" / "clip_vision"
    yield folder
    for path in folder.glob("*.safetensors"):
        path.unlink()


@pytest.fixture
def pictures(server: Server) -> Iterator[dict[str, np.ndarray]]:
    """By name, the pixels of pictures that are newer than all others; they are of the encoder's own size."""
    folder = server.data_dir / "outputs" / "meant"
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels // (1 + number % 3)).save(folder / f"meant{number}.png")
        os.utime(folder / f"meant{number}.png", (4_000_000_000 + number,) * 2)
        found[f"meant{number}.png"] = pixels // (1 + number % 3)
    yield found
    for path in folder.iterdir():
        path.unlink()


def search(api: httpx.Client, q: str) -> dict[str, Any]:
    answer = api.get("/v1/pictures", params={"q": q})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until_all(api: httpx.Client, q: str, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while (found := search(api, q))["explained"] is not None or found["total"] != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_pictures_are_found_by_a_text_and_by_a_picture(
    api: httpx.Client, clips: Path, pictures: dict[str, np.ndarray]
) -> None:
    until_all(api, "folder:meant", COUNT)
    q = 'folder:meant like:"a red car"'
    said = search(api, q)["explained"]
    assert said == f"Searching by meaning needs an image encoder (CLIP-ViT-L, say): put one into {clips}."
    picture = search(api, "name:meant3.png")["pictures"][0]["id"]
    refused = api.get(f"/v1/pictures/{picture}/similar", params={"by": "meaning"})
    assert (refused.status_code, refused.json()["detail"]) == (409, said)

    clip = make_clip()
    seen = write_clip(clips / "seen.safetensors", clip, "vision_model.", "visual_projection.")
    assert search(api, q)["explained"].startswith(f"No file in {clips} reads texts for seen.safetensors: put a whole")
    pixels = torch.stack([torch.from_numpy(one).permute(2, 0, 1) for one in pictures.values()]).float() / 255
    views = vectors(clip.get_image_features(pixel_values=normalised(pixels, SIDE)))
    write_clip(clips / "read.safetensors", clip, "text_model.", "text_projection.")
    found = until_all(api, q, COUNT)
    ids = torch.tensor([[49406, *clip_tokenizer().encode("a red car"), 49407]])
    text = vectors(clip.get_text_features(input_ids=ids))[0]
    expected = dict(zip(pictures, views @ text, strict=True))
    nearness = [expected[one["name"]] for one in found["pictures"]]
    assert len(nearness) == COUNT and all(before > after - 1e-3 for before, after in itertools.pairwise(nearness))

    similar = api.get(f"/v1/pictures/{picture}/similar", params={"by": "meaning", "limit": 500}).json()
    distances = {one["name"]: one["distance"] for one in similar}
    assert list(distances.values()) == sorted(distances.values())
    expected = {name: 1 - view @ views[3] for name, view in zip(pictures, views, strict=True) if name != "meant3.png"}
    # 16 bits a number.
    assert {name: distances[name] for name in expected} == pytest.approx(expected, abs=1e-3)
    # A picture that this program makes is looked at too, and looking goes on after its job.
    made(api)
    # Another encoder: what the first one saw counts no more.
    seen.unlink()
    write_clip(clips / "whole.safetensors", make_clip(seed=9))
    (clips / "read.safetensors").unlink()
    assert search(api, q)["total"] < COUNT
    until_all(api, q, COUNT)


def test_a_file_of_no_use_is_named_and_the_gallery_works_on(
    api: httpx.Client, clips: Path, pictures: dict[str, np.ndarray], server: Server
) -> None:
    until_all(api, "folder:meant", COUNT)
    write_clip(clips / "cut.safetensors", make_clip())
    whole = (clips / "cut.safetensors").read_bytes()
    (clips / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    q = "folder:meant like:car"
    deadline = time.monotonic() + 60
    while "Pictures can't be found by meaning with this file. cut.safetensors" not in server.log.read_text():
        said = search(api, q)
        assert said["explained"] and time.monotonic() < deadline
        time.sleep(0.2)
    for _ in range(3):
        search(api, q)
    assert server.log.read_text().count("by meaning with this file. cut.safetensors") == 1
    assert search(api, "folder:meant")["total"] == COUNT
