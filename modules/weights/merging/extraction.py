"""A LoRA extracted from the difference of two checkpoints, in kohya's layout and as kohya's scripts do it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from modules.families import UNET_PREFIX, Family, family_of
from modules.parameters.merger_request import ExtractRequest
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import SourceOf
from modules.weights.merging.arithmetic import widened
from modules.weights.merging.checkpoints import MergeTarget
from modules.weights.merging.safetensors_writer import PlannedTensor, WriteProgress, write_safetensors
from modules.weights.merging.sources import check_checkpoints, has_transformer
from modules.weights.networks.targets import BEFORE_LAYERS
from modules.weights.original_names import TensorSource
from modules.weights.outline import EmptyModel
from modules.weights.tensor_file import TensorFile, stream_tensors

_TYPES: Final = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Text encoders are left out unless one of their weights differs by more than this.
_DIFFERENT: Final = 0.01
# Parts of the names of linear layers that a transformer's blocks are modulated by.
_MODULATION: Final = ("adaLN", ".norm")
# And of those of text encoders that get factors.
_TEXT_LAYERS: Final = ("self_attn", "mlp", "SelfAttention", "DenseReluDense")
_QUANTILE: Final = 0.99
# Of subspace iteration, which takes twice the vectors that are wanted and a few more, so often.
_OVERSAMPLING: Final = 16
_ITERATIONS: Final = 6
# A decomposition of a matrix costs as much as iterating with this part of its smaller side, or less.
_WORTHWHILE: Final = 3
# The writing's share of the work, for the progress.
_WRITING: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer that gets factors: its name in the file to come, where its weight lies, its shape, and the rank."""

    name: str
    source: TensorSource
    shape: tuple[int, ...]
    rank: int
    text: bool


def extract_lora(
    request: ExtractRequest, tuned: Path, original: Path, target: MergeTarget, watch: WriteProgress
) -> tuple[Path, tuple[str, ...]]:
    """Write the LoRA that turns `original` into `tuned`; returns its file, and sentences about what was left out.

    Raises:
        ModelFileError: a file can't be read, or the two are not of one kind, or the same.
        SaveError: the result can't be written.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(stream_tensors(path)) for path in (tuned, original)]
        check_checkpoints(files)
        family = family_of(files[0].shapes)
        assert family is not None, "a checkpoint is of a family"
        layers = list(_layers(EmptyModel.of(files[0], family), files[0], request))
        texts = _texts_differ([layer for layer in layers if layer.text], files)
        used = [layer for layer in layers if texts or not layer.text]
        tensors = _extracted(used, files, _TYPES[request.save_as], watch)
    if not tensors:
        raise CheckpointError(f"{tuned.name} and {original.name} do not differ in any layer that a LoRA could change.")
    path = target.folder / f"{target.name}.safetensors"
    planned = [_planned(name, tensor) for name, tensor in tensors.items()]
    metadata = _metadata(request, family, target.name)
    write_safetensors(path, planned, metadata, target.token, lambda share: watch(1 - _WRITING + _WRITING * share))
    left_out = not texts and any(layer.text for layer in layers)
    return path, ("The text encoders differ too little to be in the LoRA.",) if left_out else ()


def factors_of(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The factors up (out, r) and down (r, in) of a difference (out, in), float32: its largest singular values.

    r is at most the difference's own. Entries beyond the 0.99 quantile of all, their signs included, are cut off.
    """
    rank = min(rank, *difference.shape)
    left, sizes, right = largest_singular(difference, rank)
    up, down = left * sizes, right
    # torch.quantile takes no more than 16 million numbers.
    bound = float(np.quantile(torch.cat([up.flatten(), down.flatten()]).numpy(), _QUANTILE))
    if bound > 0:
        up, down = up.clamp(-bound, bound), down.clamp(-bound, bound)
    return up, down


def largest_singular(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values (r) of a matrix (out, in), and their vectors: left (out, r) and right (r, in).

    By subspace iteration from fixed random vectors, Halko et al. (2011), arXiv:0909.4061, algorithm 4.4, where that
    saves most of the work: what remains of the matrix is then at most 0.1 % larger than it has to be, as a norm.
    """
    width = 2 * rank + _OVERSAMPLING
    if width * _WORTHWHILE > min(matrix.shape):
        left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, sizes, right = torch.svd_lowrank(matrix, width, niter=_ITERATIONS)
        right = right.T
    return left[:, :rank], sizes[:rank], right[:rank]


def _layers(model: EmptyModel, file: TensorFile, request: ExtractRequest) -> Iterator[_Layer]:
    """The layers in question: attention, with the convolutional blocks if they get a rank, and text encoders."""
    for part, root, source_of in model.parts():
        if part == "unet" and has_transformer(model.family):
            yield from _transformer_layers(root, source_of, file, request)
            continue
        for path, module in root.named_modules():
            if not isinstance(module, nn.Linear | nn.Conv2d):
                continue
            text = part != "unet"
            rank = _text_rank(path, request) if text else _unet_rank(path, module, request)
            if rank:
                source = source_of(f"{path}.weight")
                name = _text_name(model.family, part, path) if text else _unet_name(model.family, path, source)
                yield _Layer(name, source, tuple(module.weight.shape), rank, text)


def _transformer_layers(
    root: nn.Module, source_of: SourceOf, file: TensorFile, request: ExtractRequest
) -> Iterator[_Layer]:
    """The linear layers of its blocks as the file has them, but for what they are modulated by."""
    blocks = tuple(f"{name}." for name, child in root.named_children() if isinstance(child, nn.ModuleList))
    names = [
        source_of(f"{path}.weight").name
        for path, module in root.named_modules()
        if isinstance(module, nn.Linear) and path.startswith(blocks) and not any(part in path for part in _MODULATION)
    ]
    for name in dict.fromkeys(names):
        stem = name.removeprefix(UNET_PREFIX).removesuffix(".weight").replace(".", "_")
        yield _Layer(f"lora_unet_{stem}", TensorSource(name), file.shapes[name], request.rank, text=False)


def _text_rank(path: str, request: ExtractRequest) -> int:
    return request.rank if any(f".{part}." in path for part in _TEXT_LAYERS) else 0


def _unet_rank(path: str, module: nn.Linear | nn.Conv2d, request: ExtractRequest) -> int:
    if ".attentions." in path:
        return request.rank
    if not request.conv_rank or not any(f".{part}." in path for part in ("resnets", "downsamplers", "upsamplers")):
        return 0
    return request.conv_rank if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1) else request.rank


def _unet_name(family: Family, path: str, source: TensorSource) -> str:
    """As kohya's scripts name it: for SDXL by its name in the checkpoint, else by diffusers'."""
    original = source.name.removeprefix(UNET_PREFIX).removesuffix(".weight")
    # Those of SDXL take numbers beside the text.
    return "lora_unet_" + (original if family.added_numbers else path).replace(".", "_")


def _text_name(family: Family, part: str, path: str) -> str:
    facts = family.text_encoders[int(part.rpartition(".")[2])]
    if (before := BEFORE_LAYERS.get(facts.layout)) is not None:
        return f"text_encoders.{facts.role}.transformer.{before}{path}"
    prefix = next(one for one in facts.network_prefixes if one.endswith("_"))
    return f"{prefix}text_model_{path.removeprefix('text_model.')}".replace(".", "_")


def _texts_differ(layers: Sequence[_Layer], files: Sequence[TensorFile]) -> bool:
    return any(float(_difference(layer, files).abs().max()) > _DIFFERENT for layer in layers)


def _extracted(
    layers: Sequence[_Layer], files: Sequence[TensorFile], dtype: torch.dtype, watch: WriteProgress
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    total, done = sum(_work(layer) for layer in layers), 0
    for layer in layers:
        watch((1 - _WRITING) * done / max(1, total))
        difference = _difference(layer, files)
        if bool(difference.any()):
            up, down = factors_of(difference.flatten(1), layer.rank)
            kernel = layer.shape[2:]
            tensors[f"{layer.name}.lora_up.weight"] = up.reshape(*up.shape, *(1 for _ in kernel)).to(dtype)
            tensors[f"{layer.name}.lora_down.weight"] = down.reshape(-1, *layer.shape[1:]).to(dtype)
            tensors[f"{layer.name}.alpha"] = torch.tensor(float(up.shape[1]), dtype=dtype)
        done += _work(layer)
    return tensors


def _work(layer: _Layer) -> int:
    """What a singular value decomposition costs, as far as comparisons need it."""
    rows, columns = layer.shape[0], int(np.prod(layer.shape[1:]))
    return rows * columns * min(rows, columns)


def _difference(layer: _Layer, files: Sequence[TensorFile]) -> Tensor:
    """Tuned - original of one layer, float32 in the layer's shape. Raises CheckpointError where that makes no sense."""
    name = layer.source.name
    for file in files:
        if name not in file.shapes:
            raise CheckpointError(f"{file.path.name} lacks {name}: a complete checkpoint is needed.")
    tuned, original = files
    if tuned.shapes[name] != original.shapes[name]:
        raise CheckpointError(f"{name} has another shape in {tuned.path.name} than in {original.path.name}.")
    both = [layer.source.taken_from(widened(file.tensor(name))) for file in files]
    difference = (both[0] - both[1]).float()
    if not bool(difference.isfinite().all()):
        raise CheckpointError(f"{name} holds NaN or infinity in {tuned.path.name} or {original.path.name}.")
    return difference.reshape(layer.shape)


def _planned(name: str, tensor: Tensor) -> PlannedTensor:
    return PlannedTensor(name, tuple(tensor.shape), tensor.dtype, lambda: tensor)


def _metadata(request: ExtractRequest, family: Family, name: str) -> Mapping[str, str]:
    """What kohya's scripts write about a network, as far as an extraction knows it."""
    arguments = {"conv_dim": request.conv_rank, "conv_alpha": request.conv_rank} if request.conv_rank else {}
    return {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(request.rank),
        "ss_network_alpha": str(float(request.rank)),
        "ss_network_args": json.dumps(arguments),
        "ss_base_model_version": family.base_model_version,
        "ss_v2": str(family.base_model_version.startswith("sd_v2")),
        "ss_output_name": name,
        "ss_sd_model_name": request.original,
        "ss_training_comment": f"extracted from {request.tuned}",
    }
