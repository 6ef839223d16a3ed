"""The shapes of the tensors in a file of any form, read from its head."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modules.catalogue.hypernetwork_files import hypernetwork_widths
from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_header
from modules.catalogue.torch_layout import TorchLayout, read_torch_layout
from modules.catalogue.unpickle import TensorRef
from modules.files import is_text

# Under which names training writes the weights beside what else it keeps; those that are used come first.
_WEIGHTS: Final = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict", "model", "depth_model")
# The dictionaries inside an IP-Adapter's dictionary; in safetensors they begin the names.
_PARTS: Final = ("image_proj", "ip_adapter")
# The shape of each tensor, by its name in the file.
Shapes = Mapping[str, tuple[int, ...]]


def read_tensor_shapes(path: Path) -> tuple[Shapes, Mapping[str, str]]:
    """Shapes by the tensors' names, and the metadata, which pickles have none of.

    Raises:
        ModelFileError: the file is malformed, unsafe, or no file of tensors.
        OSError: it can't be read.
    """
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        header = read_safetensors_header(path)
        return header.shapes, header.metadata
    tensors = weights_in(read_torch_layout(path, container))
    return {name: ref.shape for name, ref in (tensors or {}).items()}, {}


def weights_in(layout: TorchLayout) -> dict[str, TensorRef] | None:
    """The tensors in a PyTorch file: of the dictionary that training calls its weights, else of the one at the top.

    Returns:
        The tensors by name; None if the file holds no dictionary.

    Raises:
        ModelFileError: the name of one is no text.
    """
    content = layout.content
    if isinstance(content, dict):
        content = next((content[key] for key in _WEIGHTS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict):
        return None
    for part in _PARTS:
        if isinstance(inside := content.get(part), dict):
            content = content | {f"{part}.{name}": ref for name, ref in inside.items() if isinstance(name, str)}
    content = content | {
        f"{width}.{side}.{name}": ref
        for width in hypernetwork_widths(content)
        if isinstance(pair := content[width], tuple)
        for side, net in enumerate(pair)
        if isinstance(net, dict)
        for name, ref in net.items()
    }
    found = {name: ref for name, ref in content.items() if isinstance(name, str) and isinstance(ref, TensorRef)}
    if not is_text("".join(found)):
        raise ModelFileError(f"{layout.path.name} is damaged: the name of a tensor is no text; fetch it again.")
    return found
