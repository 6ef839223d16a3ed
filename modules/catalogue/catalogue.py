"""All model files of an installation, listed from disk and found by the names that people and programs use."""

import difflib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from modules.catalogue.architecture import Architecture, read_architecture
from modules.catalogue.clip_files import ClipFiles, ClipPair
from modules.catalogue.controls import CONTROL_SUFFIXES, ControlFile, find_control
from modules.catalogue.embedding_files import (
    EMBEDDING_SUFFIXES,
    read_embedding_head,
    that_prompts_can_name,
    without_previews,
)
from modules.catalogue.entries import Checkpoint, EmbeddingFile, ModelFile
from modules.catalogue.folders import ModelFolders
from modules.catalogue.hashes import HashCache, legacy_hash_of
from modules.catalogue.hints import gather_hints, read_sidecar
from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.catalogue.model_parts import ChosenParts, ModelPart, PartFacts, check_vae, choose_parts, read_part
from modules.catalogue.networks import NetworkLabel, NetworkList
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.catalogue.upscalers import Upscaler, list_restorers, list_upscalers
from modules.files import FileState, FoundFile, comparable, found_file, is_one_of, walk_folders

CHECKPOINT_SUFFIXES: Final = (".safetensors", ".ckpt")
VAE_SUFFIXES: Final = (".safetensors", ".ckpt", ".pt")
NETWORK_SUFFIXES: Final = (".safetensors", ".ckpt", ".pt")
# In the order in which A1111 looks for VAEs of a checkpoint's name.
_VAE_MATCHING: Final = (".ckpt", ".pt", ".safetensors")
_VAE_BESIDE: Final = tuple(f".vae{suffix}" for suffix in VAE_SUFFIXES)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VaeFor:
    """The VAE that goes with a checkpoint, None for its own, and what should be said about it."""

    file: ModelFile | None
    notice: str = ""


class Catalogue:
    """What lies in the model folders. Lists are as of the last `refresh`; all methods may be called from any thread.

    Checkpoints and VAEs are found without waiting for a file or a lock, even while a `refresh` reads slow files.
    """

    def __init__(
        self,
        folders: ModelFolders,
        cache_file: Path,
        lists_hidden: Callable[[], bool] = lambda: True,
        more_controls: Callable[[], str] = lambda: "",
    ) -> None:
        """`lists_hidden` says whether files in folders whose name begins with a dot are listed, `more_controls` names
        another folder of control models, or none.
        """
        self.folders = folders
        self._lists_hidden = lists_hidden
        self._more_controls = more_controls
        self._control_hashes: dict[tuple[Path, FileState], str] = {}
        self._clips = ClipFiles()
        self.hashes = HashCache(cache_file)
        self.network_hashes = HashCache(cache_file.with_name(f"network-{cache_file.name}"))
        # Held by those who make new lists, while they read files; whoever reads a list takes the tuple that is there.
        self._listing = threading.Lock()
        self._architectures: dict[tuple[Path, FileState], Architecture | None] = {}
        self._network_labels: dict[tuple[Path, FileState], NetworkLabel] = {}
        self._embeddings: dict[tuple[Path, FileState], EmbeddingFile | None] = {}
        self._parts: dict[tuple[Path, FileState], PartFacts | None] = {}
        self._facts: dict[tuple[Path, FileState], tuple[str | None, tuple[int, int] | None]] = {}
        self._checkpoints: tuple[Checkpoint, ...] = ()
        self._vaes: tuple[ModelFile, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Look at the disk again."""
        with self._listing:
            self._checkpoints, self._vaes = self._read_lists()

    def _read_lists(self) -> tuple[tuple[Checkpoint, ...], tuple[ModelFile, ...]]:
        found = self._files(self.folders.checkpoints, (*CHECKPOINT_SUFFIXES, *VAE_SUFFIXES))
        beside = [file for file in found if file.path.name.lower().endswith(_VAE_BESIDE)]
        files = [file for file in found if file.path.suffix.lower() in CHECKPOINT_SUFFIXES and file not in beside]
        alone = found_file(self.folders.checkpoint_file) if self.folders.checkpoint_file else None
        if alone is not None and alone.path not in {file.path for file in files}:
            files.insert(0, alone)
        vaes = self._files(self.folders.vaes, VAE_SUFFIXES)
        checkpoints = tuple(self._checkpoint(file) for file in files)
        return checkpoints, tuple(_model_file(file) for file in (*vaes, *beside))

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Checkpoints by name, with the titles that are known by now."""
        return self._checkpoints

    def vaes(self) -> tuple[ModelFile, ...]:
        """VAE files: those in the VAE folders, and `*.vae.*` beside checkpoints."""
        return self._vaes

    def text_encoders(self) -> tuple[ModelFile, ...]:
        """Text encoders in files of their own, read from disk now."""
        return self._listed(self.folders.text_encoders, VAE_SUFFIXES)

    def modules(self) -> tuple[ModelFile, ...]:
        """What "VAE / Text Encoder" is chosen from: VAE files, then text encoders."""
        return (*self.vaes(), *self.text_encoders())

    def parts_for(self, checkpoint: Checkpoint, names: Sequence[str], vae: Path | None = None) -> ChosenParts:
        """The files that a checkpoint takes beside its own, where its family's parts come so.

        `names` are those of `modules` that somebody chose, as file names or paths; those that are not here are left
        out. `vae` is the file of a VAE that is chosen already. Raises MissingPartError.
        """
        architecture = self.architecture(checkpoint)
        if architecture is None or not architecture.family.parts_apart:
            return ChosenParts()
        given = None if vae is None else next((self._part(file) for file in self.vaes() if file.path == vae), None)
        if given is not None:
            check_vae(checkpoint.name, architecture, given)
        needs_vae = vae is None and not architecture.has_vae
        files = self.modules()
        meant = {PurePath(name.replace("\\", "/")).name for name in names}
        chosen = [part for file in files if is_one_of(file.path.name, meant) and (part := self._part(file)) is not None]
        others = [part for file in files if (part := self._part(file)) is not None]
        return choose_parts(checkpoint.name, architecture, chosen, others, needs_vae=needs_vae)

    def _part(self, file: ModelFile) -> ModelPart | None:
        """What a VAE's or text encoder's file holds, read once for each state of it."""
        key = (file.path, file.state)
        if key not in self._parts:
            self._parts[key] = None
            try:
                self._parts[key] = read_part(file.path)
            except (OSError, ModelFileError) as error:
                log.info("%s", error)
        facts = self._parts[key]
        return None if facts is None else ModelPart(file, facts)

    def loras(self) -> tuple[ModelFile, ...]:
        """LoRA and LyCORIS files, read from disk now."""
        return self._listed(self.folders.loras, NETWORK_SUFFIXES)

    def embeddings(self) -> tuple[EmbeddingFile, ...]:
        """Textual inversions that prompts can name, listed from disk now; heads are read once for each state of a file.

        Pictures without one, and previews, are none.
        """
        files = without_previews(self._files(self.folders.embeddings, EMBEDDING_SUFFIXES))
        found = [embedding for file in files if (embedding := self._embedding(file)) is not None]
        return tuple(that_prompts_can_name(found, lambda one: one.prompt_name, lambda one: one.shapes is not None))

    def _embedding(self, file: FoundFile) -> EmbeddingFile | None:
        key = (file.path, file.state)
        if key not in self._embeddings:
            self._embeddings[key] = _read_embedding(file)
        return self._embeddings[key]

    def hypernetworks(self) -> tuple[ModelFile, ...]:
        """Hypernetwork files, read from disk now."""
        return self._listed(self.folders.hypernetworks, (".pt", ".safetensors"))

    def controls(self) -> tuple[ControlFile, ...]:
        """Control models (ControlNet and its relatives), read from disk now."""
        more = self._more_controls().strip()
        folders = (*self.folders.controls, *([Path(more)] if more else []))
        files = {file.path: file for file in self._files(folders, CONTROL_SUFFIXES)}
        return tuple(
            ControlFile(path=file.path, name=file.name, state=file.state, legacy_hash=self._control_hash(file))
            for file in files.values()
        )

    def find_control(self, wanted: str) -> ControlFile:
        """The control model that `wanted` means: see `modules.catalogue.controls.find_control`."""
        return find_control(wanted, self.controls(), next(iter(self.folders.controls), None))

    def clip_visions(self) -> tuple[ModelFile, ...]:
        """Image encoders, which IP-Adapters need, read from disk now."""
        return self._listed(self.folders.clip_vision, CONTROL_SUFFIXES)

    def clip_pair(self, without: Collection[FoundFile] = ()) -> ClipPair | None:
        """The image encoder that searches by meaning go by, with what reads their texts, read from disk now."""
        found = self._files(self.folders.clip_vision, CONTROL_SUFFIXES)
        return self._clips.chosen([file for file in found if file not in without])

    def _control_hash(self, file: FoundFile) -> str:
        """The hash in a control model's title, read once for each state of its file; "" where it can't be read."""
        key = (file.path, file.state)
        if key not in self._control_hashes:
            found = ""
            try:
                found = legacy_hash_of(file.path)
            except OSError as error:
                log.warning("%s", error)
            self._control_hashes[key] = found
        return self._control_hashes[key]

    def upscalers(
        self, *, real_esrgan: Collection[str] | None = None, dat: Collection[str] | None = None
    ) -> tuple[Upscaler, ...]:
        """Upscalers, read from disk now: see `list_upscalers`."""
        return list_upscalers(self.folders.upscalers, real_esrgan=real_esrgan, dat=dat, in_hidden=self._lists_hidden())

    def restorers(self) -> dict[str, Path]:
        """Face restorers by name, read from disk now."""
        return list_restorers(self.folders)

    def find_checkpoint(self, wanted: str) -> Checkpoint:
        """The checkpoint that `wanted` means: an alias, else the shortest title with it, else without the "[hash]".

        Raises:
            ModelNotFoundError: there is none; the sentence names the nearest ones.
        """
        text = comparable(wanted.strip())
        checkpoints = self.checkpoints()
        for name in dict.fromkeys((text, re.sub(r"\s*\[[^\]]*\]\s*$", "", text))):
            if not name:
                continue
            for fold in (str, str.lower):
                for checkpoint in checkpoints:
                    if is_one_of(fold(name), map(fold, checkpoint.aliases)):
                        return checkpoint
                inside = [checkpoint for checkpoint in checkpoints if fold(name) in fold(comparable(checkpoint.title))]
                if inside:
                    return min(inside, key=lambda checkpoint: len(checkpoint.title))
        raise ModelNotFoundError(self._absence(text, checkpoints))

    def find_vae(self, wanted: str) -> ModelFile:
        """A VAE by file name, path below its folder, or stem.

        Raises:
            ModelNotFoundError: there is none.
        """
        for vae in self.vaes():
            if is_one_of(wanted, (vae.name, vae.path.name, vae.stem)):
                return vae
        raise ModelNotFoundError(f"No VAE is called {wanted[:80]!r}; put it into models/VAE and press refresh.")

    def vae_for(self, checkpoint: Checkpoint, setting: str = "Automatic", *, overrides: bool = True) -> VaeFor:
        """The VAE to use with a checkpoint, in A1111's order.

        A name in the setting, where it `overrides` (the option `sd_vae_overrides_per_model_preferences`); the name in
        the checkpoint's sidecar, where "None" ends the search; a VAE whose file name begins with the checkpoint's; a
        name in the setting otherwise. A name that is not there leaves the checkpoint its own.

        Args:
            setting: the option `sd_vae`: "Automatic", "None", or a file's name.
        """
        automatic = setting in ("", "Automatic", "auto")
        if not automatic and overrides:
            return self._named_vae(setting)
        preferred = read_sidecar(checkpoint.path.with_suffix(".json")).get("vae")
        if preferred == "None":
            return VaeFor(None)
        if isinstance(preferred, str) and (listed := self._named_vae(preferred)).file is not None:
            return listed
        for vae in sorted(self.vaes(), key=self._matching_rank):
            if comparable(vae.path.name).startswith(comparable(checkpoint.stem)):
                # Of two files of one name that in a VAE folder counts.
                return self._named_vae(vae.path.name)
        return VaeFor(None) if automatic else self._named_vae(setting)

    def _matching_rank(self, vae: ModelFile) -> tuple[bool, int]:
        """How late A1111 compares its name with a checkpoint's: those beside checkpoints come first, then by suffix."""
        in_vae_folder = any(vae.path.is_relative_to(folder) for folder in self.folders.vaes)
        return in_vae_folder, _VAE_MATCHING.index(vae.path.suffix.lower())

    def _named_vae(self, name: str) -> VaeFor:
        if name == "None":
            return VaeFor(None)
        try:
            return VaeFor(self.find_vae(name))
        except ModelNotFoundError:
            return VaeFor(None, f"No VAE is called {name[:80]!r} here: the checkpoint's own was used.")

    def remember_hash(self, path: Path, state: FileState, sha256: str) -> None:
        """Take a hash that was worked out somewhere, and title the checkpoint by it."""
        self.hashes.put(path, state, sha256)
        with self._listing:
            self._checkpoints = tuple(
                self._checkpoint(FoundFile(entry.path, entry.name, entry.state)) if entry.path == path else entry
                for entry in self._checkpoints
            )

    def _checkpoint(self, file: FoundFile) -> Checkpoint:
        legacy, size = self._file_facts(file)
        return Checkpoint(
            path=file.path,
            name=file.name,
            state=file.state,
            sha256=self.hashes.get(file.path, file.state),
            legacy_hash=legacy,
            width=size[0] if size else None,
            height=size[1] if size else None,
        )

    def _file_facts(self, file: FoundFile) -> tuple[str | None, tuple[int, int] | None]:
        """Legacy hash and stated size, read once for each state of a file; what can't be read is left open."""
        key = (file.path, file.state)
        if key not in self._facts:
            legacy = size = None
            try:
                legacy = legacy_hash_of(file.path)
                size = gather_hints(file.path, read_safetensors_metadata(file.path)).resolution
            except (OSError, ModelFileError) as error:
                log.warning("%s", error)
            self._facts[key] = (legacy, size)
        return self._facts[key]

    def architecture(self, checkpoint: Checkpoint) -> Architecture | None:
        """What a checkpoint is made of, read once for each state of its file; None where its head doesn't say."""
        key = (checkpoint.path, checkpoint.state)
        if key not in self._architectures:
            try:
                self._architectures[key] = read_architecture(checkpoint.path)
            except (OSError, ModelFileError) as error:
                log.warning("%s", error)
                self._architectures[key] = None
        return self._architectures[key]

    def native_size(self, checkpoint: Checkpoint) -> tuple[int, int] | None:
        """Width and height in pixels that a checkpoint states for itself, or that its family was trained at."""
        if checkpoint.width and checkpoint.height:
            return checkpoint.width, checkpoint.height
        architecture = self.architecture(checkpoint)
        return None if architecture is None else architecture.family.resolution

    def networks(self, kind: str) -> NetworkList:
        """The networks of a kind of prompt tag ("lora", "hypernet"), read from disk now."""
        if kind == "hypernet":
            return NetworkList(self.hypernetworks())
        return NetworkList(self.loras() if kind == "lora" else (), self.network_alias)

    def network_alias(self, file: ModelFile) -> str:
        """What a LoRA is called in the metadata of its trainer, empty where it isn't."""
        return self.network_label(file).alias

    def network_label(self, file: ModelFile) -> NetworkLabel:
        """What a LoRA says of itself in its metadata, read once for each state of its file."""
        key = (file.path, file.state)
        if key not in self._network_labels:
            metadata: dict[str, str] = {}
            try:
                metadata = read_safetensors_metadata(file.path)
            except (OSError, ModelFileError) as error:
                log.info("%s", error)
            self._network_labels[key] = NetworkLabel.of(metadata)
        return self._network_labels[key]

    def _listed(self, folders: tuple[Path, ...], suffixes: tuple[str, ...]) -> tuple[ModelFile, ...]:
        return tuple(_model_file(file) for file in self._files(folders, suffixes))

    def _files(self, folders: tuple[Path, ...], suffixes: Iterable[str]) -> list[FoundFile]:
        return walk_folders(folders, suffixes, hidden=self._lists_hidden())

    def _absence(self, wanted: str, checkpoints: tuple[Checkpoint, ...]) -> str:
        if not checkpoints:
            folder = next(iter(self.folders.checkpoints), None)
            return f"There is no checkpoint; put a .safetensors file into {folder} and press refresh."
        near = difflib.get_close_matches(wanted, [checkpoint.name for checkpoint in checkpoints], 2, 0.4)
        hint = (
            f"; the nearest are {' and '.join(near)}" if len(near) > 1 else f"; did you mean {near[0]}?" if near else ""
        )
        return f"No checkpoint is called {wanted[:80]!r}{hint}{'' if hint.endswith('?') else '.'}"


def _read_embedding(file: FoundFile) -> EmbeddingFile | None:
    """What a file says of its textual inversion; None for a picture without one."""
    entry = EmbeddingFile(path=file.path, name=file.name, state=file.state, prompt_name=file.path.stem, shapes=None)
    try:
        head = read_embedding_head(file.path)
    except (OSError, ModelFileError) as error:
        log.info("%s", error)
        return entry
    if head is None:
        return None
    return replace(entry, prompt_name=head.name, shapes=head.shapes, training=head.training)


def _model_file(file: FoundFile) -> ModelFile:
    return ModelFile(path=file.path, name=file.name, state=file.state)
