"""Reading network files: parts in every spelling, alphas from elsewhere, bundled embeddings, what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.catalogue.network_names import split_name
from modules.weights.networks.reading import read_network
from tests.checkpoints import (
    Payload,
    truncate,
    write_embedding,
    write_lora,
    write_malicious_checkpoint,
    write_tensors,
)
from tests.weights.networks.samples import KINDS, UP_DOWN, fill, number

# How files spell the parts that are called otherwise here.
FILE_NAMES = {
    "up": "lora_up.weight", "down": "lora_down.weight", "mid": "lora_mid.weight",
    **{part: f"{part}.weight" for part in ("a1", "a2", "b1", "b2")},
}  # fmt: skip
KEY = "lora_unet_x"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_back(tmp_path: Path, name: str, suffix: str) -> None:
    parts, weight = KINDS[name]
    tensors = {f"{KEY}.{FILE_NAMES.get(part, part)}": tensor for part, tensor in parts.items()}
    path = tmp_path / f"n{suffix}"
    if suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    network = read_network(path)
    (layer,) = network.layers
    update = network.layers[layer].weight
    assert layer == KEY and update is not None and update.delta(weight).shape == weight.shape
    assert network.size == sum(tensor.nbytes for tensor in tensors.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unet.conv_in.lora_A.weight", ("unet.conv_in", "down")),
        ("x.attn1.processor.to_q_lora.up.weight", ("x.attn1.processor.to_q", "up")),
        ("x.lora_linear_layer.down.weight", ("x", "down")),
        ("x.lora_B.bias", ("x", "up_bias")),
        ("x.lora_magnitude_vector.default.weight", ("x", "magnitude")),
        ("x.lora_magnitude_vector", ("x", "magnitude")),
        ("x.diff_b", ("x", "diff_b")),
        ("x.unheard_of", ("x", "unheard_of")),
        (".alpha", ("", "alpha")),
    ],
)
def test_names_are_split_into_layer_and_part(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name) == expected


def peft(path: Path, metadata: dict[str, Any] | None = None, prefix: str = "unet.") -> Path:
    tensors = {
        f"{prefix}{layer}.lora_{part}.weight": UP_DOWN[name].clone()
        for layer in ("a.to_q", "a.to_k", "a.to_qq")
        for part, name in (("A", "down"), ("B", "up"))
    }
    return write_tensors(path, tensors, {"lora_adapter_metadata": json.dumps(metadata)} if metadata else {})


def scales(path: Path) -> list[float]:
    found = []
    for layer in read_network(path).layers.values():
        assert layer.weight is not None
        found.append(float((layer.weight.delta(torch.zeros(4, 6)) / (UP_DOWN["up"] @ UP_DOWN["down"])).median()))
    return found


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"unet.lora_alpha": 1, "unet.r": 2}, [0.5, 0.5, 0.5]),
        ({"text_encoder.lora_alpha": 8}, [1, 1, 1]),
        ({"unet.lora_alpha": 1, "unet.use_rslora": True}, [2**-0.5] * 3),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {"to_q": 6, "^a.to_k": 8}}, [4, 3, 0.5]),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {"^to_q": 6}}, [0.5, 0.5, 0.5]),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {".*to_q": 6}}, [0.5, 3, 0.5]),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {r"^a\.to_q.*$": 6}}, [0.5, 3, 3]),
        ({"unet.lora_alpha": 1, "unet.alpha_pattern": {"^to.*": 6, "to_.*k": 8}}, [4, 0.5, 0.5]),
    ],
)
def test_alphas_stand_in_diffusers_metadata(tmp_path: Path, config: dict[str, Any], expected: list[float]) -> None:
    assert scales(peft(tmp_path / "n.safetensors", config)) == pytest.approx(expected, rel=1e-5)


def test_alphas_stand_in_a_file_beside_what_peft_wrote(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 3, "peft_type": "LORA"}))
    assert scales(peft(tmp_path / "raw.safetensors", prefix="base_model.model.")) == pytest.approx([1.5] * 3)
    assert scales(peft(tmp_path / "other.safetensors")) == pytest.approx([1] * 3)


def test_an_alpha_in_the_file_goes_before_all(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    tensors = {f"unet.x.{FILE_NAMES.get(part, part)}": tensor for part, tensor in UP_DOWN.items()}
    write_tensors(path, tensors, {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 64})})
    assert scales(path) == pytest.approx([0.5], rel=1e-5)


def test_embeddings_that_come_with_a_network(tmp_path: Path) -> None:
    tensors = {
        f"{KEY}.lora_up.weight": UP_DOWN["up"],
        f"{KEY}.lora_down.weight": UP_DOWN["down"],
        "bundle_emb.my.word.string_to_param.*": fill(1, (2, 8)),
        "bundle_emb.both.clip_l": fill(1, (2, 8)),
        "bundle_emb.both.clip_g": fill(1, (2, 12)).half(),
    }
    network = read_network(write_tensors(tmp_path / "n.safetensors", tensors, {"ss_output_name": "n"}))
    assert list(network.layers) == [KEY] and network.metadata["ss_output_name"] == "n"
    assert network.embeddings.keys() == {"my.word", "both"}
    assert torch.equal(network.embeddings["my.word"].vectors[""], fill(1, (2, 8)))
    assert network.embeddings["both"].fitting(("clip_l", "clip_g"), (8, 12)) is not None


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_file_may_be_replaced_while_it_is_in_use(tmp_path: Path, suffix: str) -> None:
    """Tensors are no windows into it: they stay what they were when its bytes change in place."""
    path = tmp_path / f"n{suffix}"
    tensors = {f"{KEY}.lora_up.weight": fill(1, (64, 2)), f"{KEY}.lora_down.weight": fill(2, (2, 64))}
    if suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    update = read_network(path).layers[KEY].weight
    path.write_bytes(bytes(path.stat().st_size))
    assert update is not None and torch.equal(update.tensors[0], fill(1, (64, 2)))


def test_a_hundred_thousand_metadata_entries_are_read_at_once(tmp_path: Path) -> None:
    path = write_lora(tmp_path / "n.safetensors", metadata={f"ss_{index}": "x" * 20 for index in range(100_000)})
    begin = time.process_time()
    assert len(read_network(path).metadata) > 100_000
    assert time.process_time() - begin < 2


def _nan(path: Path) -> None:
    save_file(
        {f"{KEY}.lora_up.weight": torch.tensor([[1.0, float("nan")]]), f"{KEY}.lora_down.weight": fill(1, (2, 4))}, path
    )


def _infinite_half(path: Path) -> None:
    up = torch.tensor([[1.0, float("inf")]]).half()
    save_file({f"{KEY}.lora_up.weight": up, f"{KEY}.lora_down.weight": fill(1, (2, 4))}, path)


def _tensors(**tensors: torch.Tensor) -> Callable[[Path], None]:
    return lambda path: save_file(tensors, path)


def _patterned(path: Path) -> None:
    config = {"unet.lora_alpha": 1, "unet.alpha_pattern": {"(.*)*to_[qk]": 6}}
    peft(path, config)


def _configured(path: Path) -> None:
    write_tensors(path, {f"{KEY}.alpha": number(1)}, {"lora_adapter_metadata": "{"})


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (_nan, "is broken: lora_unet_x.lora_up.weight holds NaN or infinity"),
        (_infinite_half, "holds NaN or infinity"),
        (lambda path: truncate(write_lora(path)), "is truncated"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"<!doctype html>"), "is a web page"),
        (lambda path: write_embedding(path), "is not a LoRA or one of its relatives but a textual inversion"),
        (_tensors(**{"model.diffusion_model.input_blocks.0.0.weight": fill(1, (2, 2))}), "but a checkpoint"),
        (_tensors(**{"decoder.conv_in.weight": fill(1, (2, 2))}), "but a VAE"),
        (_tensors(words=fill(1, (2, 2)), more=fill(1, (2, 2))), "of a kind that is not known"),
        (_tensors(**{"lora_unet_x.lora_up.weight": fill(1, (2, 2))}), "is not understood: its parts up are"),
        (_tensors(**{"double_blocks.0.processor.qkv_lora1.up.weight": fill(1, (2, 2))}), "It is for Flux."),
        (_tensors(**{"bundle_emb.x.clip_l": fill(1, (2, 2, 2))}), "is no textual inversion"),
        (_configured, "is no JSON"),
        (_patterned, "of bad one.safetensors has the pattern '(.*)*to_[qk]' for names of layers, which can't be read"),
    ],
)  # fmt: skip
def test_bad_files_get_one_sentence(tmp_path: Path, write: Callable[[Path], object], complaint: str) -> None:
    path = tmp_path / "bad one.safetensors"
    write(path)
    with pytest.raises(ModelFileError, match="bad one") as raised:
        read_network(path)
    assert complaint in str(raised.value) and "\n" not in str(raised.value)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = write_malicious_checkpoint(tmp_path / "n.ckpt", Payload(Path.touch, marker))
    with pytest.raises(UnsafePickleError):
        read_network(path)
    assert not marker.exists()
