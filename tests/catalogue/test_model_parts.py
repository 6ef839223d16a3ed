"""Which VAE and text encoder a checkpoint takes that has none inside: known by their tensors, never by names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.catalogue import Catalogue
from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_parts import MissingPartError, PartFacts, read_part
from modules.settings import Flags, Paths

CHECKPOINT = {
    "cap_pad_token": (1, 64),
    "noise_refiner.0.attention.qkv.weight": (192, 64),
    "cap_embedder.1.weight": (64, 32),
}
TEXT = {"model.embed_tokens.weight": (8, 32), "model.layers.0.self_attn.q_norm.weight": (16,)}
VAE = {"decoder.conv_in.weight": (8, 16, 3, 3), "encoder.conv_in.weight": (8, 3, 3, 3)}


def write(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A folder with all that is needed, in Forge's and ComfyUI's places, and much that is of no use."""
    write(tmp_path / "models" / "diffusion_models" / "z.safetensors", CHECKPOINT)
    write(tmp_path / "models" / "text_encoders" / "renamed.safetensors", TEXT)
    wide = {name: (*shape[:-1], 48) for name, shape in TEXT.items()}
    write(tmp_path / "models" / "text_encoder" / "qwen_3_8b.safetensors", wide)
    write(tmp_path / "models" / "VAE" / "flux.safetensors", VAE)
    write(tmp_path / "models" / "VAE" / "sdxl.safetensors", VAE | {"decoder.conv_in.weight": (8, 4, 3, 3)})
    write(tmp_path / "models" / "VAE" / "flux2.safetensors", VAE | {"bn.running_mean": (128,)})
    folders = ModelFolders.from_paths(Paths.from_flags(Flags(data_dir=tmp_path)))
    return Catalogue(folders, tmp_path / "hashes.json")


def parts(catalogue: Catalogue, *names: str, vae: str = "") -> tuple[str | None, list[str]]:
    given = catalogue.find_vae(vae).path if vae else None
    chosen = catalogue.parts_for(catalogue.find_checkpoint("z.safetensors"), names, given)
    return None if chosen.vae is None else chosen.vae.path.name, [text.path.name for text in chosen.texts]


def test_what_alone_fits_is_taken(catalogue: Catalogue) -> None:
    assert parts(catalogue) == ("flux.safetensors", ["renamed.safetensors"])
    assert parts(catalogue, vae="flux.safetensors") == (None, ["renamed.safetensors"])
    with pytest.raises(MissingPartError, match=r"works on 16 latent channels, and sdxl.safetensors has 4"):
        parts(catalogue, vae="sdxl.safetensors")


def test_what_was_chosen_goes_before_and_decides_between_several(catalogue: Catalogue, tmp_path: Path) -> None:
    write(tmp_path / "models" / "text_encoder" / "other.safetensors", TEXT)
    with pytest.raises(
        MissingPartError, match=r"other.safetensors, .*renamed.safetensors are each one: choose one under"
    ):
        parts(catalogue)
    assert parts(catalogue, "other.safetensors") == ("flux.safetensors", ["other.safetensors"])
    by_path = r"C:\forge\models\text_encoder\other.safetensors"
    assert parts(catalogue, by_path, "sdxl.safetensors", "gone.safetensors")[1] == ["other.safetensors"]
    with pytest.raises(MissingPartError, match="choose one of them"):
        parts(catalogue, "other.safetensors", "renamed.safetensors")


def test_what_is_missing_is_named_with_a_file_that_fits(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "models" / "text_encoders" / "renamed.safetensors").unlink()
    with pytest.raises(MissingPartError, match=r"put qwen_3_4b.safetensors into models/text_encoder and press refresh"):
        parts(catalogue)
    write(tmp_path / "models" / "text_encoders" / "renamed.safetensors", TEXT)
    (tmp_path / "models" / "VAE" / "flux.safetensors").unlink()
    catalogue.refresh()
    with pytest.raises(MissingPartError, match=r"needs Z-Image's VAE.*put ae.safetensors into models/VAE"):
        parts(catalogue)


def test_files_are_known_by_their_tensors(tmp_path: Path) -> None:
    assert read_part(write(tmp_path / "a.safetensors", TEXT)) == PartFacts(layout="qwen3", width=32)
    assert read_part(write(tmp_path / "b.safetensors", VAE)) == PartFacts(vae_channels=16)
    flux2 = VAE | {"bn.running_mean": (128,)}
    assert read_part(write(tmp_path / "c.safetensors", flux2)) == PartFacts(vae_channels=128), "of whole patches"
    gemma = {"model.embed_tokens.weight": (8, 32), "model.layers.0.post_feedforward_layernorm.weight": (32,)}
    assert read_part(write(tmp_path / "d.safetensors", gemma)) is None
    assert read_part(write(tmp_path / "e.safetensors", CHECKPOINT)) is None


@pytest.mark.parametrize(("blocks", "role"), [(5, "qwen3_4b"), (6, "qwen3_8b")])
def test_what_flux_2_klein_lacks_is_found_by_its_own_tensors(
    catalogue: Catalogue, tmp_path: Path, blocks: int, role: str
) -> None:
    """Three hidden states of the text encoder side by side, and the VAE with statistics of 128 channels."""
    shapes = {"double_stream_modulation_img.lin.weight": (8, 8), "txt_in.weight": (8, 120)}
    shapes |= {f"double_blocks.{index}.img_attn.qkv.weight": (8, 8) for index in range(blocks)}
    write(tmp_path / "models" / "diffusion_models" / "z.safetensors", shapes)
    catalogue.refresh()
    file = role.replace("qwen3", "qwen_3")
    with pytest.raises(MissingPartError, match=rf"\({role}\), and no file here fits: put {file}.safetensors into"):
        parts(catalogue)
    narrow = {"model.embed_tokens.weight": (8, 40), "model.layers.0.self_attn.q_norm.weight": (16,)}
    write(tmp_path / "models" / "text_encoders" / "mine.safetensors", narrow)
    assert parts(catalogue) == ("flux2.safetensors", ["mine.safetensors"])
    (tmp_path / "models" / "VAE" / "flux2.safetensors").unlink()
    catalogue.refresh()
    with pytest.raises(MissingPartError, match=r"put flux2-vae.safetensors into models/VAE"):
        parts(catalogue)
