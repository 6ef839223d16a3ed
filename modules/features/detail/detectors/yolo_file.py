"""YOLO files of PyTorch: a pickled tree of modules, read without a class of it existing here and nothing executed.

Each object of the file is a stand-in that holds its attributes (`modules.catalogue.unpickle`). What kind of module it
was is seen by its attributes and children.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torch import Tensor

from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.torch_layout import read_torch_layout
from modules.catalogue.unpickle import Inert, TensorRef
from modules.features.detail.detectors.detection import DetectorError
from modules.features.detail.detectors.yolo_onnx import class_names
from modules.weights.torch_file import TorchFile

_DEEPEST: Final = 24
_MOST_CHILDREN: Final = 512


@dataclass(frozen=True, slots=True)
class ModuleNode:
    """One module of the tree: its children by name, its own tensors, and its other attributes."""

    children: Mapping[str, ModuleNode] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    attributes: Mapping[str, object] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The class that a layer at the top says it was, without its module: "C2f"."""
        return str(self.attributes.get("type", "")).rpartition(".")[2]

    @property
    def sources(self) -> tuple[int, ...]:
        """From which layers a layer at the top takes its input: -1 is the one before."""
        found = self.attributes.get("f", -1)
        numbers = found if isinstance(found, list | tuple) else [found]
        if not all(isinstance(one, int) for one in numbers):
            raise ValueError("a layer without a source")
        return tuple(int(str(one)) for one in numbers)

    def number(self, name: str) -> int:
        """A whole number among the attributes, of a pair of equal ones either."""
        found = self.attributes[name]
        if isinstance(found, tuple | list) and len(set(found)) == 1:
            found = found[0]
        if not isinstance(found, int | float) or int(found) != found or abs(found) > 1 << 16:
            raise ValueError(f"{name} is no number")
        return int(found)


def read_yolo(path: Path) -> tuple[list[ModuleNode], Mapping[int, str]]:
    """The layers of a file in their order, and the names of its classes.

    Raises:
        UnsafePickleError: it contains what could run code.
        ModelFileError: it is damaged, or no YOLO.
    """
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        raise DetectorError(f"{path.name} is a file of tensors alone; a YOLO comes as .pt or .onnx.")
    file = TorchFile(read_torch_layout(path, container, bound_methods=True))
    content = file.content
    saved = (content.get("ema") or content.get("model")) if isinstance(content, dict) else content
    try:
        model = _node(saved, file.tensor, _DEEPEST)
        layers = model.children["model"].children
        ordered = [layers[str(index)] for index in range(len(layers))]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DetectorError(f"{path.name} holds no YOLO of a known form; export it as .onnx.") from error
    return ordered, class_names(model.attributes.get("names"))


def _node(found: object, tensor: Callable[[TensorRef], Tensor], deepest: int) -> ModuleNode:
    if not isinstance(found, Inert) or not isinstance(found.state, dict) or deepest == 0:
        raise ValueError("no module")
    state = found.state
    parts = {name: state.get(name) for name in ("_modules", "_parameters", "_buffers")}
    children, tensors = {}, {}
    for name, child in _entries(parts["_modules"]):
        if isinstance(child, Inert):
            children[name] = _node(child, tensor, deepest - 1)
    for name, value in (*_entries(parts["_parameters"]), *_entries(parts["_buffers"])):
        if isinstance(value, TensorRef):
            tensors[name] = tensor(value)
    attributes = {key: value for key, value in state.items() if isinstance(key, str) and key not in parts}
    return ModuleNode(children, tensors, attributes)


def _entries(found: object) -> list[tuple[str, object]]:
    entries = list(found.items()) if isinstance(found, dict) else []
    if len(entries) > _MOST_CHILDREN:
        raise ValueError("too many parts")
    return [(key, value) for key, value in entries if isinstance(key, str)]
