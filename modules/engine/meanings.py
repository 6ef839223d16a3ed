"""What pictures and texts mean, as vectors of a CLIP: worked out beside everything else, on the processor.

Threads of their own, and main memory alone: neither the card's memory nor the plan for it is touched, and a job that
comes does not wait for them. Pictures are looked at only while there is no job, on Linux with the lowest priority; a
search's text is read at any time, which takes a few hundredths of a second.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Closed, Emit
from modules.files import FileState, found_file
from modules.hardware.main_memory import give_back_memory
from modules.hardware.out_of_memory import is_out_of_memory
from modules.pictures.opening import BROKEN, MOST_PIXELS, eight_bits, read_header
from modules.prompt import clip_tokenizer
from modules.protocol import EncodePictures, EncodeText, Meanings
from modules.weights.clip_text import TextHalf, read_text_half
from modules.weights.control.image_encoder import ImageEncoder, read_image_encoder

_log = logging.getLogger(__name__)
_LOWEST: Final = 19
# Seconds that a model stays in memory after it was of use.
_LINGERS: Final = 60.0
_FileState = tuple[Path, FileState]


class MeaningWorker:
    """Answers in the order of asking, `idly` behind whatever else the processor does.

    `busy` says whether a job is there.
    """

    def __init__(self, busy: Callable[[], bool], emit: Emit, *, idly: bool = False) -> None:
        self._busy, self._emit, self._idly = busy, emit, idly
        self._commands: queue.SimpleQueue[EncodePictures | EncodeText | None] = queue.SimpleQueue()
        self._sees: tuple[_FileState, ImageEncoder] | None = None
        self._reads: tuple[_FileState, TextHalf] | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, name="meanings", daemon=True).start()

    def ask(self, command: EncodePictures | EncodeText) -> None:
        self._commands.put(command)

    def make_way(self) -> None:
        """Give the memory back: a job has come, or somebody wants everything unloaded."""
        self._commands.put(None)

    def _work(self) -> None:
        if self._idly and sys.platform == "linux":
            # There a priority is a thread's own, and those that torch starts for it inherit it.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        while True:
            try:
                command = self._commands.get(timeout=_LINGERS if self._sees or self._reads else None)
            except queue.Empty:
                command = None
            try:
                if command is None:
                    self._forget()
                else:
                    self._answer(command)
            except Closed:
                return

    def _answer(self, command: EncodePictures | EncodeText) -> None:
        try:
            match command:
                case EncodePictures():
                    vectors = self._seen(command)
                case EncodeText():
                    vectors = [self._read(command)]
        except ModelFileError as error:
            self._emit(Meanings(request=command.request, failure=str(error)))
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: the next one is answered all the same
            _log.warning("Searching by meaning failed.", exc_info=error)
            self._forget()
            failure = "" if is_out_of_memory(error) else f"{Path(command.encoder).name} can't be used: {error}"
            self._emit(Meanings(request=command.request, failure=failure))
        else:
            self._emit(Meanings(request=command.request, blobs=tuple(vectors)))

    def _forget(self) -> None:
        if self._sees or self._reads:
            self._sees = self._reads = None
            give_back_memory()

    def _seen(self, command: EncodePictures) -> Sequence[bytes]:
        """The vectors of the pictures, one after the other, until a job comes."""
        vectors = list[bytes]()
        path = Path(command.encoder)
        for file in command.files:
            if self._busy():
                break
            key = _key(path)
            if self._sees is None or self._sees[0] != key:
                # Room first: the old one and the new one would be there at once.
                self._sees = None
                self._sees = (key, read_image_encoder(path, dtype=torch.float32))
            vectors.append(_look(self._sees[1], Path(file)))
        return vectors

    def _read(self, command: EncodeText) -> bytes:
        path = Path(command.encoder)
        key = _key(path)
        if self._reads is None or self._reads[0] != key:
            self._reads = None
            self._reads = (key, read_text_half(path, dtype=torch.float32))
        return _as_bytes(self._reads[1].encode(clip_tokenizer().encode(command.text)))


def _key(path: Path) -> _FileState:
    found = found_file(path)
    return path, found.state if found else FileState(0, 0)


def _look(encoder: ImageEncoder, file: Path) -> bytes:
    """A picture's vector; nothing for one that can't be opened."""
    picture = _opened(file, encoder.side)
    if picture is None:
        return b""
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    return _as_bytes(encoder.encode(pixels).vector[0])


def _opened(file: Path, side: int) -> Image.Image | None:
    """A picture whose shorter side is `side`, upright and without transparency; None where it can't be read."""
    try:
        with read_header(file) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.draft("RGB", (4 * side, 4 * side))
            picture = eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
        scale = side / min(picture.size)
        width, height = (max(side, int(length * scale)) for length in picture.size)
        return picture.resize((width, height), Image.Resampling.BICUBIC)
    except BROKEN:
        return None


def _as_bytes(vector: Tensor) -> bytes:
    values = vector.float().numpy()
    return np.ascontiguousarray(values / max(float(np.linalg.norm(values)), 1e-12), np.float32).tobytes()
