"""Filling a module with tensors from a file: no random initialisation, nothing missing, nothing left on meta."""

from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar

import torch
from torch import nn

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.empty_weights import empty_weights
from modules.weights.original_names import TensorSource
from modules.weights.tensor_file import TensorFile
from modules.weights.weight_buffer import WeightBuffer

M = TypeVar("M", bound=nn.Module)
# How many batches a normalisation was trained on, which plays no part in what it does.
_COUNT: Final = "num_batches_tracked"
# Where a module's parameter, by its name, is found in a file.
SourceOf = Callable[[str], TensorSource]


def build_module(
    make: Callable[[], M],
    file: TensorFile,
    source_of: SourceOf,
    *,
    part: str,
    dtype: torch.dtype,
    device: torch.device,
    channels_last: bool = False,
) -> M:
    """Make a module with the weights of `file`, frozen and in evaluation mode.

    The weights are copies: the file may be replaced while the model lives. Buffers that belong to a module's state are
    weights too, in their own number type.

    Args:
        make: constructs the module; called where parameters cost nothing, while buffers stay real (a buffer on the
            meta device would be read as garbage without any error).
        source_of: maps a parameter's name to its place in the file, prefix included.
        part: what the module is called in errors, such as "UNet".

    Raises:
        CheckpointError: tensors are missing or of another shape; the sentence names the first ones.
    """
    with empty_weights():
        module = make()
    parameters = dict(module.named_parameters())
    stored = {name: value for name, value in module.state_dict().items() if _is_stored(name, parameters)}
    wanted = {name: source_of(name) for name in (*parameters, *stored)}
    _check_present(wanted, file, part)
    weights = WeightBuffer([value.shape for value in parameters.values()], dtype, device, channels_last=channels_last)
    loaded = {
        name: weights.take(
            as_parameter(wanted[name].taken_from(file.tensor(wanted[name].name)), value, wanted[name], part)
        )
        for name, value in parameters.items()
    }
    for name, value in stored.items():
        found = wanted[name].taken_from(file.tensor(wanted[name].name))
        loaded[name] = as_parameter(found, value, wanted[name], part).to(value.dtype, copy=True)
    module.load_state_dict(loaded, strict=False, assign=True)
    for _, buffer in module.named_buffers():
        buffer.data = buffer.data.to(device)
    return module.eval().requires_grad_(False)


def _is_stored(name: str, parameters: Collection[str]) -> bool:
    """Whether an entry of a module's state is a buffer that its answers depend on, no count of training's batches."""
    return name not in parameters and not name.endswith(_COUNT)


# What a network's size is read from shapes with fails so where they aren't those of that network.
_MISFITS: Final = (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError, RuntimeError)


class MisfitError(ValueError):
    """Tensors are not those of a network, or not all of them."""


def published_net(
    make: Callable[[Shapes], M], rename: Callable[[], Mapping[str, torch.Tensor]], device: torch.device
) -> M:
    """A published network in 32 bits on `device`, frozen and in evaluation mode, with copies of its tensors.

    `rename` gives these under the network's names; `make` gets their shapes, and makes the network where parameters
    cost nothing. Raises MisfitError.
    """
    try:
        tensors = rename()
        with empty_weights():
            net = make({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    except _MISFITS as error:
        raise MisfitError(str(error)) from error
    wanted = {name: value for name, value in net.state_dict().items() if not name.endswith(_COUNT)}
    if any(name not in tensors or tensors[name].shape != value.shape for name, value in wanted.items()):
        raise MisfitError("some of its tensors are absent or of another shape")
    # Copies: the tensors may be windows into the file.
    state = {name: tensors[name].to(torch.float32, copy=True) for name in wanted}
    net.load_state_dict(state, strict=False, assign=True)
    return net.to(device).eval().requires_grad_(False)


def _check_present(wanted: dict[str, TensorSource], file: TensorFile, part: str) -> None:
    missing = [source.name for source in wanted.values() if source.name not in file.shapes]
    if missing:
        raise CheckpointError(
            f"{file.path.name} lacks {len(missing)} of the {len(wanted)} tensors of its {part}, first {missing[0]}: "
            "the file is incomplete; fetch it again or choose another."
        )


def as_parameter(tensor: torch.Tensor, parameter: torch.Tensor, source: TensorSource, part: str) -> torch.Tensor:
    """The file's tensor in the parameter's shape: the original VAE's attention is made of 1×1 convolutions."""
    if tensor.ndim > parameter.ndim and tensor.shape[parameter.ndim :].numel() == 1:
        tensor = tensor.reshape(tensor.shape[: parameter.ndim])
    if tensor.shape != parameter.shape:
        raise CheckpointError(
            f"The {part}'s {source.name} has the shape {list(tensor.shape)} where the rest of the file calls for "
            f"{list(parameter.shape)}: the file mixes parts of different models."
        )
    return tensor
