"""Latents on their way to pictures: decoded at once, or on a stream of their own beside the steps that follow."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from PIL import Image
from torch import Tensor

from modules.engine.work import Work, picture_of
from modules.generation.decoding import image_of, to_bytes
from modules.hardware.streams import StreamEvent, Streams, is_done, synchronize

_log = logging.getLogger(__name__)

# Takes (picture, index, batch).
Deliver = Callable[[Image.Image, int, int], None]


@dataclass(frozen=True, slots=True)
class _Decode:
    """A decode under way, whose pixels lie in main memory once it is `over`.

    It holds on to its latent: the stream beside may not have read it yet, and a decode that overflowed is done again.
    """

    latent: Tensor
    index: int
    batch: int
    pixels: Tensor
    finite: Tensor
    over: StreamEvent


class DecodeQueue:
    """Has the latents of a job decoded, and its pictures delivered in the order in which they were added, each once.

    With `streams` nobody waits for a picture: `take_up`, called between two steps, delivers those that have arrived.
    What is still under way when the context ends is delivered then, whatever ended it; an error that ended it is not
    replaced by one of a picture that can't be decoded.
    """

    def __init__(self, work: Work, streams: Streams | None, deliver: Deliver) -> None:
        self._work = work
        self._streams = streams
        self._deliver = deliver
        self._under_way: deque[_Decode] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failures = []
        while self._under_way:
            try:
                self._take_first()
            except (RuntimeError, MemoryError, ValueError, OSError) as raised:
                # The pictures behind it may be as good as any.
                failures.append(raised)
        if error is None and failures:
            raise failures[0]
        for failure in failures:
            # What ended the job is for its caller to see: running out of memory is answered otherwise than this.
            _log.error("A picture could not be decoded, after the job had failed.", exc_info=failure)

    def add(self, latent: Tensor, index: int, batch: int) -> None:
        """Decode `latent`, picture `index` of the job. Raises VaeOverflow, here or when the picture is taken up."""
        if self._streams is None or self._work.pipeline.codec.quick is not None:
            self._take_all()
            self._deliver(picture_of(self._work.pipeline, latent), index, batch)
        else:
            self.take_up()
            self._under_way.append(self._begun(self._streams, latent, index, batch))

    def take_up(self) -> None:
        """Deliver what has arrived. It waits for nothing, unless a picture came out as NaN and is decoded again."""
        while self._under_way and is_done(self._under_way[0].over):
            self._take(self._under_way.popleft())

    def _take_all(self) -> None:
        while self._under_way:
            self._take_first()

    def _take_first(self) -> None:
        decode = self._under_way.popleft()
        synchronize(decode.over)
        self._take(decode)

    def _begun(self, streams: Streams, latent: Tensor, index: int, batch: int) -> _Decode:
        pipeline = self._work.pipeline
        with streams.side_stream(after=streams.current_event()):
            picture, finite = pipeline.codec.begin(pipeline.model, latent)
            pixels, finite = streams.fetch(to_bytes(picture)), streams.fetch(finite)
            return _Decode(latent, index, batch, pixels, finite, streams.side_event())

    def _take(self, decode: _Decode) -> None:
        # The check of every picture, looked at here and not on the device: that would wait for all its work.
        picture = image_of(decode.pixels) if decode.finite else picture_of(self._work.pipeline, decode.latent)
        self._deliver(picture, decode.index, decode.batch)
