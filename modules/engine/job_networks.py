"""The extra networks of one job: found, applied to the checkpoint that a pass works with, and reported on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from torch import Tensor

from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.networks import NetworkLabel
from modules.engine.loaded import LoadedModel, bare, written_hashes
from modules.engine.model_keeper import ModelKeeper
from modules.engine.network_cache import CachedNetwork, NetworkCache
from modules.parameters import ResolvedRequest
from modules.parameters.job_options import NetworkOptions
from modules.prompt import NETWORK_LABELS, NetworkKind, NetworkUse, extract_networks, network_uses, parse_presets
from modules.protocol import NetworkFile
from modules.weights.networks.attention_inputs import AppliedHypernetwork, attention_inputs_changed
from modules.weights.networks.merging import AppliedNetwork
from modules.weights.networks.reading import Network

N = TypeVar("N")
AtStep = Callable[[int], None]
_Found = tuple[NetworkUse, CachedNetwork[Network]]

# Infotext shows so many digits of a network's hash.
_HASH_DIGITS: Final = 12


@dataclass(slots=True)
class JobNetworks:
    """Applies what prompts name, `files` by kind and name; `notice` gets each sentence about it."""

    models: ModelKeeper
    files: Mapping[NetworkKind, Mapping[str, NetworkFile]]
    options: NetworkOptions
    notice: Callable[[str], None]
    _hashes: dict[str, str | Future[str]] = field(default_factory=dict)
    _used: list[CachedNetwork[Network]] = field(default_factory=list)

    @contextmanager
    def applied(self, loaded: LoadedModel, refines: bool, uses: Sequence[NetworkUse]) -> Iterator[AtStep]:
        """While open, `loaded` encodes and computes with exactly these networks.

        What it gives is to be called before each step, for those that don't act at all of them in the UNet. Those for
        another family are left out, without a word where it `refines` what the checkpoint they are for began.
        """
        named = self._cached("lora", self.models.networks, uses)
        found = [(use, cached) for use, cached in named if self._is_for(loaded, use, cached, silent=refines)]
        for use, cached in named:
            self._hashes[use.name] = NetworkLabel.of(cached.network.metadata).sha256 or cached.sha256
        wanted = _combined(found)
        loaded.networks.apply(_combined(found, 1), while_computing=self.options.functional)
        self._set_texts(loaded, wanted, {cached.key: use.name for use, cached in found})
        # Those of the pass before stay: a hires pass and the next first pass take turns.
        before, self._used = self._used, [cached for _, cached in found]
        self.models.networks.drop_unused([*before, *self._used], self.options.in_memory_limit)
        hyper = self._cached("hypernet", self.models.hypernetworks, uses)
        self.models.hypernetworks.drop_unused((cached for _, cached in hyper), self.options.in_memory_limit)
        if not refines:
            self._report(loaded, wanted, found)
        changes = [AppliedHypernetwork(cached.network, use.unet) for use, cached in hyper]
        with (
            attention_inputs_changed(loaded.model.unet, changes, loaded.networks.device),
            self._computing(loaded, found) as at_step,
        ):
            yield at_step

    @contextmanager
    def _computing(self, loaded: LoadedModel, found: Sequence[_Found]) -> Iterator[AtStep]:
        """While open, forwards apply what is not merged; what it gives brings all to the state of a step."""
        acting = [use.acts_at(1) for use, _ in found]
        with ExitStack() as stack:
            stack.enter_context(loaded.networks.computing())

            def at_step(step: int) -> None:
                now = [use.acts_at(step) for use, _ in found]
                if now != acting:
                    acting[:] = now
                    stack.close()
                    loaded.networks.apply(_combined(found, step), while_computing=self.options.functional)
                    stack.enter_context(loaded.networks.computing())

            yield at_step

    def hashes(self, resolved: ResolvedRequest) -> dict[str, object]:
        """What infotext says of the networks of one picture: names as its prompts write them, those of hires last."""
        request = resolved.request
        if request.disable_extra_networks:
            return {}
        prompts = (request.prompt, request.hr_prompt) if request.has_hires_pass else (request.prompt,)
        tags = [tag for prompt in prompts for tag in extract_networks(prompt)[1]]
        presets = parse_presets(self.options.block_presets)
        names = dict.fromkeys(use.name for use in network_uses(tags, presets)[0] if use.kind == "lora")
        known = {name: _digits(self._hashes[name]) for name in names if name in self._hashes}
        hashes = {name: digits for name, digits in known.items() if digits}
        if not hashes:
            return {}
        return {"Lora hashes": written_hashes(hashes)}

    def _cached(
        self, kind: NetworkKind, cache: NetworkCache[N], uses: Sequence[NetworkUse]
    ) -> list[tuple[NetworkUse, CachedNetwork[N]]]:
        """The networks of a kind among `uses`, without those that are not here or can't be read."""
        files, found = self.files.get(kind, {}), []
        for use in uses:
            if use.kind != kind or (file := files.get(use.name)) is None:
                continue
            try:
                cached = cache.get(file)
            except ModelFileError as error:
                # Of an earlier picture, if the file has gone since: infotext names what the picture was made with.
                self._hashes.pop(use.name, None)
                self.notice(f"The {NETWORK_LABELS[kind]} {use.name[:80]} was left out: {error}")
                continue
            found.append((use, cached))
        return found

    def _set_texts(self, loaded: LoadedModel, wanted: Sequence[AppliedNetwork], names: Mapping[Hashable, str]) -> None:
        """Have prompts encoded with these networks and with the textual inversions that come with them."""
        roles = tuple(facts.role for facts in loaded.model.family.text_encoders)
        bundled: dict[str, tuple[Tensor, ...]] = {}
        for applied in wanted:
            for name, embedding in applied.network.embeddings.items():
                vectors = embedding.fitting(roles, loaded.model.text_widths)
                if vectors is not None and not loaded.has_embedding(name):
                    bundled[name] = vectors
                    loaded.bundled[name] = bare(names[applied.key]) if self.options.bundled_in_infotext else ""
        texts = tuple(one.of_texts for one in wanted if one.text)
        loaded.encoder.set_networks((texts, tuple(one.key for one in wanted if one.network.embeddings)), bundled)

    def _is_for(self, loaded: LoadedModel, use: NetworkUse, cached: CachedNetwork[Network], *, silent: bool) -> bool:
        base, family = cached.network.base, loaded.model.family
        if not family.takes_networks_for(base):
            why = f"it is for {base}, and {loaded.file.name} is {family.label}"
        elif use.blocks and (unnamed := loaded.networks.blocks - dict(use.blocks).keys()):
            why = f"its block weights don't name {min(unnamed)}, which {loaded.file.name} has"
        else:
            return True
        if not silent:
            self.notice(f"The LoRA {use.name[:80]} was left out: {why}.")
        return False

    def _report(self, loaded: LoadedModel, wanted: Sequence[AppliedNetwork], found: Sequence[_Found]) -> None:
        names: dict[Hashable, str] = {cached.key: use.name[:80] for use, cached in found}
        for applied in wanted:
            fit = loaded.networks.fit(applied)
            total, name = len(applied.network.layers), names.get(applied.key, "")
            if total and fit.misshapen == total:
                self.notice(
                    f"The LoRA {name} changes nothing: its layers have other shapes than those of {loaded.file.name}; "
                    f"the first, {fit.first_misshapen}."
                )
            elif total and not fit.found and not fit.misshapen:
                self.notice(f"The LoRA {name} changes nothing: none of its layers belongs to {loaded.file.name}.")
            elif fit.missing or fit.misshapen:
                first = f"; the first, {fit.first_misshapen}" if fit.misshapen else ""
                self.notice(
                    f"Of the LoRA {name} {fit.missing + fit.misshapen} of {total} layers were left out: this "
                    f"checkpoint has no such layers ({fit.missing}) or has them in another shape "
                    f"({fit.misshapen}{first})."
                )


def _combined(found: Sequence[_Found], step: int | None = None) -> list[AppliedNetwork]:
    """One for each file, number of ranks and weights of blocks, in the prompt's order, as they are at a step.

    Multipliers of a network that is named twice add up.
    """
    combined: dict[object, AppliedNetwork] = {}
    for use, cached in found:
        place = cached.key, use.dyn, use.blocks
        before = combined.get(place)
        text, unet = (0.0, 0.0) if before is None else (before.text, before.unet)
        if step is None or use.acts_at(step):
            unet += use.unet
        combined[place] = AppliedNetwork(cached.key, cached.network, text + use.text, unet, use.dyn, use.blocks)
    return list(combined.values())


def _digits(sha256: str | Future[str]) -> str:
    return (sha256 if isinstance(sha256, str) else sha256.result())[:_HASH_DIGITS]
