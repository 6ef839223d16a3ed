"""A checkpoint in memory: where it came from, its modules, and what is derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch

from modules.engine.embedding_cache import EmbeddingCache
from modules.families import Family
from modules.files import FileState, found_file
from modules.generation.previews import fit_colours
from modules.hardware.attention import AttentionChoice
from modules.hardware.budget import MemoryMode
from modules.hardware.compiling import FastMode
from modules.hardware.device import module_bytes
from modules.parameters.load_options import LoadOptions, chosen_prediction
from modules.protocol import CheckpointFile
from modules.text.encoder import PromptEncoder
from modules.weights.model import Model, Predicts
from modules.weights.networks.merging import NetworkMerger

# What those of `PREDICTION_CHOICES` mean.
_PREDICTIONS: Final = {
    "epsilon": Predicts("epsilon"),
    "v_prediction": Predicts("v_prediction"),
    "v_prediction ztsnr": Predicts("v_prediction", zero_terminal_snr=True),
    "edm": Predicts("edm"),
    "edm_v_prediction": Predicts("edm_v_prediction"),
}
# Beside a model file: what its shapes don't say (catalogue/hints.py).
_SIDECARS: Final = (".json", ".yaml")


@dataclass(frozen=True, slots=True)
class Origin:
    """A model file as it is at one moment; `states` are its own, None if it is out of reach, and its sidecars'."""

    path: Path
    states: tuple[FileState | None, ...]

    @staticmethod
    def of(path: str | Path) -> Origin:
        own = Path(path)
        files = (own, *(own.with_suffix(suffix) for suffix in _SIDECARS))
        return Origin(own, tuple(found.state if (found := found_file(file)) else None for file in files))

    def serves(self, now: Origin) -> bool:
        """Whether what was read then is what `now` holds. A file that is out of reach can't have been changed."""
        return self.path == now.path and (now.states[0] is None or self.states == now.states)


@dataclass(slots=True)
class LoadedModel:
    """A checkpoint in memory with what is derived from it. `vae_origin` is `origin` where the VAE is its own."""

    file: CheckpointFile
    origin: Origin
    vae_origin: Origin
    model: Model
    encoder: PromptEncoder
    sha256: Future[str]
    attention: AttentionChoice
    networks: NetworkMerger
    vae_sha256: Future[str] | None = None
    text_origins: tuple[Origin, ...] = ()
    """The text encoders that lie in files of their own."""
    embeddings: EmbeddingCache | None = None
    bundled: dict[str, str] = field(default_factory=dict)
    """The network that each textual inversion of the job came with, by the inversion's name."""
    colours: torch.Tensor | None = None
    sped_up_in: MemoryMode | None = None
    fast_mode: FastMode | None = None
    in_8_bits: bool = False

    @property
    def weights(self) -> int:
        """Bytes of its weights."""
        return sum(map(module_bytes, self.parts))

    @property
    def memory(self) -> int:
        """Bytes of its weights, and of the encodings that are cached beside them."""
        return self.weights + self.encoder.cached_bytes

    @property
    def parts(self) -> tuple[torch.nn.Module, ...]:
        return self.model.unet, self.model.vae, *self.model.text_encoders

    @property
    def in_main_memory(self) -> bool:
        """Whether its weights lie in main memory. Meaningless while a job works with it, since parts move then."""
        return all(tensor.device.type == "cpu" for part in self.parts for tensor in part.parameters())

    def serves(self, file: CheckpointFile, now: Origin) -> bool:
        """Whether it is what `file` names, whatever VAE is in it; weights cut to 8 bits don't grow again."""
        texts = tuple(map(Origin.of, file.text_paths))
        same = len(texts) == len(self.text_origins) and all(map(Origin.serves, self.text_origins, texts))
        return same and self.origin.serves(now) and self.in_8_bits == stored_in_8_bits(file, self.model.family)

    def has_embedding(self, name: str) -> bool:
        """Whether a file of the installation is the textual inversion of this name."""
        return self.embeddings is not None and self.embeddings.has(name)

    def preview_colours(self) -> torch.Tensor:
        """The map from latents to colours, fitted at the first preview."""
        if self.colours is None:
            self.colours = fit_colours(self.model.vae, self.model.latent_scaling)
        return self.colours

    def facts(self) -> dict[str, object]:
        """What infotext says about checkpoint and embeddings. Waits for hashes that are still being worked out."""
        facts: dict[str, object] = {} if self.in_8_bits else {"FP8 weight": None, "Cache FP16 weight for LoRA": None}
        facts |= {"Model hash": self.sha256.result()[:10], "Model": Path(self.file.name).stem}
        if self.file.vae_path and self.vae_sha256:
            facts |= {"VAE hash": self.vae_sha256.result()[:10], "VAE": Path(self.file.vae_path).name}
        facts |= {f"Module {number}": Path(path).stem for number, path in enumerate(self.file.text_paths, start=1)}
        if self.model.family.distilled_scale != "Shift":
            facts["Shift"] = None
        if not self.model.family.sees_pictures:
            facts["Klein no reference"] = None
        hashes = self.embedding_hashes(self.encoder.embeddings_used)
        if hashes:
            facts["TI hashes"] = written_hashes(hashes)
        return facts

    def embedding_hashes(self, names: Iterable[str]) -> dict[str, str]:
        """By what infotext knows these textual inversions; without those it does not name."""
        return {name: found for name in names if (found := self._embedding_hash(name))}

    def _embedding_hash(self, name: str) -> str:
        """By what infotext knows a textual inversion: its file's hash, or the network that it came with."""
        if name in self.bundled:
            return self.bundled[name]
        return "" if self.embeddings is None else self.embeddings.hash_of(name)

    def release(self) -> None:
        """Give back its memory; nothing can be made with it any more."""
        self.encoder.release()
        self.model.release()


def stored_in_8_bits(file: CheckpointFile, family: Family) -> bool:
    """Whether the settings that `file` carries want a checkpoint of that family in 8 bits."""
    wanted = file.load_options.fp8_storage
    return wanted == "Enable" or (wanted == "Enable for SDXL" and family.follows_sdxl_settings)


def requested_prediction(options: LoadOptions, names: tuple[str, ...]) -> Predicts | None:
    """What a checkpoint known by any of `names` is said to predict in `checkpoint_prediction`; None if nothing is."""
    chosen = chosen_prediction(options, names)
    return None if chosen is None else _PREDICTIONS[chosen]


def unreadable_checkpoint(file: CheckpointFile, error: OSError) -> str:
    """Why a checkpoint's file, or that of its VAE, is not read, as a sentence."""
    return f"{Path(error.filename or file.path).name} could not be read: {error.strerror or error}."


def written_hashes(hashes: Mapping[str, str]) -> str:
    """Hashes by name as infotext has them."""
    return ", ".join(f"{bare(name)}: {found}" for name, found in hashes.items())


def bare(name: str) -> str:
    """A name as it stands among hashes, where commas and colons mean something."""
    return name.replace(":", "").replace(",", "")
