"""What was read from model files and their sidecars, by path and state, stored so that each is read once."""

import json
import logging
import threading
from pathlib import Path
from typing import Final

from modules.catalogue.card_facts import CardFacts
from modules.catalogue.card_files import CardFiles
from modules.files import SaveError, write_text_atomic

# Another number makes older files of no use: raise it when facts are read in another way.
_VERSION: Final = 4

log = logging.getLogger(__name__)


class FactsCache:
    """Facts about models in memory and in a JSON file; safe to use from several threads.

    The file is a cache: one that is damaged or can't be written costs time, never an error.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[str, CardFacts]] | None = None

    def get(self, files: CardFiles) -> CardFacts | None:
        """The facts, if they are known and no file has changed."""
        with self._lock:
            entry = self._loaded().get(str(files.model.path))
        return entry[1] if entry is not None and entry[0] == files.fingerprint else None

    def put(self, files: CardFiles, facts: CardFacts) -> None:
        """Remember facts in memory; `save` writes them."""
        with self._lock:
            self._loaded()[str(files.model.path)] = (files.fingerprint, facts)

    def save(self) -> None:
        """Write all facts whose model file is still there."""
        with self._lock:
            rows = {
                path: [fingerprint, facts.as_row()]
                for path, (fingerprint, facts) in self._loaded().items()
                if Path(path).is_file()
            }
        try:
            write_text_atomic(self._file, json.dumps({"version": _VERSION, "models": rows}))
        except SaveError as error:
            log.warning("%s Cards are read again next time.", error)

    def _loaded(self) -> dict[str, tuple[str, CardFacts]]:
        # Not at the start of the program, which would wait for it.
        if self._entries is None:
            self._entries = _read(self._file)
        return self._entries


def _read(file: Path) -> dict[str, tuple[str, CardFacts]]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        return {}
    entries: dict[str, tuple[str, CardFacts]] = {}
    models = document.get("models")
    for path, row in models.items() if isinstance(models, dict) else ():
        match row:
            case [str(fingerprint), dict(values)] if (facts := CardFacts.from_row(values)) is not None:
                entries[path] = (fingerprint, facts)
    return entries
