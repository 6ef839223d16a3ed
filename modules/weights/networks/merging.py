"""Networks merged into a loaded model's weights, and taken out of them again bit for bit.

Merged in float32 from the original weight and rounded once; taken out by copying the original back, never by
subtracting. What can't be merged is applied while the model computes: weights that are stored in 8 bits, whose rounding
would swallow most of a network, and biases of layers that have none. Behaviour reproduced: A1111 v1.10.1, but that it
rounds after each network.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from modules.files import FileState, found_file
from modules.hardware.compiling import run_plain
from modules.hardware.out_of_memory import is_out_of_memory
from modules.prompt.block_weights import BlockWeights
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.model import Model
from modules.weights.networks.changes import Change, ChangedPart, ChangeOrigin, LiveLayer
from modules.weights.networks.reading import Network
from modules.weights.networks.targets import RowShare, Target, joined_targets, network_targets
from modules.weights.networks.updates import Layer, RowsOf, WeightUpdate, misfit
from modules.weights.originals import original_parameters

# Weights of these types are too coarse to hold what a network adds.
_COARSE: Final = (torch.float8_e4m3fn, torch.float8_e5m2)


@dataclass(frozen=True, slots=True, eq=False)
class AppliedNetwork:
    """A network with its multipliers: of what it changes in text encoders, and in the UNet. `dyn` cuts its ranks.
    `blocks` multiply it in single blocks.

    `key` says which state of which file it is: equal keys are the same network.
    """

    key: Hashable
    network: Network
    text: float = 1.0
    unet: float = 1.0
    dyn: int | None = None
    blocks: BlockWeights = ()

    @property
    def of_texts(self) -> Hashable:
        """What encodings made with it depend on."""
        return self.key, self.text, self.dyn, self.blocks


@dataclass(slots=True)
class Fit:
    """How many of a network's layers a model has, lacks, and has in another shape; the first of these in words."""

    found: int = 0
    missing: int = 0
    misshapen: int = 0
    first_misshapen: str = ""


@dataclass(slots=True, eq=False)
class _Merged:
    """A parameter that holds networks, and what was merged into it.

    Its original is in main memory; None if there was no room for it, and the checkpoint's file has to be read again.
    """

    parameter: nn.Parameter
    original: Tensor | None
    holds: tuple[Hashable, ...] = ()


# The changes of each parameter, in the order of the networks.
_Changes = dict[tuple[Target, ChangedPart], list[Change]]


@dataclass(slots=True)
class NetworkMerger:
    """Applies networks to one model. Weights are changed in place: recorded steps and pinned copies stay valid.

    `device` is where products are computed, whatever part of the model lies there. `make_room` is called with the bytes
    of main memory that originals will take, and says whether they are there. `state` is that of the checkpoint's file
    when it was read, None if it doesn't matter.
    """

    model: Model
    device: torch.device
    make_room: Callable[[int], bool] = lambda needed: True
    state: FileState | None = None
    _targets: dict[str, Target] | None = None
    _joined: dict[str, tuple[RowShare, ...]] = field(default_factory=dict)
    _merged: dict[tuple[Target, ChangedPart], _Merged] = field(default_factory=dict)
    _live: _Changes = field(default_factory=dict)
    _misshapen: set[ChangeOrigin] = field(default_factory=set)
    _tried: set[ChangeOrigin] = field(default_factory=set)
    _applied: tuple[AppliedNetwork, ...] = ()
    _known: dict[int, list[Tensor]] | None = None
    """While one parameter is made: what others are made of, where several networks ask for the same."""

    @property
    def applied(self) -> tuple[AppliedNetwork, ...]:
        """The networks that the weights hold."""
        return self._applied

    @property
    def saved_bytes(self) -> int:
        """What the originals of changed weights take of main memory."""
        return sum(one.original.nbytes for one in self._merged.values() if one.original is not None)

    @property
    def blocks(self) -> frozenset[str]:
        """The blocks that the model's layers are in, as lists of block weights name them."""
        return frozenset(target.block for target in self._table().values() if target.block)

    def apply(self, networks: Sequence[AppliedNetwork], *, while_computing: bool = False) -> None:
        """Have the weights hold exactly these networks; only what is not so already is computed.

        With `while_computing` nothing is merged: `computing` applies them at each forward. If anything goes wrong, all
        weights are as they were before any network.
        """
        keys = {one.key for one in networks}
        self._misshapen = {origin for origin in self._misshapen if origin[0] in keys}
        self._tried = {origin for origin in self._tried if origin[0] in keys}
        merged, live = self._sorted(networks, while_computing=while_computing)
        try:
            self._restore([place for place in self._merged if place not in merged])
            self._save_originals(merged)
            self._merge(merged)
            self._try(live)
        except BaseException:
            self.restore()
            raise
        self._live = live
        self._applied = tuple(networks)

    def restore(self) -> None:
        """Take every network out of the weights.

        Raises ModelFileError where originals have to be read again and the file is gone; then nothing can be made with
        the model.
        """
        self._restore(list(self._merged))
        self._live = {}
        self._applied = ()

    def _restore(self, places: Sequence[tuple[Target, ChangedPart]]) -> None:
        unsaved = {f"{target.path}.{part}": (target, part) for target, part in places if not self._saved(target, part)}
        for place in places:
            if (original := self._merged[place].original) is not None:
                self._merged.pop(place).parameter.data.copy_(original)
        # One that holds nothing yet is as it was.
        if names := [name for name, place in unsaved.items() if self._merged[place].holds]:
            self._check_file()
            for name, values in original_parameters(self.model, names):
                self._merged[unsaved[name]].parameter.data.copy_(values)
        for place in unsaved.values():
            del self._merged[place]

    def _check_file(self) -> None:
        found = found_file(self.model.path)
        if self.state is not None and (found is None or found.state != self.state):
            raise CheckpointError(
                f"{self.model.path.name} has been replaced while a network was merged into it: start the job again."
            )

    def _saved(self, target: Target, part: ChangedPart) -> bool:
        return self._merged[target, part].original is not None

    def fit(self, applied: AppliedNetwork) -> Fit:
        """How the network fits the model. Layers that it doesn't change now, as before its first step, are tried."""
        waiting: _Changes = {}
        for place, change in self._changes([applied]):
            if change.origin not in self._tried:
                waiting.setdefault(place, []).append(change)
        self._try(waiting)
        fit, misshapen = Fit(), {(key, layer): part for key, layer, part in self._misshapen}
        for layer in applied.network.layers:
            if layer not in self._table() and layer not in self._joined:
                fit.missing += 1
            elif (part := misshapen.get((applied.key, layer))) is not None:
                fit.misshapen += 1
                fit.first_misshapen = fit.first_misshapen or self._misfit(applied.network, layer, part)
            else:
                fit.found += 1
        return fit

    def _misfit(self, network: Network, layer: str, part: ChangedPart) -> str:
        update = getattr(network.layers[layer], part)
        if layer in self._table():
            return misfit(layer, update, _parameter_shape(self._table()[layer].module, part))
        first = self._joined[layer][0]
        rows, *others = _parameter_shape(first.target.module, part)
        return misfit(layer, update, [rows * first.count, *others])

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While open, forwards of the model apply what could not be merged."""
        if not self._live:
            yield
            return
        with ExitStack() as stack:
            # Compiled code would not see the hooks.
            stack.enter_context(run_plain(self.model.unet.modules()))
            by_target: dict[Target, dict[ChangedPart, list[Change]]] = {}
            for (target, part), changes in self._live.items():
                by_target.setdefault(target, {})[part] = changes
            for target, parts in by_target.items():
                for handle in LiveLayer(target.module, parts.get("weight", []), parts.get("bias", [])).hook():
                    stack.callback(handle.remove)
            yield

    def _table(self) -> dict[str, Target]:
        if self._targets is None:
            self._targets = network_targets(self.model)
            self._joined = joined_targets(self.model, self._targets)
        return self._targets

    def _sorted(self, networks: Iterable[AppliedNetwork], *, while_computing: bool) -> tuple[_Changes, _Changes]:
        """(what is merged, what is applied while the model computes)."""
        merged: _Changes = {}
        live: _Changes = {}
        for place, change in self._changes(networks):
            parameter = getattr(place[0].module, place[1])
            at_once = not while_computing and parameter is not None and parameter.dtype not in _COARSE
            (merged if at_once else live).setdefault(place, []).append(change)
        return merged, live

    def _changes(self, networks: Iterable[AppliedNetwork]) -> Iterator[tuple[tuple[Target, ChangedPart], Change]]:
        table = self._table()
        earlier: _Changes = {}
        for applied in networks:
            blocks = dict(applied.blocks)
            for name, layer in applied.network.layers.items():
                for place, change in list(self._changes_of_rows(applied, name, layer, earlier)):
                    earlier.setdefault(place, []).append(change)
                    yield place, change
                target = table.get(name)
                if target is None:
                    continue
                multiplier = applied.text if target.text_encoder else applied.unet
                multiplier *= blocks.get(target.block, 1.0)
                if multiplier == 0:
                    continue
                parts: tuple[tuple[ChangedPart, WeightUpdate | Tensor | None], ...]
                parts = ("weight", layer.weight), ("bias", layer.bias)
                for part, update in parts:
                    # Of a bias that isn't there nothing can be made, only something be added.
                    lacking = getattr(target.module, part) is None and not isinstance(update, Tensor)
                    if update is not None and not lacking and (applied.key, name, part) not in self._misshapen:
                        change = Change(applied.key, name, part, update, multiplier, applied.dyn)
                        earlier.setdefault((target, part), []).append(change)
                        yield (target, part), change

    def _changes_of_rows(
        self, applied: AppliedNetwork, name: str, layer: Layer, earlier: _Changes
    ) -> Iterator[tuple[tuple[Target, ChangedPart], Change]]:
        """What a layer does to the modules that hold its rows, after the changes that are `earlier` than it."""
        if applied.unet == 0:
            return
        shares = self._joined.get(name, ())
        if isinstance(layer.bias, Tensor) and (applied.key, name, "bias") not in self._misshapen:
            for share in shares:
                if share.target.module.bias is not None:
                    bias = share.of_bias(layer.bias)
                    yield (share.target, "bias"), Change(applied.key, name, "bias", bias, applied.unet, applied.dyn)
        if layer.weight is None or (applied.key, name, "weight") in self._misshapen:
            return
        before = [(share.target, tuple(earlier.get((share.target, "weight"), ()))) for share in shares]
        depends = tuple(change.identity for _, changes in before for change in changes) * layer.weight.mixes_rows
        for share in shares:
            rows = RowsOf(
                layer.weight, share.index, share.count, share.swapped, partial(self._values, before), share.span
            )
            change = Change(applied.key, name, "weight", rows, applied.unet, applied.dyn, depends)
            yield (share.target, "weight"), change

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """While open, nothing is made twice for networks that each ask for what those before them left of all rows."""
        self._known = {}
        try:
            yield
        finally:
            self._known = None

    def _values(self, wanted: Sequence[tuple[Target, Sequence[Change]]]) -> list[Tensor]:
        """The weights that these modules have with these changes alone, float32."""
        if self._known is not None and (known := self._known.get(id(wanted))) is not None:
            return known
        found: list[Tensor] = []
        for target, changes in wanted:
            original = self._original_weight(target)
            values = torch.empty(original.shape, dtype=torch.float32, device=self.device)
            self._into(values, original, list(changes))
            found.append(values)
        if self._known is not None:
            # The changes that ask hold the list, so that it stays the only one of its identity.
            self._known[id(wanted)] = found
        return found

    def _original_weight(self, target: Target) -> Tensor:
        merged = self._merged.get((target, "weight"))
        if merged is not None and merged.original is not None:
            return merged.original
        if merged is None or not merged.holds:
            return target.module.get_parameter("weight").data
        self._check_file()
        return next(values for _, values in original_parameters(self.model, [f"{target.path}.weight"]))

    def _save_originals(self, wanted: _Changes) -> None:
        new = [(place, getattr(place[0].module, place[1])) for place in wanted if place not in self._merged]
        room = not new or self.make_room(sum(parameter.nbytes for _, parameter in new))
        for place, parameter in new:
            original = torch.empty_like(parameter.data, device="cpu").copy_(parameter.data) if room else None
            self._merged[place] = _Merged(parameter, original)

    def _merge(self, wanted: _Changes) -> None:
        due = {
            place: changes
            for place, changes in wanted.items()
            if self._merged[place].holds != tuple(change.identity for change in changes)
        }
        if not due:
            return
        # What was not saved has to be as it was before anything is merged into it once more.
        stale = [place for place in due if not self._saved(*place) and self._merged[place].holds]
        parameters = {place: self._merged[place].parameter for place in stale}
        self._restore(stale)
        self._merged |= {place: _Merged(parameter, None) for place, parameter in parameters.items()}
        # One for all: memory that is new for each weight costs more than the product.
        largest = max(self._merged[place].parameter.numel() for place in due)
        buffer = torch.empty(largest, dtype=torch.float32, device=self.device)
        for place, changes in due.items():
            with self._remembering():
                remaining = self._merge_one(self._merged[place], changes, buffer)
            self._merged[place].holds = tuple(change.identity for change in remaining)
            self._tried.update(change.origin for change in remaining)

    def _merge_one(self, merged: _Merged, changes: list[Change], buffer: Tensor) -> list[Change]:
        """Write the original with these changes into a parameter; returns those of them that fit."""
        weight = merged.parameter.data
        untouched = not merged.holds
        original = weight if merged.original is None else merged.original
        # Before it is written: what is half written holds something too.
        merged.holds = ((),)
        if merged.original is not None and _is_working_copy(weight, buffer):
            return self._into(weight, original, changes, holds_it=untouched)
        values = buffer[: original.numel()].view(original.shape)
        remaining = self._into(values, original, changes)
        weight.copy_(values)
        return remaining

    def _try(self, live: _Changes) -> None:
        """Find out which of these don't fit, before a forward does; they are left out."""
        for (target, part), changes in live.items():
            if all(change.origin in self._tried for change in changes):
                continue
            weight = target.module.get_parameter("weight")
            tried = weight.data if part == "weight" else weight.data.new_zeros(weight.shape[0])
            values = torch.empty(tried.shape, dtype=torch.float32, device=self.device)
            with self._remembering():
                changes[:] = self._into(values, tried, changes)
            self._tried.update(change.origin for change in changes)

    def _into(self, values: Tensor, original: Tensor, changes: list[Change], *, holds_it: bool = False) -> list[Change]:
        """Fill `values` with the original and the changes, without those that don't fit; returns the others.

        With `holds_it`, `values` has the original already.
        """
        changes = list(changes)
        while True:
            if not holds_it:
                values.copy_(original)
            holds_it = False
            for change in changes:
                try:
                    change.into(values)
                except RuntimeError as error:
                    if is_out_of_memory(error):
                        raise
                    self._misshapen.add(change.origin)
                    break
            else:
                return changes
            changes.remove(change)


def _parameter_shape(module: nn.Module, part: ChangedPart) -> Sequence[int]:
    """The shape that a parameter has, or a bias would have that isn't there."""
    parameter = getattr(module, part)
    return module.get_parameter("weight").shape[:1] if parameter is None else parameter.shape


def _is_working_copy(weight: Tensor, buffer: Tensor) -> bool:
    """Whether products may be added to a weight itself: it is what the buffer would be, and is rounded no more."""
    return weight.dtype == buffer.dtype and weight.device == buffer.device and weight.is_contiguous()
