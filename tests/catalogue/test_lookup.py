"""Models that infotexts name, found by hash and by name."""

from pathlib import Path
from typing import Any, cast

import pytest

from modules.catalogue import BackgroundHashing, Catalogue, ModelFolders, network_hash_of, sha256_of
from modules.catalogue.lookup import LocalModels
from modules.catalogue.upscalers import find_upscaler
from modules.parameters.infotext_request import LocalFile
from tests.catalogue.files import write_model

NO_HASH = "0" * 12


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def lookup_in(models: Path) -> LocalModels:
    folders = ModelFolders(
        checkpoints=(models / "Stable-diffusion",), vaes=(models / "VAE",), loras=(models / "Lora",),
        embeddings=(models / "embeddings",), upscalers=(),
    )  # fmt: skip
    catalogue = Catalogue(folders, models.parent / "cache" / "hashes.json")
    worker = BackgroundHashing(catalogue)
    worker.start()
    assert worker.wait(20)
    worker.stop()
    return LocalModels(catalogue)


def test_a_lora_is_known_by_its_hash_whatever_it_is_called(models: Path) -> None:
    ink = write_model(models / "Lora" / "sub" / "pen.safetensors", {"ss_output_name": "inkStyle"}, b"a" * 12)
    write_model(models / "Lora" / "other.safetensors", content=b"b" * 12)
    lookup, short_hash = lookup_in(models), network_hash_of(ink)[:12]
    assert lookup.network("inkStyle", short_hash) == lookup.network("inkStyle", "") == LocalFile("inkStyle")
    assert lookup.network("pen", short_hash.upper()) == LocalFile("pen")
    assert lookup.network("renamed", short_hash) == LocalFile("inkStyle")
    assert lookup.network("other", short_hash) == LocalFile("inkStyle")
    assert lookup.network("pen", NO_HASH) == LocalFile("pen", same=False)
    assert lookup.network("gone", NO_HASH) is lookup.network("gone", "") is None


def test_a_lora_is_known_by_the_hash_that_its_trainer_wrote_too(models: Path) -> None:
    """Which of the two an infotext has depends on the program: ours believes the trainer's, as A1111 does."""
    stated = "ABCDEF0123456789"
    ink = write_model(models / "Lora" / "ink.safetensors", {"sshs_model_hash": stated}, b"a" * 12)
    write_model(models / "Lora" / "other.safetensors", {"sshs_model_hash": "a hash, or not"}, content=b"b" * 12)
    for sha256 in (stated[:12].lower(), network_hash_of(ink)[:12]):
        for name in ("ink", "renamed", "other"):
            assert lookup_in(models).network(name, sha256) == LocalFile("ink")


def test_a_lora_with_a_comma_in_its_name_keeps_it(models: Path) -> None:
    # Among hashes, where its name is read, the comma is left out.
    ink = write_model(models / "Lora" / "ink, wet.safetensors")
    assert lookup_in(models).network("ink wet", network_hash_of(ink)[:12]) == LocalFile("ink, wet")


def test_a_lora_is_hashed_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ink = write_model(models / "Lora" / "ink.safetensors")
    short_hash = network_hash_of(ink)[:12]
    assert lookup_in(models).network("ink", short_hash) == LocalFile("ink")
    monkeypatch.setattr("modules.catalogue.lookup.network_hash_of", lambda path: pytest.fail(f"{path} hashed again"))
    assert lookup_in(models).network("ink", short_hash) == LocalFile("ink")


def test_embeddings_vaes_and_checkpoints(models: Path) -> None:
    bad = write_model(models / "embeddings" / "Bad,Hands.safetensors", content=b"c" * 12)
    vae = write_model(models / "VAE" / "my.vae.safetensors", content=b"d" * 12)
    cat = write_model(models / "Stable-diffusion" / "cat.safetensors", content=b"e" * 12)
    lookup = lookup_in(models)
    assert lookup.embedding("badhands", sha256_of(bad)[:12]) == LocalFile("Bad,Hands")
    assert lookup.embedding("else", sha256_of(bad)[:12]) == LocalFile("Bad,Hands")
    assert lookup.embedding("else", NO_HASH) is None
    assert lookup.vae("my.vae.safetensors", sha256_of(vae)[:10]) == LocalFile("my.vae.safetensors")
    assert lookup.vae("my.vae.safetensors", NO_HASH) == LocalFile("my.vae.safetensors", same=False)
    title = f"cat.safetensors [{sha256_of(cat)[:10]}]"
    assert lookup.checkpoint("renamed", sha256_of(cat)[:10]) == LocalFile(title)
    assert lookup.checkpoint("cat", NO_HASH) == LocalFile(title, same=False)
    assert lookup.checkpoint("dog", NO_HASH) is None


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("on_disk", "written"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_names_of_other_systems_mean_the_same_file(tmp_path: Path, on_disk: Any, written: Any) -> None:
    """macOS decomposes accents, Windows writes backslashes; for every kind of file."""
    folders = {name: tmp_path / name for name in ("checkpoints", "vaes", "loras", "embeddings", "upscalers")}
    for folder in folders.values():
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / f"{on_disk}.safetensors").write_bytes(b"x")
    catalogue = Catalogue(
        ModelFolders(**cast(Any, {name: (folder,) for name, folder in folders.items()})), tmp_path / "cache.json"
    )
    checkpoint = catalogue.find_checkpoint(f"sub\\{written}.safetensors")
    assert checkpoint.stem == on_disk
    assert catalogue.find_vae(f"sub\\{written}.safetensors").stem == on_disk
    vae = folders["vaes"] / f"{written}.vae.safetensors"
    vae.write_bytes(b"x")
    catalogue.refresh()
    found = catalogue.vae_for(checkpoint).file
    assert found is not None and found.path == vae
    assert find_upscaler(written, catalogue.upscalers()).path == folders["upscalers"] / "sub" / f"{on_disk}.safetensors"
    models = LocalModels(catalogue)
    for local in (models.checkpoint(written, ""), models.vae(f"{written}.safetensors", "")):
        assert local is not None and on_disk in local.name
    for local in (models.embedding(written, ""), models.network(written, "")):
        assert local is not None and local.name == on_disk
    network = catalogue.networks("lora").find(written)
    assert network is not None and network.stem == on_disk


@pytest.mark.parametrize(
    ("alias", "prefers", "inserted"), [("Ink", True, "Ink"), ("Ink", False, "b"), ("a:b", True, "b")]
)
def test_a_lora_that_only_its_hash_finds_goes_by_its_preferred_name(
    tmp_path: Path, alias: str, prefers: bool, inserted: str
) -> None:
    path = write_model(tmp_path / "b.safetensors", {"ss_output_name": alias})
    catalogue = Catalogue(ModelFolders(loras=(tmp_path,)), tmp_path / "cache" / "hashes.json")
    found = LocalModels(catalogue, prefers_alias=prefers).network("renamed", network_hash_of(path)[:12])
    assert found is not None and found.name == inserted
