"""How the gallery sees: pictures and texts go to the engine, with the CLIP that lies in `models/clip_vision`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from modules.catalogue import Catalogue
from modules.catalogue.clip_files import ClipPair
from modules.files import FoundFile
from modules.gallery.index.errors import MeaningError
from modules.protocol import EncodePictures, EncodeText, Meanings

_log = logging.getLogger(__name__)
# Seconds: reading a large model from a slow disk is part of it.
_PATIENCE: Final = 120.0
_TEXT_PATIENCE: Final = 30.0
Ask = Callable[[Callable[[int], EncodePictures | EncodeText], float], Meanings | None]


class ClipEyes:
    """Safe to use from any thread. `is_on` is the setting."""

    def __init__(self, catalogue: Catalogue, ask: Ask, is_on: Callable[[], bool]) -> None:
        self._catalogue, self._ask, self._is_on = catalogue, ask, is_on
        self._lock = threading.Lock()
        # Files that turned out to be of no use, each with the sentence for why, until they are replaced.
        self._refused: dict[FoundFile, str] = {}

    def encoder(self) -> str:
        return self._pair().identity

    def see(self, pictures: Sequence[Path]) -> Sequence[bytes] | None:
        file, names = self._pair().pictures, tuple(map(str, pictures))
        answer = self._ask(
            lambda number: EncodePictures(request=number, encoder=str(file.path), files=names), _PATIENCE
        )
        return None if answer is None else self._checked(answer, file).blobs

    def read(self, text: str) -> bytes:
        pair = self._pair()
        file = pair.texts
        if file is None:
            raise MeaningError(
                f"No file in {self._folder} reads texts for {pair.pictures.path.name}: put a whole CLIP there, such as "
                "model.safetensors of openai/clip-vit-large-patch14, or its half for texts."
            )
        answer = self._ask(lambda number: EncodeText(request=number, encoder=str(file.path), text=text), _TEXT_PATIENCE)
        if answer is None or not (answer.failure or answer.blobs):
            raise MeaningError("The engine can't read this search's text just now: try again in a moment.")
        return self._checked(answer, file).blobs[0]

    @property
    def _folder(self) -> Path:
        return next(iter(self._catalogue.folders.clip_vision), Path("models/clip_vision"))

    def _pair(self) -> ClipPair:
        """The files to see and read with. Raises MeaningError where there is none."""
        if not self._is_on():
            raise MeaningError("Searching by meaning is off: a setting of the gallery turns it on.")
        with self._lock:
            refused = dict(self._refused)
        pair = self._catalogue.clip_pair(list(refused))
        if pair is not None:
            return pair
        there = [sentence for file, sentence in refused.items() if file.path.exists()]
        raise MeaningError(
            there[-1]
            if there
            else f"Searching by meaning needs an image encoder (CLIP-ViT-L, say): put one into {self._folder}."
        )

    def _checked(self, answer: Meanings, file: FoundFile) -> Meanings:
        if not answer.failure:
            return answer
        with self._lock:
            known = file in self._refused
            self._refused[file] = answer.failure
        if not known:
            _log.warning("Pictures can't be found by meaning with this file. %s", answer.failure)
        raise MeaningError(answer.failure)
