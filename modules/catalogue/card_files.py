"""A model file with what lies beside it and is named after it: its preview, its description, a person's notes."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from modules.catalogue.catalogue import CHECKPOINT_SUFFIXES, NETWORK_SUFFIXES, VAE_SUFFIXES
from modules.catalogue.embedding_files import EMBEDDING_SUFFIXES, without_previews
from modules.catalogue.folders import ModelFolders
from modules.files import FoundFile, comparable, found_file, natural_key, walk_folders

CardKind = Literal["textual inversion", "hypernetworks", "checkpoints", "lora"]
"""A1111's names of its pages of cards."""
CARD_KINDS: Final[tuple[CardKind, ...]] = ("textual inversion", "hypernetworks", "checkpoints", "lora")

# In the order in which a preview is looked for: `<stem>.png`, `<stem>.preview.png`, `<stem>.jpg` and so on. A1111 looks
# for the same names, in an order of its own at each start.
PREVIEW_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif")
_PREVIEW_ENDINGS: Final = tuple(f"{between}{suffix}" for suffix in PREVIEW_SUFFIXES for between in ("", ".preview"))
# Of the program itself; of Civitai Helper; of ComfyUI's LoRA Manager; texts, the first of which is the description.
SIDECAR_ENDINGS: Final = (".json", ".civitai.info", ".metadata.json", ".txt", ".description.txt")

_SUFFIXES: Final[Mapping[CardKind, tuple[str, ...]]] = {
    "textual inversion": EMBEDDING_SUFFIXES,
    "hypernetworks": (".pt", ".safetensors"),
    "checkpoints": CHECKPOINT_SUFFIXES,
    "lora": NETWORK_SUFFIXES,
}


@dataclass(frozen=True, slots=True)
class CardFiles:
    """A model file, its preview, and its sidecars by their endings (`SIDECAR_ENDINGS`), as they were when listed."""

    model: FoundFile
    preview: FoundFile | None
    sidecars: Mapping[str, FoundFile]

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return _stem(self.model)

    @property
    def fingerprint(self) -> str:
        """Changes with the model file and with each sidecar: while it is the same, so is what was read from them."""
        files = (self.model, *self.sidecars.values())
        return " ".join(f"{file.name}:{file.state.size}:{file.state.mtime_ns}" for file in files)

    def sidecar_path(self, ending: str) -> Path:
        """Where the sidecar lies, or would lie."""
        found = self.sidecars.get(ending)
        return self.model.path.with_suffix(ending) if found is None else found.path


def card_folders(folders: ModelFolders, kind: CardKind) -> tuple[Path, ...]:
    """Where files of a kind are looked for."""
    match kind:
        case "textual inversion":
            return folders.embeddings
        case "hypernetworks":
            return folders.hypernetworks
        case "checkpoints":
            return folders.checkpoints
    return folders.loras


def list_card_files(
    folders: ModelFolders, kind: CardKind, *, hidden: bool, visited: dict[Path, int] | None = None
) -> list[CardFiles]:
    """All files of a kind with what is beside them, read from disk now, in the natural order of their paths.

    Of several files with one stem the last in the folders' order counts: a tag in a prompt can name only that one (see
    `NetworkList`). Checkpoints are chosen by their path, so that all of them count; what textual inversions are called
    may stand inside of them. `visited` is that of `walk_folders`.
    """
    found = walk_folders(card_folders(folders, kind), ("",), hidden=hidden, visited=visited)
    models = _models(found, kind)
    if kind == "textual inversion":
        models = without_previews(models)
    elif kind != "checkpoints":
        models = list({comparable(_stem(file)): file for file in models}.values())
    elif folders.checkpoint_file is not None:
        alone = found_file(folders.checkpoint_file)
        if alone is not None and alone.path not in {file.path for file in models}:
            models.append(alone)
    beside = _by_folder(found)
    models.sort(key=lambda file: natural_key(file.name))
    return [_with_neighbours(file, beside.get(_location(file), {})) for file in models]


def _models(found: Iterable[FoundFile], kind: CardKind) -> list[FoundFile]:
    suffixes = _SUFFIXES[kind]
    models = []
    for file in found:
        name = file.name.lower()
        if not name.endswith(suffixes) or (kind == "checkpoints" and name.endswith(_VAE_BESIDE)):
            continue
        models.append(file)
    return models


_VAE_BESIDE: Final = tuple(f".vae{suffix}" for suffix in VAE_SUFFIXES)


def _stem(file: FoundFile) -> str:
    return _base_name(file).rpartition(".")[0]


def _by_folder(found: Iterable[FoundFile]) -> Mapping[str, Mapping[str, FoundFile]]:
    """Files by folder, and there by their names in small letters."""
    folders: dict[str, dict[str, FoundFile]] = defaultdict(dict)
    for file in found:
        folders[_location(file)][_base_name(file).lower()] = file
    return folders


def _location(file: FoundFile) -> str:
    # As text: taking apart the paths of a large folder would be most of the work of listing it.
    return str(file.path).rpartition(os.sep)[0]


def _base_name(file: FoundFile) -> str:
    return file.name.rpartition("/")[2]


def _with_neighbours(model: FoundFile, beside: Mapping[str, FoundFile]) -> CardFiles:
    stem = _stem(model).lower()
    sidecars = {ending: beside[stem + ending] for ending in SIDECAR_ENDINGS if stem + ending in beside}
    previews = (beside[stem + ending] for ending in _PREVIEW_ENDINGS if stem + ending in beside)
    # A picture that is an embedding itself shows it where there is no other.
    ordered = sorted(previews, key=lambda file: file.path == model.path)
    return CardFiles(model, ordered[0] if ordered else None, sidecars)


def folders_of(names: Collection[str]) -> Sequence[str]:
    """The folders of files with these names (paths from the top), each with those above it: `a/`, `a/b/`, `c/`."""
    found = {folder for name in names for folder in _parents(name)}
    return sorted(found, key=natural_key)


def is_hidden(name: str) -> bool:
    """Whether a path goes through a folder whose name begins with a dot."""
    return ("/" in name and name.startswith(".")) or "/." in name.rpartition("/")[0]


def _parents(name: str) -> Iterator[str]:
    place = name.find("/")
    while place >= 0:
        yield name[: place + 1]
        place = name.find("/", place + 1)
