"""LoRAs and their relatives merged into a checkpoint's tensors, found by the modules that the tensors belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor

from modules.families import family_of
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.networks.reading import Network, read_network
from modules.weights.networks.targets import RowShare, Target, joined_targets, network_targets
from modules.weights.networks.updates import RowsOf, WeightUpdate
from modules.weights.original_names import TensorSource
from modules.weights.outline import EmptyModel
from modules.weights.tensor_file import TensorFile


@dataclass(frozen=True, slots=True)
class LoraToMerge:
    """A network file with its multipliers: of what it changes in the UNet, and in text encoders."""

    path: Path
    unet: float
    text: float


@dataclass(frozen=True, slots=True, eq=False)
class _TensorChange:
    """What one layer of a network does to a parameter that lies somewhere in a tensor of the file."""

    network: Network
    layer: str
    source: TensorSource
    update: WeightUpdate | Tensor
    multiplier: float
    shares: tuple[TensorSource, ...] = ()
    """Where all parts of a layer's rows lie, of which this changes one."""

    def is_of_the_layer(self, other: _TensorChange) -> bool:
        return self.network is other.network and self.layer == other.layer


@dataclass(slots=True)
class LoraMerger:
    """Networks by the tensors of one checkpoint that they change."""

    changes: Mapping[str, Sequence[_TensorChange]]
    missing: Mapping[Path, int]
    """Of each network the layers that the checkpoint has no place for."""
    _misshapen: dict[Path, int] = field(default_factory=lambda: defaultdict(int))

    def into(self, name: str, values: Tensor, without: Callable[[str], Tensor]) -> Tensor:
        """The tensor `name` with the networks, float32, computed in its own memory if it is that already.

        What doesn't fit is left out and counted. `without` gives any tensor of the result without networks.
        """
        changed = values.float()
        for change in self.changes.get(name, ()):
            try:
                self._apply(change, changed, without)
            except RuntimeError:
                self._misshapen[change.network.path] += 1
        return changed

    def _apply(self, change: _TensorChange, tensor: Tensor, without: Callable[[str], Tensor]) -> None:
        parameter, update = change.source.taken_from(tensor), change.update
        if isinstance(update, Tensor):
            parameter.add_(update.float().view_as(parameter), alpha=change.multiplier)
        else:
            if isinstance(update, RowsOf):
                update = replace(update, all_parts=partial(self._parts_before, change, without))
            update.merge_into(parameter, change.multiplier)
        change.source.put_back(parameter, tensor)

    def _parts_before(self, change: _TensorChange, without: Callable[[str], Tensor]) -> list[Tensor]:
        """All parts of the rows that a layer changes, with what networks before it make of them, float32."""
        parts = []
        for source in change.shares:
            values = without(source.name).float()
            for earlier in takewhile(lambda one: not one.is_of_the_layer(change), self.changes[source.name]):
                # What doesn't fit there is counted where that tensor is made.
                with suppress(RuntimeError):
                    self._apply(earlier, values, without)
            parts.append(source.taken_from(values))
        return parts

    def notices(self) -> tuple[str, ...]:
        """What of the networks was not merged, once everything is."""
        lacking = [
            f"{path.name}: {count} of its layers are for parts that this checkpoint lacks, and were left out."
            for path, count in self.missing.items()
            if count
        ]
        odd = [
            f"{path.name}: {count} of its tensors don't fit this checkpoint, and were left out."
            for path, count in self._misshapen.items()
        ]
        return (*lacking, *odd)


def lora_merger(file: TensorFile, loras: Sequence[LoraToMerge]) -> LoraMerger:
    """Read the networks, and find where in the checkpoint `file` each of their layers belongs.

    Raises:
        ModelFileError: a network can't be read, or has nothing that the checkpoint has a place for.
    """
    family = family_of(file.shapes)
    assert family is not None, "a checkpoint is of a family"
    model = EmptyModel.of(file, family)
    targets = network_targets(model)
    joined = joined_targets(model, targets)
    changes: dict[str, list[_TensorChange]] = defaultdict(list)
    missing: dict[Path, int] = {}
    for lora in loras:
        network = read_network(lora.path)
        found = {layer: targets[layer] for layer in network.layers if layer in targets}
        of_rows = {layer: joined[layer] for layer in network.layers if layer in joined}
        if not found and not of_rows:
            made_for = f": it is for {network.base}" if network.base else ""
            raise CheckpointError(f"No layer of {lora.path.name} belongs to anything in {file.path.name}{made_for}.")
        missing[lora.path] = len(network.layers) - len(found.keys() | of_rows.keys())
        for layer, target in found.items():
            for change in _changes(model, network, layer, target, lora.text if target.text_encoder else lora.unet):
                changes[change.source.name].append(change)
        for layer, shares in of_rows.items():
            for change in _changes_of_rows(model, network, layer, shares, lora.unet):
                changes[change.source.name].append(change)
    return LoraMerger(changes, missing)


def _changes(model: EmptyModel, network: Network, layer: str, target: Target, multiplier: float) -> list[_TensorChange]:
    held = network.layers[layer]
    updates: tuple[tuple[str, WeightUpdate | Tensor | None], ...] = ("weight", held.weight), ("bias", held.bias)
    return [
        _TensorChange(network, layer, model.source(f"{target.path}.{part}"), update, multiplier)
        for part, update in updates
        if update is not None and isinstance(getattr(target.module, part, None), torch.nn.Parameter)
    ]


def _changes_of_rows(
    model: EmptyModel, network: Network, layer: str, shares: Sequence[RowShare], multiplier: float
) -> list[_TensorChange]:
    """Of the tensor that holds all rows, or of those that hold a share each."""
    update = network.layers[layer].weight
    if update is None:
        return []
    sources = [model.source(f"{share.target.path}.weight") for share in shares]
    pairs = list(zip(sources, shares, strict=True))
    if all((source.part, source.swapped) == ((share.index, share.count), share.swapped) for source, share in pairs):
        return [_TensorChange(network, layer, TensorSource(sources[0].name), update, multiplier)]
    return [
        _TensorChange(
            network, layer, source, RowsOf(update, share.index, share.count, share.swapped), multiplier, tuple(sources)
        )
        for source, share in pairs
    ]
