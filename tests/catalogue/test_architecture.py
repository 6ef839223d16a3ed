"""What pages and lists know of a checkpoint by the head of its file."""

from pathlib import Path

import pytest

from modules.catalogue.architecture import Architecture, fits_encoders, read_architecture
from modules.catalogue.contradictions import contradiction
from modules.catalogue.model_errors import ModelFileError
from modules.families import FAMILIES, SD1, SD2, SDXL, SDXL_REFINER
from tests.catalogue.files import write_model
from tests.checkpoints import TINY_REFINER, TINY_SD2, TINY_SDXL, truncate, write_tiny_checkpoint, write_vae
from tests.checkpoints import Architecture as Sizes


@pytest.mark.parametrize("name", ["m.SAFETENSORS", "m.ckpt"])
@pytest.mark.parametrize("sizes", [Sizes(), TINY_SD2, TINY_SDXL, TINY_REFINER], ids=lambda sizes: sizes.family.name)
def test_family_and_widths_are_read_without_loading(tmp_path: Path, sizes: Sizes, name: str) -> None:
    path = write_tiny_checkpoint(tmp_path / name, architecture=sizes)
    assert read_architecture(path) == Architecture(sizes.family, sizes.text_widths, 4)


def test_other_files_have_none(tmp_path: Path) -> None:
    assert read_architecture(write_vae(tmp_path / "v.safetensors")) is None
    with pytest.raises(ModelFileError):
        read_architecture(truncate(write_vae(tmp_path / "v.safetensors")))


def test_embeddings_are_for_all_encoders_or_for_the_only_one() -> None:
    two, one = Architecture(SDXL, (768, 1280), 4), Architecture(SD1, (768,), 4)
    both = {"clip_g": (3, 1280), "clip_l": (3, 768)}
    assert fits_encoders(both, two) and not fits_encoders(both, one)
    assert fits_encoders({"emb_params": (3, 768)}, one) and not fits_encoders({"emb_params": (3, 768)}, two)
    assert not fits_encoders({"emb_params": (3, 1024)}, one)


def test_each_family_says_what_it_was_trained_at() -> None:
    assert {family.name: family.resolution[0] for family in FAMILIES} == {
        "SD1": 512, "SD2": 768, "SDXL": 1024, "SDXL refiner": 1024, "Z-Image": 1024,
        "Flux": 1024, "Flux.2 klein 4B": 1024, "Flux.2 klein 9B": 1024,
    }  # fmt: skip


def test_metadata_that_names_another_family_is_one_sentence(tmp_path: Path) -> None:
    path = write_model(tmp_path / "xl.safetensors", {"modelspec.architecture": "stable-diffusion-v1"})
    assert contradiction(path, SDXL) == (
        "xl.safetensors calls itself 'stable-diffusion-v1' in its metadata, but its tensors are those of "
        "Stable Diffusion XL: it is used as that."
    )
    for architecture, family in (
        ("stable-diffusion-v1", SD1),
        ("stable-diffusion-v2-768-v", SD2),
        ("stable-diffusion-xl-v1-base", SDXL),
        ("stable-diffusion-xl-v1-refiner", SDXL_REFINER),
        ("something new", SDXL),
    ):
        assert contradiction(write_model(path, {"modelspec.architecture": architecture}), family) is None
    assert contradiction(write_model(path), SDXL) is None
