"""Paths: A1111's places, both spellings of the checkpoint folder, one entry per folder."""

from pathlib import Path

import pytest

from modules.settings import REPOSITORY, Paths, parse_flags
from modules.settings.paths import distinct


def paths(root: Path, *words: str) -> Paths:
    return Paths.from_flags(parse_flags(words, {}), root)


def test_the_repository_is_the_folder_of_webui_py() -> None:
    assert (REPOSITORY / "modules" / "settings").is_dir()


def test_defaults_lie_beside_webui_py(tmp_path: Path) -> None:
    found = paths(tmp_path)
    names = ("Stable-Diffusion", "Stable-diffusion", "diffusion_models", "unet")
    assert found.checkpoint_dirs == tuple(tmp_path / "models" / name for name in names)
    assert found.vae_dirs == (tmp_path / "models/VAE", tmp_path / "models/vae")
    encoders = ("text_encoder", "text_encoders", "clip")
    assert found.text_encoder_dirs == tuple(tmp_path / "models" / name for name in encoders)
    assert found.lora_dirs == (tmp_path / "models/Lora", tmp_path / "models/LyCORIS")
    assert found.embeddings_dirs == (tmp_path / "embeddings",)
    assert found.outputs_dir == tmp_path / "outputs"
    assert found.config_file == tmp_path / "config.json"
    assert found.ui_config_file == tmp_path / "ui-config.json"
    assert found.styles_files == (str(tmp_path / "styles.csv"),)
    assert found.database == tmp_path / "webui.db"
    assert not list(tmp_path.iterdir()), "looking up paths creates nothing"


def test_an_existing_spelling_comes_first(tmp_path: Path) -> None:
    (tmp_path / "models" / "Stable-diffusion").mkdir(parents=True)
    assert paths(tmp_path).checkpoint_dirs[0] == tmp_path / "models/Stable-diffusion"


def test_a_folder_linked_under_both_spellings_is_searched_once(tmp_path: Path) -> None:
    (tmp_path / "models" / "Stable-diffusion").mkdir(parents=True)
    (tmp_path / "models" / "Stable-Diffusion").symlink_to("Stable-diffusion", target_is_directory=True)
    assert [folder.name.lower() for folder in paths(tmp_path).checkpoint_dirs].count("stable-diffusion") == 1


def test_given_folders_are_used(tmp_path: Path) -> None:
    found = paths(
        tmp_path,
        "--ckpt-dir",
        "/c",
        "--vae-dir",
        "/v",
        "--lora-dir",
        "/l",
        "--embeddings-dir",
        "/e",
        "--ckpt",
        "/m.ckpt",
    )
    assert Path("/c") in found.checkpoint_dirs and len(found.checkpoint_dirs) == 5
    assert Path("/v") in found.vae_dirs and found.lora_dirs[0] == Path("/l")
    assert (found.embeddings_dirs, found.checkpoint_file) == ((Path("/e"),), Path("/m.ckpt"))


def test_another_data_folder_still_finds_the_shipped_checkpoint(tmp_path: Path) -> None:
    shipped = tmp_path / "repository" / "models" / "Stable-Diffusion"
    shipped.mkdir(parents=True)
    found = paths(tmp_path / "repository", "--data-dir", str(tmp_path / "data"))
    assert found.checkpoint_dirs[0] == tmp_path / "data/models/Stable-Diffusion"
    assert found.checkpoint_dirs[-1] == shipped
    assert found.outputs_dir == tmp_path / "data/outputs"


def test_relative_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paths(tmp_path, "--data-dir", "d", "--models-dir", "m", "--ui-settings-file", "c.json")
    assert (found.data_dir, found.models_dir, found.config_file) == (
        tmp_path / "d",
        tmp_path / "m",
        tmp_path / "c.json",
    )


def test_upscaler_folders(tmp_path: Path) -> None:
    found = paths(tmp_path, "--esrgan-models-path", "/u")
    assert found.upscaler_dirs[0] == Path("/u")
    assert tmp_path / "models/SwinIR" in found.upscaler_dirs


def test_distinct_keeps_order_and_missing_folders(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    b.mkdir()
    assert distinct([b, a, b / "../b", a]) == (b, a)
