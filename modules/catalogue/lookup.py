"""Models that an infotext names, looked for on this machine: by hash where there is one, else by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from modules.catalogue.catalogue import Catalogue
from modules.catalogue.entries import ModelFile
from modules.catalogue.hashes import HashCache, network_hash_of, sha256_of
from modules.catalogue.model_errors import ModelNotFoundError
from modules.files import is_one_of
from modules.parameters.infotext_request import LocalFile

F = TypeVar("F", bound=ModelFile)

# A person waits while files are hashed that never were: about two seconds' worth of reading.
_MOST_HASHED: Final = 2 << 30


_NOT_IN_A_TAG: Final = frozenset(":=>")


class LocalModels:
    """What lies on this machine, for infotexts that name models by name and hash. Hashes may be cut short, or empty."""

    def __init__(self, catalogue: Catalogue, *, prefers_alias: bool = True) -> None:
        """A LoRA that only its hash finds gets the name that it has for itself, unless its file's is preferred."""
        self._catalogue = catalogue
        self._prefers_alias = prefers_alias

    def checkpoint(self, name: str, sha256: str) -> LocalFile | None:
        """Its title."""
        for wanted in filter(None, (sha256, name)):
            try:
                found = self._catalogue.find_checkpoint(wanted)
            except ModelNotFoundError:
                continue
            known = [hashed for hashed in (found.sha256, found.legacy_hash) if hashed]
            same = found.sha256 is None or any(hashed.startswith(sha256.lower()) for hashed in known)
            return LocalFile(found.title, same)
        return None

    def vae(self, name: str, sha256: str) -> LocalFile | None:
        """Its name in the list."""
        files = self._catalogue.vaes()
        found = _found(files, sha256, lambda file: is_one_of(name, _file_names(file)), self._plain())
        return found and LocalFile(found[0].name, found[1])

    def module(self, name: str) -> LocalFile | None:
        """The file name of a VAE or a text encoder; infotexts name it without its suffix."""
        files = self._catalogue.modules()
        found = next((file for file in files if is_one_of(name, _file_names(file), any_case=True)), None)
        return None if found is None else LocalFile(found.path.name)

    def embedding(self, name: str, sha256: str) -> LocalFile | None:
        """The name by which prompts mean it."""
        files = self._catalogue.embeddings()
        found = _found(
            files, sha256, lambda file: is_one_of(name, (_bare(file.prompt_name),), any_case=True), self._plain()
        )
        return found and LocalFile(found[0].prompt_name, found[1])

    def network(self, name: str, sha256: str) -> LocalFile | None:
        """The name that was meant, as the file spells it; the preferred one where only the hash fits."""
        files = self._catalogue.networks("lora").files
        hashes = _Hashes(
            self._catalogue.network_hashes, network_hash_of, lambda file: self._catalogue.network_label(file).sha256
        )
        found = _found(files, sha256, lambda file: is_one_of(name, map(_bare, self._network_names(file))), hashes)
        if found is None:
            return None
        # As the file spells it: prompts are compared by their letters elsewhere too.
        spelled = (known for known in self._network_names(found[0]) if is_one_of(name, (_bare(known),)))
        return LocalFile(next(spelled, None) or self._preferred(found[0]), found[1])

    def _network_names(self, file: ModelFile) -> tuple[str, ...]:
        """Its stem, and what it calls itself if it does."""
        return tuple(name for name in (file.stem, self._catalogue.network_alias(file)) if name)

    def _preferred(self, file: ModelFile) -> str:
        """Its alias if that is wanted, can stand in a tag, and means no other file; else its stem."""
        alias = self._network_names(file)[-1]
        if not self._prefers_alias or _NOT_IN_A_TAG & set(alias):
            return file.stem
        meant = self._catalogue.networks("lora").find(alias)
        return alias if meant is not None and meant.path == file.path else file.stem

    def _plain(self) -> _Hashes:
        return _Hashes(self._catalogue.hashes, sha256_of)


@dataclass(frozen=True, slots=True)
class _Hashes:
    """One kind of hash: those known already, how another is worked out, and what files say theirs is."""

    cache: HashCache
    compute: Callable[[Path], str]
    stated: Callable[[ModelFile], str] = lambda file: ""

    def known(self, file: ModelFile) -> str | None:
        return self.cache.get(file.path, file.state)

    def fits(self, file: ModelFile, wanted: str) -> bool:
        """Whether a file has this hash, cut short anywhere: the one it states, or its own, worked out if need be."""
        return self._states(file, wanted) or self._of(file).startswith(wanted)

    def first(self, files: Sequence[F], wanted: str) -> F | None:
        """The first file with this hash; of those never hashed, as many are read as somebody waits for."""
        stating = next((file for file in files if self._states(file, wanted)), None)
        if stating is not None:
            return stating
        room = _MOST_HASHED
        for file in sorted(files, key=lambda file: self.known(file) is None):
            if self.known(file) is None:
                room -= file.state.size
                if room < 0:
                    return None
            if self._of(file).startswith(wanted):
                return file
        return None

    def _states(self, file: ModelFile, wanted: str) -> bool:
        return self.stated(file).startswith(wanted)

    def _of(self, file: ModelFile) -> str:
        """The hash; empty for a file that can't be read."""
        hashed = self.known(file)
        if hashed is None:
            try:
                hashed = self.compute(file.path)
            except OSError:
                return ""
            self.cache.put(file.path, file.state, hashed)
        return hashed


def _found(files: Sequence[F], sha256: str, named: Callable[[F], bool], hashes: _Hashes) -> tuple[F, bool] | None:
    """(the file, whether it is the one that was meant): that of the name if its hash agrees, else that of the hash."""
    wanted = sha256.lower()
    first = next(filter(named, files), None)
    if first is not None and (not wanted or hashes.fits(first, wanted)):
        return first, True
    other = hashes.first(files, wanted) if wanted else None
    if other is not None:
        return other, True
    return None if first is None else (first, False)


def _bare(name: str) -> str:
    """A name as A1111 writes it among hashes."""
    return name.replace(",", "").replace(":", "")


def _file_names(file: ModelFile) -> tuple[str, ...]:
    return (file.name, file.path.name, file.stem)
