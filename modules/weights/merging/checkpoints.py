"""Checkpoints merged into a new file, tensor by tensor: of the sources no more than one tensor each is in memory.

Behaviour reproduced: A1111 v1.10.1, except that all is computed in float32, that "Save as float16" turns every
floating-point tensor of the model and not only those that were merged and held float32, that a VAE is also put into a
checkpoint that has none, and that no file is written over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import VAE_PREFIX, Family, family_of
from modules.files import SaveError, write_atomic
from modules.parameters.merger_request import ADD_DIFFERENCE, NO_INTERPOLATION, MergeRequest
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.arithmetic import (
    add_difference,
    common_type,
    last_block,
    tensor_weight,
    weighted_sum,
    widened,
)
from modules.weights.merging.loras import LoraMerger, LoraToMerge, lora_merger
from modules.weights.merging.recipe import merged_metadata
from modules.weights.merging.safetensors_writer import PlannedTensor, WriteProgress, write_safetensors
from modules.weights.merging.sources import (
    SourceModel,
    check_checkpoints,
    has_transformer,
    merged_channels,
    names_of_model,
    wide_suffix,
)
from modules.weights.tensor_file import TensorFile, stream_tensors

_SKIPPED: Final = "position_ids"
_Named = Callable[[str], bool]
_PRECISIONS: Final = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class MergeTarget:
    """Where the result goes: `name` is its file's without suffix; `token` names its temporary file."""

    folder: Path
    name: str
    token: str


def merge_checkpoints(
    request: MergeRequest,
    sources: Sequence[SourceModel],
    vae: Path | None,
    target: MergeTarget,
    watch: WriteProgress,
    loras: Sequence[LoraToMerge] = (),
) -> tuple[Path, tuple[str, ...]]:
    """Write the merged checkpoint and its config; returns the file, and sentences about what was left out.

    Args:
        sources: A, B and C, as many as the method uses.
        vae: the file of the VAE that is put into the result.
        loras: merged into the result, in this order.

    Raises:
        ModelFileError: a file can't be read, or the files can't be merged.
        SaveError: the result can't be written, or a file of its name is there.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(stream_tensors(source.path)) for source in sources]
        check_checkpoints(files)
        family = family_of(files[0].shapes)
        assert family is not None, "a checkpoint is of a family"
        _check_parts(request, files[0], family, vae)
        merger = lora_merger(files[0], loras) if loras else None
        of_model = names_of_model(family)
        tensors = _Plan(request, files, merger, of_model).tensors
        if vae is not None:
            tensors |= _baked_vae(files[0], stack.enter_context(stream_tensors(vae)), request)
        left = [tensor for name, tensor in tensors.items() if not _discarded(name, request)]
        if not left:
            raise CheckpointError(f"Nothing is left to save: {request.discard_weights!r} is found in every tensor.")
        suffix = wide_suffix(files) if request.interp_method != NO_INTERPOLATION else ""
        path = target.folder / f"{target.name}{suffix}.safetensors"
        metadata = merged_metadata(request, sources, [file.metadata for file in files], suffix)
        write_safetensors(path, left, metadata, target.token, watch)
        notices = _left_out(files, of_model)
        if merger is not None:
            notices += merger.notices()
    return path, (*notices, *_copy_config(request, sources, path))


class _Plan:
    """The tensors of the result by name, before a VAE is put into it."""

    def __init__(
        self, request: MergeRequest, files: Sequence[TensorFile], loras: LoraMerger | None, of_model: _Named
    ) -> None:
        """`of_model` says of a name whether the tensor is the model's."""
        self._request = request
        self._of_model = of_model
        self._files = files
        self._loras = loras
        self._last_block = last_block(files[0].shapes)
        self.tensors = {name: self._planned(name) for name in files[0].shapes}

    def _planned(self, name: str) -> PlannedTensor:
        used = self._sources(name)
        common = common_type([_type_in(file, name) for file in used])
        dtype = stored_type(common, self._request) if self._of_model(name) else common

        def compute() -> Tensor:
            merged, loras = self._merged(name, used), self._loras
            return merged if loras is None or name not in loras.changes else loras.into(name, merged, self._of_files)

        return PlannedTensor(name, self._files[0].shapes[name], dtype, compute)

    def _of_files(self, name: str) -> Tensor:
        """A tensor without networks, in memory of its own."""
        return self._merged(name, self._sources(name)).clone()

    def _sources(self, name: str) -> list[TensorFile]:
        """The files that have a say in a tensor; one alone stands for A's as it is."""
        a, *others = self._files
        merged = [
            file for file in others if self._of_model(name) and not name.endswith(_SKIPPED) and name in file.shapes
        ]
        if len(merged) < len(others) or not all(_type_in(file, name).is_floating_point for file in (a, *merged)):
            return [a]
        for file in merged:
            merged_channels(name, a, file)
        if len(merged) == 2 and merged[0].shapes[name] != merged[1].shapes[name]:
            merged_channels(name, merged[0], merged[1])
            raise CheckpointError(
                f"{merged[0].path.name} and {merged[1].path.name} take different numbers of channels: "
                "B and C have to be of one kind, whose difference is added to A."
            )
        return [a, *merged]

    def _merged(self, name: str, used: Sequence[TensorFile]) -> Tensor:
        if len(used) == 1:
            return used[0].tensor(name)
        # Widened one by one, so that no two are in memory in both forms.
        values = [widened(file.tensor(name)) for file in used]
        weight = tensor_weight(name, self._request.weights, self._request.multiplier, self._last_block)
        if self._request.interp_method == ADD_DIFFERENCE:
            return add_difference(values[0], values[1], values[2], weight)
        return weighted_sum(values[0], values[1], weight)


def _check_parts(request: MergeRequest, a: TensorFile, family: Family, vae: Path | None) -> None:
    """Refuse what only checkpoints with a UNet have the places for. Raises CheckpointError."""
    if not has_transformer(family):
        return
    if request.weights and request.interp_method != NO_INTERPOLATION:
        raise CheckpointError(
            f"{a.path.name} is {family.label}, which has none of the blocks that weights by block are for: "
            "leave them empty."
        )
    if vae is not None:
        raise CheckpointError(
            f"{a.path.name} is {family.label}, whose VAE is a file of its own: choose it beside the checkpoint instead "
            "of baking it in."
        )


def stored_type(dtype: torch.dtype, request: MergeRequest) -> torch.dtype:
    """The type that a tensor of the model is stored in; what is no floating-point number stays as it is."""
    wanted = _PRECISIONS.get(request.save_as)
    return wanted if wanted is not None and dtype.is_floating_point else dtype


def _type_in(file: TensorFile, name: str) -> torch.dtype:
    dtype = file.dtypes.get(name)
    if dtype is None:
        raise CheckpointError(f"{file.path.name} holds numbers of a type that PyTorch lacks, first in {name}.")
    return dtype


def _baked_vae(a: TensorFile, vae: TensorFile, request: MergeRequest) -> dict[str, PlannedTensor]:
    """The tensors of a VAE in the places that they have in a checkpoint."""
    kind = classify_tensors(vae.shapes)
    if kind not in (ModelKind.VAE, ModelKind.CHECKPOINT):
        raise CheckpointError(f"{vae.path.name} is not a VAE but {kind.value}.")
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in vae.shapes) else ""
    own = [name for name in a.shapes if name.startswith(VAE_PREFIX)]
    baked = {}
    for name, shape in vae.below(prefix).items():
        place = VAE_PREFIX + name
        if place in a.shapes and a.shapes[place] != shape:
            raise CheckpointError(
                f"{vae.path.name} doesn't fit {a.path.name}: {place} has the shape {list(shape)} "
                f"instead of {list(a.shapes[place])}."
            )
        if place in a.shapes or (not own and name.startswith(("encoder.", "decoder.", "quant_", "post_quant_"))):
            dtype = stored_type(_type_in(vae, prefix + name), request)
            baked[place] = PlannedTensor(place, shape, dtype, _reading(vae, prefix + name))
    if not baked:
        raise CheckpointError(f"{vae.path.name} has no tensor that {a.path.name} has a place for.")
    return baked


def _reading(file: TensorFile, name: str) -> Callable[[], Tensor]:
    return lambda: file.tensor(name)


def _discarded(name: str, request: MergeRequest) -> bool:
    return bool(request.discard_weights) and re.search(request.discard_weights, name) is not None


def _left_out(files: Sequence[TensorFile], of_model: _Named) -> tuple[str, ...]:
    a, *others = files
    notices = []
    for file in others[:1]:
        alone = [name for name in file.shapes if name not in a.shapes and of_model(name) and _SKIPPED not in name]
        if alone:
            of = f"{file.path.name}'s tensors that {a.path.name} lacks"
            notices.append(f"Left out: {len(alone)} of {of}, first {alone[0]}.")
    return tuple(notices)


def _copy_config(request: MergeRequest, sources: Sequence[SourceModel], result: Path) -> tuple[str, ...]:
    """Copy the `.yaml` of the first of the sources in question that has one; returns what went wrong as a sentence."""
    chosen = (sources, sources[1:2], sources[2:3], ())[request.config_source]
    config = next((file for file in (source.path.with_suffix(".yaml") for source in chosen) if file.is_file()), None)
    place = result.with_suffix(".yaml")
    if config is None:
        return ()
    try:
        write_atomic(place, config.read_bytes())
    except FileExistsError:
        return (f"{config.name} was not copied: {place.name} is there already.",)
    except SaveError as error:
        return (str(error),)
    except OSError as error:
        return (f"{config.name} was not copied: it can't be read ({error.strerror or error}).",)
    return ()
