"""Lists, titles, and the names by which a checkpoint is found."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.catalogue import BackgroundHashing, Catalogue, ModelFolders, ModelNotFoundError, sha256_of
from modules.catalogue.embedding_files import read_embedding_head
from modules.catalogue.entries import Training
from modules.catalogue.hashes import legacy_hash_of
from tests.catalogue.files import write_model
from tests.checkpoints import TINY_REFINER, TINY_SD2, TINY_SDXL, Architecture, write_tiny_checkpoint


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def catalogue_of(models: Path, **more: Any) -> Catalogue:
    folders = ModelFolders(
        checkpoints=(models / "Stable-diffusion", models / "Stable-Diffusion"), vaes=(models / "VAE",),
        loras=(models / "Lora",), embeddings=(models / "embeddings",), upscalers=(models / "ESRGAN",), **more,
    )  # fmt: skip
    return Catalogue(folders, models.parent / "cache" / "hashes.json")


def hashed(catalogue: Catalogue) -> Catalogue:
    worker = BackgroundHashing(catalogue)
    worker.start()
    assert worker.wait(20)
    worker.stop()
    return catalogue


def names(catalogue: Catalogue) -> list[str]:
    return [checkpoint.name for checkpoint in catalogue.checkpoints()]


def test_both_spellings_and_subfolders_are_listed(models: Path) -> None:
    write_model(models / "Stable-diffusion" / "Beta.safetensors")
    write_model(models / "Stable-diffusion" / "sub" / "deep" / "alpha.SAFETENSORS")
    write_model(models / "Stable-Diffusion" / "gamma.ckpt")
    write_model(models / "Stable-diffusion" / ".hidden" / "x.safetensors")
    (models / "Stable-diffusion" / "readme.txt").write_text("no model")
    shown = ["Beta.safetensors", "sub/deep/alpha.SAFETENSORS", "gamma.ckpt"]
    catalogue = catalogue_of(models)
    assert names(catalogue) == [shown[0], ".hidden/x.safetensors", *shown[1:]]
    without = Catalogue(catalogue.folders, models.parent / "cache" / "hashes.json", lambda: False)
    assert names(without) == shown


def test_a_name_that_occurs_twice_counts_once_and_the_first_folder_wins(models: Path) -> None:
    first = write_model(models / "Stable-diffusion" / "a.safetensors", content=b"1" * 12)
    write_model(models / "Stable-Diffusion" / "a.safetensors", content=b"2" * 12)
    (entry,) = catalogue_of(models).checkpoints()
    assert entry.path == first


def test_a_checkpoint_named_by_a_flag_comes_first(models: Path, tmp_path: Path) -> None:
    write_model(models / "Stable-diffusion" / "a.safetensors")
    alone = write_model(tmp_path / "elsewhere" / "z.safetensors")
    assert names(catalogue_of(models, checkpoint_file=alone)) == ["z.safetensors", "a.safetensors"]
    assert names(catalogue_of(models, checkpoint_file=tmp_path / "gone.ckpt")) == ["a.safetensors"]
    inside = models / "Stable-diffusion" / "a.safetensors"
    assert names(catalogue_of(models, checkpoint_file=inside)) == ["a.safetensors"]


def test_circles_and_dead_links_do_no_harm(models: Path) -> None:
    folder = models / "Stable-diffusion"
    target = write_model(models.parent / "store" / "linked.safetensors")
    folder.mkdir(parents=True)
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "store").symlink_to(target.parent, target_is_directory=True)
    (folder / "dead.safetensors").symlink_to(folder / "nothing")
    assert names(catalogue_of(models)) == ["store/linked.safetensors"]


def test_no_folders_at_all_is_an_empty_list(models: Path) -> None:
    catalogue = catalogue_of(models)
    assert (catalogue.checkpoints(), catalogue.vaes(), catalogue.loras()) == ((), (), ())
    with pytest.raises(ModelNotFoundError, match=r"There is no checkpoint; put a \.safetensors file into"):
        catalogue.find_checkpoint("anything")


def test_titles_get_their_hash_in_the_background(models: Path) -> None:
    path = write_model(models / "Stable-diffusion" / "sub" / "cat.safetensors")
    catalogue = catalogue_of(models)
    (before,) = catalogue.checkpoints()
    assert (before.title, before.short_hash) == ("sub/cat.safetensors", None)
    (after,) = hashed(catalogue).checkpoints()
    sha256 = sha256_of(path)
    assert after.title == f"sub/cat.safetensors [{sha256[:10]}]"
    assert (after.sha256, after.stem, after.model_name) == (sha256, "cat", "sub_cat")
    (restarted,) = catalogue_of(models).checkpoints()
    assert restarted.title == after.title


def test_a_file_that_changed_is_hashed_again(models: Path) -> None:
    path = write_model(models / "Stable-diffusion" / "a.safetensors", content=b"1" * 12)
    catalogue = hashed(catalogue_of(models))
    old = catalogue.checkpoints()[0].sha256
    write_model(path, content=b"2" * 12)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    catalogue.refresh()
    assert catalogue.checkpoints()[0].sha256 is None
    assert hashed(catalogue).checkpoints()[0].sha256 not in (old, None)


def test_the_worker_wakes_for_new_files_and_survives_a_vanished_one(models: Path) -> None:
    catalogue = catalogue_of(models)
    worker = BackgroundHashing(catalogue)
    worker.start()
    assert worker.wait(20)
    write_model(models / "Stable-diffusion" / "new.safetensors")
    gone = write_model(models / "Stable-diffusion" / "gone.safetensors")
    catalogue.refresh()
    gone.unlink()
    worker.wake()
    assert worker.wait(20)
    worker.stop()
    assert [entry.short_hash is None for entry in catalogue.checkpoints()] == [True, False]
    assert not any(thread.name == "hashing" for thread in threading.enumerate())


@pytest.fixture
def filled_catalogue(models: Path) -> Catalogue:
    folder = models / "Stable-diffusion"
    write_model(folder / "v1-5-pruned.safetensors", content=b"1" * 12)
    write_model(folder / "v1-5-pruned-emaonly.safetensors", content=b"2" * 12)
    write_model(folder / "anime" / "Any Thing.safetensors", content=b"3" * 12)
    return hashed(catalogue_of(models))


def test_every_alias_selects_the_checkpoint(filled_catalogue: Catalogue) -> None:
    wanted = next(entry for entry in filled_catalogue.checkpoints() if "Any" in entry.name)
    sha256 = sha256_of(wanted.path)
    for text in (
        wanted.title, "anime/Any Thing.safetensors", "Any Thing", "Any Thing.safetensors", "anime_Any Thing",
        sha256[:10], sha256, f"Any Thing [{sha256[:10]}]", f"anime_Any Thing [{sha256[:10]}]",
        f"anime/Any Thing.safetensors [{legacy_hash_of(wanted.path)}]", "  Any Thing  ", "any thing",
        "anime/Any Thing.safetensors [0123456789]", "Any Thi", "nime/any",
    ):  # fmt: skip
        assert filled_catalogue.find_checkpoint(text) == wanted, text


def test_the_shortest_title_with_the_text_wins(filled_catalogue: Catalogue) -> None:
    assert filled_catalogue.find_checkpoint("v1-5").name == "v1-5-pruned.safetensors"
    assert filled_catalogue.find_checkpoint("pruned-ema").name == "v1-5-pruned-emaonly.safetensors"
    assert filled_catalogue.find_checkpoint("v1-5-pruned").name == "v1-5-pruned.safetensors"


def test_the_legacy_hash_selects(filled_catalogue: Catalogue, models: Path) -> None:
    path = models / "Stable-diffusion" / "old.safetensors"
    write_model(path, content=b"4" * 12)
    path.write_bytes(path.read_bytes() + bytes(0x100000) + b"unique")
    filled_catalogue.refresh()
    assert filled_catalogue.find_checkpoint(legacy_hash_of(path)).path == path


@pytest.mark.parametrize("text", ["nothing like it", "", "[abc]", "v1-5-prund"])
def test_a_missing_checkpoint_is_named_with_its_neighbours(filled_catalogue: Catalogue, text: str) -> None:
    with pytest.raises(ModelNotFoundError, match="No checkpoint is called") as error:
        filled_catalogue.find_checkpoint(text)
    if text == "v1-5-prund":
        assert "v1-5-pruned.safetensors" in str(error.value)


def test_the_stated_resolution_is_listed(models: Path) -> None:
    folder = models / "Stable-diffusion"
    write_model(folder / "a.safetensors", {"modelspec.resolution": "128x192"})
    write_model(folder / "b.ckpt").with_suffix(".json").write_text('{"modelspec.resolution": "256x256"}')
    (folder / "c.safetensors").write_bytes(b"broken")
    sizes = [(entry.width, entry.height) for entry in catalogue_of(models).checkpoints()]
    assert sizes == [(128, 192), (256, 256), (None, None)]


def test_a_file_that_states_no_size_has_that_of_its_family(models: Path) -> None:
    folder = models / "Stable-diffusion"
    for name, architecture in (("a", Architecture()), ("b", TINY_SD2), ("c", TINY_SDXL), ("d", TINY_REFINER)):
        write_tiny_checkpoint(folder / f"{name}.safetensors", architecture=architecture)
    write_tiny_checkpoint(
        folder / "e.safetensors", architecture=TINY_SDXL, metadata={"modelspec.resolution": "832x1216"}
    )
    write_model(folder / "f.safetensors")
    catalogue = catalogue_of(models)
    sizes = [catalogue.native_size(checkpoint) for checkpoint in catalogue.checkpoints()]
    assert sizes == [(512, 512), (768, 768), (1024, 1024), (1024, 1024), (832, 1216), None]


def test_vaes_beside_checkpoints_are_vaes_only(models: Path) -> None:
    folder = models / "Stable-diffusion"
    write_model(folder / "cat.safetensors")
    write_model(folder / "cat.vae.safetensors")
    write_model(folder / "dog.vae.pt")
    write_model(folder / "half-finished.pt")
    write_model(models / "VAE" / "best.pt")
    catalogue = catalogue_of(models)
    assert names(catalogue) == ["cat.safetensors"]
    assert [vae.name for vae in catalogue.vaes()] == ["best.pt", "cat.vae.safetensors", "dog.vae.pt"]


def test_the_vae_is_chosen_in_a1111s_order(models: Path) -> None:
    folder = models / "Stable-diffusion"
    checkpoint = write_model(folder / "cat.safetensors")
    write_model(models / "VAE" / "best.safetensors")
    write_model(models / "VAE" / "own.safetensors")
    catalogue = catalogue_of(models)
    (cat,) = catalogue.checkpoints()

    def chosen(setting: str = "Automatic", overrides: bool = True) -> str | None:
        vae = catalogue.vae_for(cat, setting, overrides=overrides)
        return None if vae.file is None else vae.file.name

    assert chosen() is None
    assert chosen("best.safetensors") == "best.safetensors"
    write_model(folder / "cat.vae.safetensors")
    catalogue.refresh()
    assert chosen() == "cat.vae.safetensors"
    assert chosen("best", overrides=False) == "cat.vae.safetensors"
    checkpoint.with_suffix(".json").write_text('{"vae": "own.safetensors"}')
    assert chosen() == "own.safetensors"
    assert chosen("best") == "best.safetensors"
    assert chosen("None") is None
    gone = catalogue.vae_for(cat, "gone")
    assert gone.file is None and gone.notice.startswith("No VAE is called 'gone'") and "own was used" in gone.notice
    for sidecar, wanted in (
        ("None", None),
        ("nothing.pt", "cat.vae.safetensors"),
        ("Automatic", "cat.vae.safetensors"),
    ):
        checkpoint.with_suffix(".json").write_text(json.dumps({"vae": sidecar}))
        assert chosen() == wanted and chosen("best", overrides=False) == (wanted if sidecar != "None" else None)
    # The name needs no dot, as A1111 compares.
    checkpoint.with_suffix(".json").unlink()
    (folder / "cat.vae.safetensors").unlink()
    write_model(models / "VAE" / "cat-v2.safetensors")
    catalogue.refresh()
    assert chosen() == "cat-v2.safetensors" and chosen("best", overrides=False) == "cat-v2.safetensors"
    # Beside the checkpoint before the VAE folder, and by suffix in each.
    for path, wanted in (
        (models / "VAE" / "cat-v3.ckpt", "cat-v3.ckpt"),
        (models / "VAE" / "cat.vae.pt", "cat-v3.ckpt"),
        (folder / "cat-x.vae.safetensors", "cat-x.vae.safetensors"),
        (folder / "cat-y.vae.pt", "cat-y.vae.pt"),
        (models / "VAE" / "cat-y.vae.pt", "cat-y.vae.pt"),
    ):
        write_model(path)
        catalogue.refresh()
        assert chosen() == wanted
    near = catalogue.vae_for(cat).file
    assert near is not None and near.path.parent == models / "VAE"


def test_networks_embeddings_and_upscalers_are_listed(models: Path) -> None:
    for place in ("Lora/style/a.safetensors", "Lora/b.pt", "embeddings/e.pt", "embeddings/f.txt", "ESRGAN/4x.pth"):
        write_model(models / place)
    catalogue = catalogue_of(models)
    assert [file.name for file in catalogue.loras()] == ["b.pt", "style/a.safetensors"]
    assert [file.name for file in catalogue.embeddings()] == ["e.pt"]
    assert [one.name for one in catalogue.upscalers()] == ["None", "Lanczos", "Nearest", "4x"]


def test_the_catalogue_runs_without_torch() -> None:
    code = "import sys, modules.catalogue; print([m for m in ('torch','diffusers','transformers') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_unreadable_folder_is_logged(
    models: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is pretended: root, as whom tests may run, can read everything."""
    folder = models / "Stable-diffusion"
    folder.mkdir(parents=True)
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert catalogue_of(models).checkpoints() == ()
    assert "can't be read: Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"step": 500, "sd_checkpoint": "6ce0161689", "sd_checkpoint_name": "v1-5"},
            Training(500, "6ce0161689", "v1-5"),
        ),
        ({"step": None, "sd_checkpoint": None}, Training()),
        ({"step": 1 << 20_000, "sd_checkpoint": 5, "sd_checkpoint_name": "x" * 5000}, Training(None, None, "x" * 200)),
        ({"step": True}, Training()),
    ],
)
def test_a_textual_inversion_says_how_long_it_was_trained_on_what(
    tmp_path: Path, said: dict[str, object], expected: Training
) -> None:
    torch.save({"string_to_param": {"*": torch.zeros(2, 64)}, **said}, tmp_path / "ink.pt")
    head = read_embedding_head(tmp_path / "ink.pt")
    assert head is not None and (head.training, head.shapes) == (expected, {"*": (2, 64)})
