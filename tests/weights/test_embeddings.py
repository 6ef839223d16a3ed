"""Textual inversion files in every form, and what is refused."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from modules.catalogue.architecture import Architecture, fits_encoders
from modules.catalogue.model_errors import UnsafePickleError
from modules.families import SD1, SDXL, SDXL_REFINER
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.embeddings import Embedding, read_embedding, read_embedding_picture
from tests.checkpoints import Payload, write_embedding, write_malicious_checkpoint
from tests.pictures.embedding_pictures import document, write_pixel_picture

VECTORS = torch.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_files_of_a1111_are_read(tmp_path: Path, suffix: str) -> None:
    path = write_embedding(tmp_path / f"ink{suffix}", vectors=3, width=8, seed=5)
    expected = torch.randn(3, 8, generator=torch.Generator().manual_seed(5))
    assert torch.equal(read_embedding(path).vectors[""], expected)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        {"<ink>": VECTORS},
        {"string_to_param": {"*": VECTORS}, "name": "other", "step": 1, "string_to_token": {"*": 265}},
        {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)}), "name": None},
        OrderedDict({"<ink>": VECTORS}),
    ],
    ids=["diffusers", "a1111", "a1111 of 2022", "ordered"],
)
def test_pickles_are_read_without_running_them(tmp_path: Path, content: Any, zipped: bool) -> None:
    path = tmp_path / "ink.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_embedding(path).vectors[""], VECTORS)


def test_one_vector_without_a_dimension_for_it_and_half_precision(tmp_path: Path) -> None:
    save_file({"emb_params": VECTORS[0].half()}, tmp_path / "ink.safetensors")
    assert torch.equal(read_embedding(tmp_path / "ink.safetensors").vectors[""], VECTORS[:1])


def test_vectors_for_several_encoders_fit_those(tmp_path: Path) -> None:
    wide = torch.ones(3, 6)
    save_file({"clip_g": wide, "clip_l": VECTORS}, tmp_path / "ink.safetensors")
    embedding = read_embedding(tmp_path / "ink.safetensors")
    assert embedding.widths == "4 and 6"
    both = embedding.fitting(("clip_l", "clip_g"), (4, 6))
    assert both is not None and torch.equal(both[0], VECTORS) and torch.equal(both[1], wide)
    assert embedding.fitting(("clip_g",), (6,)) is None and embedding.fitting(("clip_l",), (4,)) is None
    assert Embedding({"": VECTORS}).fitting(("clip_l", "clip_g"), (4, 6)) is None


@pytest.mark.parametrize(
    ("widths", "wanted"),
    [
        ({"": 4}, {"one"}), ({"emb_params": 4}, {"one"}), ({"clip_l": 4}, {"one"}), ({"clip_g": 6}, {"refiner"}),
        ({"": 5}, set()), ({"clip_g": 6, "clip_l": 4}, {"two"}), ({"clip_l": 4, "other": 6}, set()),
        ({"clip_l": 6, "clip_g": 4}, set()),
    ],
    ids=str,
)  # fmt: skip
def test_lists_and_prompts_have_one_rule_of_what_fits(widths: dict[str, int], wanted: set[str]) -> None:
    """By the shapes in a file's head for lists, by the tensors for prompts."""
    models = {
        "one": Architecture(SD1, (4,), 4), "two": Architecture(SDXL, (4, 6), 4),
        "refiner": Architecture(SDXL_REFINER, (6,), 4),
    }  # fmt: skip
    embedding = Embedding({name: torch.ones(2, width) for name, width in widths.items()})
    shapes = {name: (2, width) for name, width in widths.items()}
    for name, model in models.items():
        roles = [facts.role for facts in model.family.text_encoders]
        fits = embedding.fitting(roles, model.text_widths) is not None
        assert fits == fits_encoders(shapes, model) == (name in wanted), name


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": VECTORS, "b": VECTORS + 1},
        {},
        {"a": torch.zeros(2, 2, 2)},
        {"clip_l": VECTORS, "clip_g": torch.zeros(0, 4)},
    ],
    ids=["two", "none", "not vectors", "empty"],
)
def test_what_is_no_textual_inversion_is_said(tmp_path: Path, tensors: dict[str, Any]) -> None:
    save_file(tensors, tmp_path / "ink.safetensors")
    with pytest.raises(CheckpointError, match=r"ink\.safetensors"):
        read_embedding(tmp_path / "ink.safetensors")


def test_code_is_refused(tmp_path: Path) -> None:
    path = write_malicious_checkpoint(tmp_path / "ink.pt", Payload(os.system, "true"))
    with pytest.raises(UnsafePickleError):
        read_embedding(path)


def test_pictures_hold_embeddings_and_their_names(tmp_path: Path) -> None:
    path = write_pixel_picture(tmp_path / "card.png", document({"*": VECTORS.tolist()}, "my ink"))
    found = read_embedding_picture(path)
    assert found is not None and found.name == "my ink" and torch.equal(found.vectors[""], VECTORS)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "plain.png")
    assert read_embedding_picture(tmp_path / "plain.png") is None
    for wrong in ({"*": [[1.0]], "other": [[1.0]]}, {"*": [[float("nan")]]}, {"*": [[[1.0]]]}, {}):
        with pytest.raises(CheckpointError, match="card"):
            read_embedding_picture(write_pixel_picture(path, document(wrong)))


def test_several_entries_of_an_a1111_file_are_refused(tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": VECTORS, "+": VECTORS}, "name": "ink"}, tmp_path / "ink.pt")
    with pytest.raises(CheckpointError, match="holds 2 tensors"):
        read_embedding(tmp_path / "ink.pt")


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    save_file({"emb_params": torch.tensor([[1.0, float("nan")]])}, tmp_path / "ink.safetensors")
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        read_embedding(tmp_path / "ink.safetensors")
