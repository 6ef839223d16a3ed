"""Files read at once instead of mapped: the same tensors, and memory reserved before they are read."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.catalogue.safetensors_header import read_safetensors_header
from modules.families import SD1
from modules.weights import tensor_file
from modules.weights.checkpoint import exchange_vae, load_checkpoint, load_vae
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import open_tensors
from tests.checkpoints import Architecture, truncate, write_tiny_checkpoint, write_vae

SMALL = Architecture(vocabulary=512)


def test_all_types_and_shapes_are_as_in_the_mapped_file(tmp_path: Path) -> None:
    numbers = torch.arange(24, dtype=torch.float32) - 7
    types = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn)
    tensors = {str(dtype): numbers.reshape(2, 3, 4).to(dtype) for dtype in types}
    tensors |= {"one": torch.tensor(3.5), "none": torch.zeros(0, 4)}
    path = tmp_path / "all.safetensors"
    save_file(tensors, path, metadata={"a": "b"})
    with open_tensors(path) as mapped, open_tensors(path, mapped=False) as read:
        assert (read.shapes, read.metadata) == (mapped.shapes, mapped.metadata)
        for name, shape in read.shapes.items():
            one, other = read.tensor(name), mapped.tensor(name)
            assert (one.dtype, tuple(one.shape)) == (other.dtype, shape)
            assert torch.equal(one.float(), other.float()), name


def test_a_tensor_may_start_anywhere_and_a_strange_type_is_named(tmp_path: Path) -> None:
    header = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "number": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
        "strange": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [9, 10]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(
        len(text).to_bytes(8, "little") + text + b"\x05" + torch.tensor([1.5, -2.0]).numpy().tobytes() + b"\x00"
    )
    with open_tensors(path, mapped=False) as file:
        assert file.tensor("number").tolist() == [1.5, -2.0] and file.tensor("byte").tolist() == [5]
        with pytest.raises(CheckpointError, match=r"odd\.safetensors holds numbers of the type F8_E8M0"):
            file.tensor("strange")


def test_a_file_that_shrinks_while_it_is_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_vae(tmp_path / "v.safetensors", architecture=SMALL)
    real = read_safetensors_header

    def then_cut(file: Path) -> object:
        header = real(file)
        truncate(file)
        return header

    monkeypatch.setattr(tensor_file, "read_safetensors_header", then_cut)
    with (
        pytest.raises(CheckpointError, match=r"v\.safetensors became shorter"),
        open_tensors(path, mapped=False),
    ):
        pass


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_a_checkpoint_is_the_same_however_it_is_read_and_memory_is_reserved(tmp_path: Path, suffix: str) -> None:
    path = write_tiny_checkpoint(tmp_path / f"m.{suffix}", architecture=SMALL)
    vae = write_vae(tmp_path / "v.safetensors", architecture=SMALL)
    freed: dict[bool, list[int]] = {True: [], False: []}
    models = [
        load_checkpoint(path, dtype=torch.bfloat16, vae_path=vae, mapped=mapped, make_room=freed[mapped].append)
        for mapped in (True, False)
    ]
    parts = [(model.unet, model.vae, *model.text_encoders) for model in models]
    for pair in zip(*parts, strict=True):
        one, other = (part.state_dict() for part in pair)
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    weights = sum(tensor.numel() * tensor.element_size() for part in parts[0] for tensor in part.parameters())
    assert freed[True] == [pytest.approx(weights, rel=0.01)]
    assert freed[False] == [path.stat().st_size, *freed[True], vae.stat().st_size]


def test_a_vae_is_exchanged_whole_or_not_at_all(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL))
    before = model.vae
    wide = Architecture(vocabulary=512, latent_channels=16)
    with pytest.raises(CheckpointError, match="4 latent channels, the VAE has 16"):
        exchange_vae(
            model,
            load_vae(write_vae(tmp_path / "w.safetensors", architecture=wide), dtype=torch.float32, family=SD1),
            None,
        )
    assert model.vae is before
    deep = Architecture(vocabulary=512, vae_channels=(16, 16, 32))
    path = write_vae(tmp_path / "d.safetensors", architecture=deep)
    assert exchange_vae(model, load_vae(path, dtype=torch.float32, family=SD1), path) is before
    assert (model.vae_factor, model.vae_path) == (4, path)
    fresh = load_checkpoint(model.path, vae_path=path)
    assert (model.vae_factor, model.latent_scaling) == (fresh.vae_factor, fresh.latent_scaling)
