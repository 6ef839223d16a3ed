"""LoRAs and their relatives merged into a checkpoint's tensors, found by the modules that the tensors belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor

from modules.families import family_of
from modules.hardware.out_of_memory import is_out_of_memory
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.sources import check_unscaled
from modules.weights.networks.reading import Network, read_network
from modules.weights.networks.targets import RowShare, Target, joined_targets, network_targets
from modules.weights.networks.updates import RowsOf, WeightUpdate, misfit
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

    @property
    def needs_all_rows(self) -> bool:
        """Whether it is made of all parts of the layer's rows, not only of that which it changes."""
        return isinstance(self.update, RowsOf) and self.update.update.mixes_rows

    def into(self, tensor: Tensor, all_parts: Callable[[], Sequence[Tensor]]) -> None:
        """Change a tensor of the file, float32, whose layer's parts are `all_parts` before. Raises RuntimeError where
        shapes don't fit.
        """
        parameter, update = self.source.taken_from(tensor), self.update
        if isinstance(update, Tensor):
            parameter.add_(update.float().view_as(parameter), alpha=self.multiplier)
        else:
            if isinstance(update, RowsOf):
                update = replace(update, all_parts=all_parts)
            update.merge_into(parameter, self.multiplier)
        self.source.put_back(parameter, tensor)

    def misfit(self, tensor: Tensor) -> str:
        """Why it doesn't fit a tensor of the file, as a part of a sentence."""
        update = self.update.update if isinstance(self.update, RowsOf) else self.update
        return misfit(self.layer, update, self.source.taken_from(tensor).shape)


@dataclass(slots=True)
class LoraMerger:
    """Networks by the tensors of one checkpoint that they change."""

    changes: Mapping[str, Sequence[_TensorChange]]
    missing: Mapping[Path, int]
    """Of each network the layers that the checkpoint has no place for."""
    _misshapen: dict[Path, list[str]] = field(default_factory=lambda: defaultdict(list))

    def into(self, name: str, values: Tensor, without: Callable[[str], Tensor]) -> Tensor:
        """The tensor `name` with the networks, float32, computed in its own memory if it is that already.

        What doesn't fit is left out and counted. `without` gives any tensor of the result without networks.
        """
        changed = values.float()
        for change in self.changes.get(name, ()):
            if not _fits(change, changed, partial(self._parts_before, change, without)):
                self._misshapen[change.network.path].append(change.misfit(changed))
        return changed

    def _parts_before(self, wanted: _TensorChange, without: Callable[[str], Tensor]) -> list[Tensor]:
        """All parts of the rows that a layer changes, with what networks before it make of them, float32.

        Those are in one order for all parts, and what needs all rows changes all parts at once: each is made once.
        """
        # What doesn't fit is counted where its tensor is made.
        tensors = [without(source.name).float() for source in wanted.shares]
        queues = [
            list(takewhile(lambda one: not one.is_of_the_layer(wanted), self.changes[source.name]))
            for source in wanted.shares
        ]
        while any(queues):
            for tensor, queue in zip(tensors, queues, strict=True):
                while queue and not queue[0].needs_all_rows:
                    _fits(queue.pop(0), tensor, list)
            parts = [source.taken_from(tensor).clone() for source, tensor in zip(wanted.shares, tensors, strict=True)]
            for tensor, queue in zip(tensors, queues, strict=True):
                if queue:
                    _fits(queue.pop(0), tensor, partial(list, parts))
        return [source.taken_from(tensor) for source, tensor in zip(wanted.shares, tensors, strict=True)]

    def notices(self) -> tuple[str, ...]:
        """What of the networks was not merged, once everything is."""
        lacking = [
            f"{path.name}: {count} of its layers are for parts that this checkpoint lacks, and were left out."
            for path, count in self.missing.items()
            if count
        ]
        odd = [
            f"{path.name}: {len(odd)} of its tensors don't fit this checkpoint, and were left out; the first, {odd[0]}."
            for path, odd in self._misshapen.items()
        ]
        return (*lacking, *odd)


def _fits(change: _TensorChange, tensor: Tensor, all_parts: Callable[[], Sequence[Tensor]]) -> bool:
    """Change a tensor, if it has the shape for that."""
    try:
        change.into(tensor, all_parts)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return False
    return True


def lora_merger(file: TensorFile, loras: Sequence[LoraToMerge]) -> LoraMerger:
    """Read the networks, and find where in the checkpoint `file` each of their layers belongs.

    Raises:
        ModelFileError: a network can't be read, or has nothing that the checkpoint has a place and the shape for.
    """
    family = family_of(file.shapes)
    assert family is not None, "a checkpoint is of a family"
    check_unscaled(file)
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
        own: list[_TensorChange] = []
        for layer, target in found.items():
            own += _changes(model, network, layer, target, lora.text if target.text_encoder else lora.unet)
        for layer, shares in of_rows.items():
            own += _changes_of_rows(model, network, layer, shares, lora.unet)
        _check_that_one_fits(file, own, lora.path)
        for change in own:
            changes[change.source.name].append(change)
    return LoraMerger(changes, missing)


def _check_that_one_fits(file: TensorFile, changes: Sequence[_TensorChange], lora: Path) -> None:
    """Try changes on zeros until one fits. Raises CheckpointError where none does."""

    def zeros(source: TensorSource) -> Tensor:
        return torch.zeros(file.shapes[source.name])

    def parts(of: _TensorChange) -> list[Tensor]:
        return [source.taken_from(zeros(source)) for source in of.shares]

    if changes and not any(_fits(change, zeros(change.source), partial(parts, change)) for change in changes):
        why = changes[0].misfit(zeros(changes[0].source))
        raise CheckpointError(
            f"No layer of {lora.name} has the shape of anything in {file.path.name}; the first, {why}."
        )


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
    update, bias = network.layers[layer].weight, network.layers[layer].bias
    on_biases = [
        _TensorChange(network, layer, model.source(f"{share.target.path}.bias"), share.of_bias(bias), multiplier)
        for share in shares
        if isinstance(bias, Tensor) and share.target.module.bias is not None
    ]
    if update is None:
        return on_biases
    sources = [model.source(f"{share.target.path}.weight") for share in shares]
    pairs = list(zip(sources, shares, strict=True))
    if all(
        (source.part, source.swapped, source.span) == ((share.index, share.count), share.swapped, share.span)
        for source, share in pairs
    ):
        return [_TensorChange(network, layer, TensorSource(sources[0].name), update, multiplier), *on_biases]
    return on_biases + [
        _TensorChange(
            network,
            layer,
            source,
            RowsOf(update, share.index, share.count, share.swapped, span=share.span),
            multiplier,
            tuple(sources),
        )
        for source, share in pairs
    ]
