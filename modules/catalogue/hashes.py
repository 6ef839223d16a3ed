"""Hashes of model files as A1111 shows them, and the cache that makes each file be hashed once.

Model, VAE and embedding: sha256 of the file (titles show 10 digits). LoRA: sha256 of a safetensors file's data part
(12 digits). Legacy: 8 digits over 64 KiB at the offset of 1 MiB, as titles had before 2023.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_header
from modules.files import FileState, SaveError, write_text_atomic

_CHUNK: Final = 1 << 20
_LEGACY_OFFSET: Final = 0x100000
_LEGACY_LENGTH: Final = 0x10000

log = logging.getLogger(__name__)


def sha256_of(path: Path, *, start: int = 0, stopped: Callable[[], bool] = lambda: False) -> str:
    """The file's sha256 in hex, from byte `start`; "" if `stopped` said so halfway."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(_CHUNK):
            if stopped():
                return ""
            digest.update(chunk)
    return digest.hexdigest()


def legacy_hash_of(path: Path) -> str:
    """The short hash of 2022, which old infotexts carry."""
    with path.open("rb") as file:
        file.seek(_LEGACY_OFFSET)
        return hashlib.sha256(file.read(_LEGACY_LENGTH)).hexdigest()[:8]


def network_hash_of(path: Path) -> str:
    """The sha256 of a LoRA's tensors without its metadata, which tools rewrite; 12 digits of it are shown."""
    try:
        start = read_safetensors_header(path).data_start
    except ModelFileError:
        start = 0
    return sha256_of(path, start=start)


class HashCache:
    """Hashes by path, size and modification time, stored in a JSON file; safe to use from several threads.

    The file is a cache: one that is damaged or can't be written costs time, never an error.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries = _read_entries(file)

    def get(self, path: Path, state: FileState) -> str | None:
        """The sha256 of the file if it is known and the file is still the same."""
        with self._lock:
            entry = self._entries.get(str(path.absolute()))
        return entry[2] if entry is not None and entry[:2] == (state.size, state.mtime_ns) else None

    def put(self, path: Path, state: FileState, sha256: str) -> None:
        """Remember a hash, on disk too."""
        with self._lock:
            self._entries[str(path.absolute())] = (state.size, state.mtime_ns, sha256)
            rows = {name: list(entry) for name, entry in sorted(self._entries.items())}
            try:
                write_text_atomic(self._file, json.dumps(rows, indent=1))
            except SaveError as error:
                log.warning("%s Files are hashed again next time.", error)


def _read_entries(file: Path) -> dict[str, tuple[int, int, str]]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    entries: dict[str, tuple[int, int, str]] = {}
    for name, row in document.items() if isinstance(document, dict) else ():
        match row:
            case [int(size), int(mtime_ns), str(sha256)] if len(sha256) == 64:
                entries[name] = (size, mtime_ns, sha256)
    return entries
