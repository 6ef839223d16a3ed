"""Textual inversions in pictures: both places, every format without loss, and what is only a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.pictures.embedded_vectors import read_embedded_vectors
from modules.pictures.opening import PictureError
from tests.pictures.embedding_pictures import document, write_pixel_picture, write_text_picture

VECTORS = [[0.5, -1.25, 2.0], [3.0, 0.125, -4.0]]


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_vectors_in_pixels(tmp_path: Path, suffix: str) -> None:
    path = write_pixel_picture(tmp_path / f"card{suffix}", document({"*": VECTORS}, "my ink"))
    found = read_embedded_vectors(path)
    assert found is not None and found.name == "my ink" and found.tensors.keys() == {"*"}
    assert found.tensors["*"].tolist() == VECTORS


def test_vectors_in_texts_go_first_and_a_card_without_name_is_called_as_its_file(tmp_path: Path) -> None:
    found = read_embedded_vectors(write_text_picture(tmp_path / "card.png", document({"*": VECTORS}, None)))
    assert found is not None and found.name == "card" and found.tensors["*"].tolist() == VECTORS


def test_vectors_for_two_encoders(tmp_path: Path) -> None:
    both = {"clip_l": {"TORCHTENSOR": VECTORS}, "clip_g": {"TORCHTENSOR": [[1.0] * 5] * 2}, "name": "two"}
    found = read_embedded_vectors(write_pixel_picture(tmp_path / "c.png", json.dumps(both).encode()))
    assert found is not None and {name: one.shape for name, one in found.tensors.items()} == {
        "clip_l": (2, 3), "clip_g": (2, 5),
    }  # fmt: skip


def test_other_pictures_are_only_pictures(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 256, (24, 40, 3), dtype=np.uint8)
    separated = noise.copy()
    separated[:, 20] = 240
    flat = {"noise": noise, "separated": separated, "black": noise * 0, "grey": noise * 0 + 160, "white": noise | 255}
    for name, pixels in flat.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        assert read_embedded_vectors(path) is None, name
    (tmp_path / "broken.png").write_bytes((tmp_path / "noise.png").read_bytes()[:300])
    (tmp_path / "other.jxl").write_bytes(b"\xff\x0a" + bytes(64))
    assert read_embedded_vectors(tmp_path / "broken.png") is None
    assert read_embedded_vectors(tmp_path / "other.jxl") is None
    cut = write_pixel_picture(tmp_path / "cut.png", b"\x78\x9c\x4b", compressed=False)
    assert read_embedded_vectors(cut) is None


def test_what_inflates_beyond_any_embedding_is_refused(tmp_path: Path) -> None:
    path = write_pixel_picture(tmp_path / "bomb.png", b" " * (17 << 20), rows=128)
    with pytest.raises(PictureError, match=r"bomb\.png holds more data"):
        read_embedded_vectors(path)


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"text"', document({"*": [[1.0], [1.0, 2.0]]}), document({"*": "x"})])
def test_damaged_content_is_refused(tmp_path: Path, data: bytes) -> None:
    for path in (write_text_picture(tmp_path / "t.png", data), write_pixel_picture(tmp_path / "p.png", data)):
        with pytest.raises(PictureError, match="is damaged; fetch it again"):
            read_embedded_vectors(path)
