"""Hypernetworks of A1111: small networks that change the text, or the picture, that attention reads.

y = x + multiplier · net(x), before the attention's projection to keys by the first of two networks and before that to
values by the second; which pair is chosen by the width of x.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from modules.catalogue.hypernetwork_files import hypernetwork_widths
from modules.catalogue.kinds import Container, ModelKind, classify_tensors, sniff_container
from modules.catalogue.unpickle import TensorRef
from modules.weights.checkpoint_errors import NetworkError
from modules.weights.torch_file import TorchFile, read_torch_file

Nets = tuple[nn.Module, nn.Module]
"""What changes the input of the projection to keys, and of that to values."""

# "Swish" there is the hard one; the others are torch's activations by their names in small letters.
_ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {
    **{
        name.lower(): kind
        for name, kind in vars(nn.modules.activation).items()
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind.__module__ == "torch.nn.modules.activation"
    },
    "swish": nn.Hardswish,
}
_PLAIN: Final = ("linear", "None", "none", "")
# Names of the first files, which had two layers.
_OLD_NAMES: Final = {"linear1.": "linear.0.", "linear2.": "linear.1."}
_MOST_LAYERS: Final = 64
_DROPOUT: Final = 0.3
# What is missing in older files, as A1111 takes it.
_STRUCTURE: Final = (1.0, 2.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Hypernetwork:
    """A hypernetwork file's content, in float32 and in memory of its own."""

    path: Path
    nets: Mapping[int, Nets]
    """Pairs by the width of what they change: (…, width) to (…, width)."""
    name: str
    """What the file calls itself; prompts name its stem."""
    step: int | None

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        nets = itertools.chain.from_iterable(self.nets.values())
        return sum(parameter.nbytes for net in nets for parameter in net.parameters())


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file's networks are built; `dropout` says for each step of the structure whether it has a dropout."""

    structure: tuple[float, ...]
    activation: type[nn.Module] | None
    activates_output: bool
    layer_norm: bool
    dropout: tuple[bool, ...]


def read_hypernetwork(path: Path) -> Hypernetwork:
    """Read a hypernetwork file, without running anything in it.

    Raises:
        ModelFileError: the file is damaged, unsafe, of another kind, or of a form that is not known.
    """
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        raise NetworkError(f"{path.name} is no hypernetwork: those are .pt files of A1111.")
    file = read_torch_file(path, container)
    content = file.content
    widths = hypernetwork_widths(content)
    if not isinstance(content, dict) or not widths:
        raise NetworkError(f"{path.name} is no hypernetwork{_other_kind(content)}.")
    form = _form(path, content)
    nets = {width: _nets(file, width, content[width], form) for width in widths}
    name, step = content.get("name"), content.get("step")
    return Hypernetwork(
        path, nets, name if isinstance(name, str) else path.stem, step if isinstance(step, int) else None
    )


def _other_kind(content: object) -> str:
    names = content.get("state_dict", content) if isinstance(content, dict) else {}
    kind = classify_tensors([name for name in names if isinstance(name, str)] if isinstance(names, dict) else [])
    return "" if kind is ModelKind.UNKNOWN else f" but {kind.value}"


def _form(path: Path, content: Mapping[object, object]) -> _Form:
    structure = tuple(_numbers(content.get("layer_structure"), _STRUCTURE))
    if not 2 <= len(structure) <= _MOST_LAYERS or not all(0 < part < 1 << 10 for part in structure):
        raise NetworkError(f"{path.name} has the layer structure {list(structure)[:8]}, which makes no network.")
    named = content.get("activation_func")
    name = named if isinstance(named, str) else ""
    activation = None if name in _PLAIN else _ACTIVATIONS.get(name.lower())
    if activation is None and name not in _PLAIN:
        raise NetworkError(f"{path.name} has the activation {name[:40]!r}, which is not known.")
    output = content.get("activate_output")
    return _Form(
        structure,
        activation,
        # Before this was written down, the last layer was activated too.
        True if output is None else bool(output),
        bool(content.get("is_layer_norm")),
        _dropout(content, len(structure)),
    )


def _dropout(content: Mapping[object, object], count: int) -> tuple[bool, ...]:
    """Where dropouts are: they do nothing when a network is used, but the layers behind them are counted on."""
    stated = content.get("dropout_structure")
    if stated is not None:
        chances = _numbers(stated, ())
    elif content.get("use_dropout"):
        last = _DROPOUT if content.get("last_layer_dropout") else 0.0
        chances = [0.0, *[_DROPOUT] * (count - 3), last, 0.0]
    else:
        chances = []
    return tuple(index < len(chances) and chances[index] > 0 for index in range(count))


def _numbers(values: object, default: Sequence[float]) -> list[float]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, int | float) for value in values):
        return list(default)
    return [float(value) for value in values]


def _nets(file: TorchFile, width: int, pair: object, form: _Form) -> Nets:
    match pair:
        case (dict(keys), dict(values), *_):
            return _net(file, width, keys, form), _net(file, width, values, form)
    raise NetworkError(f"{file.path.name} has no pair of networks for the width {width}.")


def _net(file: TorchFile, width: int, state: Mapping[object, object], form: _Form) -> nn.Module:
    """A network as `form` has it, with the weights of `state`."""
    name = file.path.name
    net = _built(name, width, form)
    refs = {_layer_name(key): value for key, value in state.items() if isinstance(value, TensorRef)}
    wanted = {key: tuple(parameter.shape) for key, parameter in net.named_parameters()}
    for key, shape in wanted.items():
        if key not in refs or refs[key].shape != shape:
            found = f"has the shape {list(refs[key].shape)}" if key in refs else "is missing"
            raise NetworkError(f"{name}: linear.{key} {found}; {list(shape)} was expected.")
    left = refs.keys() - wanted.keys()
    if left:
        raise NetworkError(f"{name} has weights that its structure has no place for: {min(left)[:40]}.")
    tensors = {key: file.tensor(refs[key]).float().clone() for key in wanted}
    broken = next((key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())), None)
    if broken is not None:
        raise NetworkError(f"{name} is broken: linear.{broken} holds NaN or infinity.")
    net.load_state_dict(tensors, assign=True)
    return net.eval().requires_grad_(False)


def _built(file_name: str, width: int, form: _Form) -> nn.Module:
    """The network without weights; an activation that makes something else of what it is given is refused."""
    layers: list[nn.Module] = []
    with torch.device("meta"):
        try:
            for step, (before, behind) in enumerate(itertools.pairwise(form.structure)):
                layers.append(nn.Linear(int(width * before), int(width * behind)))
                if form.activation is not None and (step < len(form.structure) - 2 or form.activates_output):
                    layers.append(form.activation())
                if form.layer_norm:
                    layers.append(nn.LayerNorm(int(width * behind)))
                if form.dropout[step + 1]:
                    layers.append(nn.Identity())
            net = nn.Sequential(*layers).eval()
            fits = net(torch.empty(1, 1, width)).shape == (1, 1, width)
        except (RuntimeError, TypeError, ValueError) as error:
            raise _unusable(file_name, form) from error
    if not fits:
        raise _unusable(file_name, form)
    return net


def _unusable(file_name: str, form: _Form) -> NetworkError:
    activation = form.activation.__name__ if form.activation is not None else "linear"
    structure = ", ".join(f"{part:g}" for part in form.structure)
    return NetworkError(f"{file_name} can't be used: layers {structure} with the activation {activation} don't fit.")


def _layer_name(name: object) -> str:
    """`linear.3.weight` → `3.weight`."""
    text = str(name)
    for old, new in _OLD_NAMES.items():
        text = text.replace(old, new, 1) if text.startswith(old) else text
    return text.removeprefix("linear.")
