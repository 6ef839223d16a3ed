"""Textual inversions as the engine finds them: by stem, or by what a picture says; read once while files stay."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from PIL import Image

from modules.engine import embedding_cache
from modules.engine.embedding_cache import EmbeddingCache
from modules.families import SD1
from modules.protocol import Notice
from modules.weights.embeddings import Embedding, read_embedding_picture
from modules.weights.model import Model
from tests.checkpoints import write_embedding
from tests.engine.test_models import Line
from tests.pictures.embedding_pictures import document, write_pixel_picture, write_text_picture

MODEL = cast(Model, SimpleNamespace(family=SD1, text_widths=(4,)))
ONES = document({"*": [[1.0] * 4]}, "painted")


def test_pictures_count_by_the_name_in_them_and_other_pictures_not_at_all(tmp_path: Path) -> None:
    line = Line()
    cache = EmbeddingCache([tmp_path], line.emit)
    write_embedding(tmp_path / "ink.pt", width=4)
    write_embedding(tmp_path / "painted.pt", width=4)
    (tmp_path / "below").mkdir()
    card = write_pixel_picture(tmp_path / "below" / "card.webp", ONES)
    write_text_picture(tmp_path / "ink.png", ONES)
    write_text_picture(tmp_path / "other.preview.png", document({"*": [[1.0] * 4]}, "other"))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "holiday.png")
    (tmp_path / "zebra").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "zebra" / "ink.png")
    found = cache.fitting(MODEL)
    assert found.keys() == {"ink", "painted"} and torch.equal(found["painted"][0], torch.ones(1, 4))
    assert cache.hash_of("painted") and line.of(Notice) == []
    card.unlink()
    assert not torch.equal(cache.fitting(MODEL)["painted"][0], torch.ones(1, 4))


def test_files_are_read_once_and_a_damaged_one_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> Embedding | None:
        read.append(path.name)
        return read_embedding_picture(path)

    monkeypatch.setattr(embedding_cache, "read_embedding_picture", counted)
    line = Line()
    cache = EmbeddingCache([tmp_path], line.emit)
    write_pixel_picture(tmp_path / "card.png", ONES)
    write_text_picture(tmp_path / "bad.png", b"{")
    assert cache.fitting(MODEL) is cache.fitting(MODEL)
    assert sorted(read) == ["bad.png", "card.png"]
    (notice,) = line.of(Notice)
    assert "bad.png holds a textual inversion that is damaged" in notice.text


def test_a_file_that_is_gone_has_no_hash_and_fails_nothing(tmp_path: Path) -> None:
    # Infotext is written at a job's end: the file may have been moved since it was read.
    cache = EmbeddingCache([tmp_path], Line().emit)
    path = write_embedding(tmp_path / "ink.pt", width=4)
    cache.fitting(MODEL)
    path.unlink()
    assert cache.hash_of("ink") == ""
    cache.fitting(MODEL)
    assert cache.hash_of("ink") == ""
