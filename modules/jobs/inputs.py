"""The pictures a job starts from, stored beside the queue under the digest of their bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from modules.features.pictures import script_pictures, with_pictures
from modules.files import SaveError, write_atomic
from modules.jobs.job import JobError
from modules.parameters import GenerationRequest, RequestError

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class InputStore:
    """A folder of files named by the sha256 of their content: the same picture given to ten jobs lies there once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Store `data` durably and return its digest. Raises JobError naming the folder when it can't be written."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        try:
            write_atomic(path, data, overwrite=True)
        except SaveError as error:
            raise JobError(f"The job's pictures can't be stored in {path.parent}: {error}") from error
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes stored under `digest`. Raises JobError when the file is gone or is no longer what it was."""
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise JobError(f"A picture this job starts from is gone: {path} ({error.strerror or error}).") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise JobError(f"A picture this job starts from has changed on disk: {path}.")
        return data

    def path(self, digest: str) -> Path:
        """Where the bytes of `digest` lie. Raises JobError when they are gone."""
        if digest not in self:
            raise JobError("A picture this job starts from is gone: bring it again.")
        return self._path(digest)

    def __contains__(self, digest: str) -> bool:
        return bool(_DIGEST.fullmatch(digest)) and self._path(digest).exists()

    def prune(self, in_use: Collection[str]) -> int:
        """Delete what no job refers to, leftovers of a crash included; returns how many files went."""
        gone = 0
        for path in self._folder.glob("*/*"):
            if path.name not in in_use:
                with suppress(OSError):
                    path.unlink()
                    gone += 1
        return gone

    def _path(self, digest: str) -> Path:
        # Two levels, so that no folder grows to tens of thousands of files.
        return self._folder / digest[:2] / digest


def references(request: GenerationRequest) -> tuple[str, ...]:
    """What the request's pictures are called, each once, in the order of their first use."""
    named = (*request.init_images, request.mask, request.firstpass_image, *script_pictures(request.scripts))
    return tuple(dict.fromkeys(name for name in named if name))


def stored(request: GenerationRequest, given: Mapping[str, bytes], store: InputStore) -> GenerationRequest:
    """`request` with its pictures stored and referred to by digest.

    A reference is a key of `given`, or the digest of a picture that an earlier job brought. Raises RequestError for
    any other.
    """
    digests: dict[str, str] = {}
    for name in references(request):
        if name in given:
            digests[name] = store.put(given[name])
        elif name in store:
            digests[name] = name
        else:
            raise RequestError(f"The picture {name[:60]!r} that this job should start from was not sent with it.")
    if not digests:
        return request
    return request.model_copy(
        update={
            "init_images": tuple(digests[name] for name in request.init_images),
            "mask": digests[request.mask] if request.mask else None,
            "firstpass_image": digests[request.firstpass_image] if request.firstpass_image else None,
            "scripts": with_pictures(request.scripts, digests.__getitem__),
        }
    )
