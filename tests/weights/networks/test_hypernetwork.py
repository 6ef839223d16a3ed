"""Hypernetwork files: golden answers, every form of the layers, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.weights.networks.hypernetwork import read_hypernetwork
from tests.checkpoints import Payload, truncate, write_lora
from tests.weights.networks.samples import Parts, fill

INPUT = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])


def state(second: int = 1) -> Parts:
    return {
        "linear.0.weight": fill(1, (4, 2)), "linear.0.bias": fill(2, (4,)),
        f"linear.{second}.weight": fill(3, (2, 4)), f"linear.{second}.bias": fill(4, (2,)),
    }  # fmt: skip


def write(path: Path, parts: Parts, *, legacy: bool = False, **facts: Any) -> Path:
    content: dict[Any, Any] = {
        2: (parts, {name: -tensor for name, tensor in parts.items()}),
        "step": 7,
        "name": "ink",
        **facts,
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("activation", "second", "expected"),
    [
        ("linear", 1, [[1.385, 2.51625], [-0.710375, 0.9165]]),
        (None, 1, [[1.385, 2.51625], [-0.710375, 0.9165]]),
        ("relu", 2, [[0.755, 2.245], [-1.1295, 0.71175]]),
        ("swish", 2, [[0.95275, 2.248281], [-1.047669, 0.687396]]),
    ],
)
def test_the_golden_answers(
    tmp_path: Path, legacy: bool, activation: str | None, second: int, expected: list[list[float]]
) -> None:
    path = write(
        tmp_path / "n.pt", state(second), legacy=legacy, layer_structure=[1, 2, 1], activation_func=activation,
        activate_output=False,
    )  # fmt: skip
    hypernetwork = read_hypernetwork(path)
    keys, values = hypernetwork.nets[2]
    torch.testing.assert_close(INPUT + 0.7 * keys(INPUT), torch.tensor(expected), atol=1e-5, rtol=0)
    assert not torch.equal(keys(INPUT), values(INPUT))
    assert (hypernetwork.name, hypernetwork.step, hypernetwork.size) == ("ink", 7, 2 * 22 * 4)


@pytest.mark.parametrize(
    ("facts", "layers"),
    [
        ({"activation_func": "tanh"}, [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh]),
        ({"activation_func": "tanh", "activate_output": False}, [nn.Linear, nn.Tanh, nn.Linear]),
        ({"is_layer_norm": True}, [nn.Linear, nn.LayerNorm, nn.Linear, nn.LayerNorm]),
        (
            {"activation_func": "hardtanh", "is_layer_norm": True, "activate_output": False},
            [nn.Linear, nn.Hardtanh, nn.LayerNorm, nn.Linear, nn.LayerNorm],
        ),
        ({"dropout_structure": [0, 0.1, 0]}, [nn.Linear, nn.Identity, nn.Linear]),
        (
            {"layer_structure": [1, 2, 2, 1], "use_dropout": True},
            [nn.Linear, nn.Identity, nn.Linear, nn.Linear],
        ),
        (
            {"layer_structure": [1, 2, 2, 1], "use_dropout": True, "last_layer_dropout": True},
            [nn.Linear, nn.Identity, nn.Linear, nn.Identity, nn.Linear],
        ),
        ({"activation_func": "prelu"}, [nn.Linear, nn.PReLU, nn.Linear, nn.PReLU]),
        ({"activation_func": "multiheadattention"}, None),
        ({"activation_func": "glu"}, None),
    ],
)
def test_every_form_of_the_layers(tmp_path: Path, facts: dict[str, Any], layers: list[type[nn.Module]] | None) -> None:
    kinds = layers or [nn.Linear, nn.Linear]
    widths = [2 * part for part in facts.get("layer_structure", [1, 2, 1])]
    made: list[nn.Module] = []
    step = 0
    for kind in kinds:
        step += kind is nn.Linear
        arguments = {nn.Linear: widths[step - 1 : step + 1], nn.LayerNorm: widths[step : step + 1]}.get(kind, [])
        made.append(kind(*arguments))
    original = nn.Sequential(*made).eval()
    parts = {f"linear.{name}": tensor.detach() for name, tensor in original.state_dict().items()}
    path = write(tmp_path / "n.pt", parts, **facts)
    if layers is None:
        with pytest.raises(ModelFileError, match="don't fit"):
            read_hypernetwork(path)
        return
    keys = read_hypernetwork(path).nets[2][0]
    assert [type(layer) for layer in keys.children()] == layers
    torch.testing.assert_close(keys(INPUT), original(INPUT))


def test_names_of_the_first_files(tmp_path: Path) -> None:
    parts = {name.replace("linear.0", "linear1").replace("linear.1", "linear2"): one for name, one in state().items()}
    keys = read_hypernetwork(write(tmp_path / "n.pt", parts)).nets[2][0]
    torch.testing.assert_close(INPUT + 0.7 * keys(INPUT), torch.tensor([[1.385, 2.51625], [-0.710375, 0.9165]]))


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"layer_structure": [1, 3, 1]}, r"linear\.0\.weight has the shape \[4, 2\]"),
        ({"layer_structure": [1]}, "makes no network"),
        ({"layer_structure": [1, 1e9, 1]}, "makes no network"),
        ({"activation_func": "relu"}, r"linear\.2\.weight is missing"),
        ({"activation_func": "eval"}, "is not known"),
        ({"layer_structure": [1, 2]}, "don't fit"),
        (
            {"layer_structure": [1, 2, 1], "activation_func": "relu", 2: (state(2) | {"linear.9.bias": INPUT},) * 2},
            "no place for: 9",
        ),
        ({4: "text"}, "no pair of networks for the width 4"),
        ({4: ({}, {})}, "is missing"),
    ],
)
def test_what_does_not_fit_its_structure_is_refused(tmp_path: Path, facts: dict[Any, Any], complaint: str) -> None:
    content = {2: (state(), state()), **facts}
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(ModelFileError, match=complaint) as raised:
        read_hypernetwork(tmp_path / "bad.pt")
    assert "bad.pt" in str(raised.value)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    broken = state()
    broken["linear.0.bias"] = torch.full((4,), float("nan"))
    torch.save({"<ink>": INPUT, "clip_l": INPUT}, tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    for path, complaint in (
        (write(tmp_path / "nan.pt", broken), "NaN or infinity"),
        (truncate(write(tmp_path / "cut.pt", state())), "truncated or damaged"),
        (write_lora(tmp_path / "lora.safetensors"), "is no hypernetwork"),
        (tmp_path / "other.pt", "is no hypernetwork but a textual inversion"),
        (tmp_path / "list.pt", r"is no hypernetwork\."),
        (tmp_path / "absent.pt", "is no longer"),
    ):
        with pytest.raises(ModelFileError, match=complaint):
            read_hypernetwork(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_is_not_run(tmp_path: Path, legacy: bool) -> None:
    marker = tmp_path / "ran"
    path = write(tmp_path / "n.pt", state(), legacy=legacy, optional_info=Payload(Path.touch, marker))
    with pytest.raises(UnsafePickleError):
        read_hypernetwork(path)
    assert not marker.exists()
