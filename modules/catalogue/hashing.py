"""Hashing checkpoints in the background, so that titles get their hash without anyone waiting for a disk."""

import logging
import threading

from modules.catalogue.catalogue import Catalogue
from modules.catalogue.entries import Checkpoint
from modules.catalogue.hashes import sha256_of

log = logging.getLogger(__name__)


class BackgroundHashing:
    """One low-key thread that hashes what has no hash yet; `wake` after a refresh, `stop` at the end."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def start(self) -> None:
        """Begin; to be called once."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """Look for files without a hash again."""
        self._idle.clear()
        self._wake.set()

    def wait(self, timeout: float) -> bool:
        """Wait until everything is hashed; False if it took longer than `timeout` seconds."""
        return self._idle.wait(timeout)

    def stop(self) -> None:
        """End within one megabyte of reading."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._wake.wait() and not self._stop.is_set():
            self._wake.clear()
            for checkpoint in self._catalogue.checkpoints():
                if checkpoint.sha256 is None and not self._stop.is_set():
                    self._hash(checkpoint)
            if not self._wake.is_set():
                self._idle.set()

    def _hash(self, checkpoint: Checkpoint) -> None:
        try:
            sha256 = sha256_of(checkpoint.path, stopped=self._stop.is_set)
        except OSError as error:
            log.warning("%s can't be hashed: %s.", checkpoint.name, error.strerror or error)
            return
        if sha256:
            self._catalogue.remember_hash(checkpoint.path, checkpoint.state, sha256)
