"""Finding the first answer of a UNet that is no number, at the step that made it."""

from __future__ import annotations

from collections import deque
from typing import Final

import torch
from torch import Tensor

from modules.hardware.streams import StreamEvent, is_done, streams_for

_OVERFLOW: Final = (
    "A tensor with NaNs was produced in Unet: the checkpoint overflows half precision or is broken. "
    "Start with --no-half, or choose another checkpoint."
)


class UnetOverflow(RuntimeError):
    """The UNet answered with NaN or infinity; the message is the sentence to show."""

    def __init__(self) -> None:
        super().__init__(_OVERFLOW)


class FiniteAnswers:
    """Checks each answer of a run. On a CPU at once; a CUDA card computes a flag that is read after the card has come
    so far, a step or two later, because reading it at once would make the processor wait for the card in every step.
    """

    def __init__(self) -> None:
        self._flags: deque[tuple[Tensor, StreamEvent]] = deque()

    def check(self, answer: Tensor) -> None:
        """Check `answer`, and those before it whose flags have arrived.

        Raises:
            UnetOverflow: one of them has a value that is not finite.
        """
        streams = streams_for(answer.device)
        flag = streams.fetch(torch.isfinite(answer).all())
        self._flags.append((flag, streams.current_event()))
        while self._flags and is_done(self._flags[0][1]):
            if not self._flags.popleft()[0]:
                raise UnetOverflow


def require_finite(latents: Tensor) -> None:
    """Check a finished latent; waits for the device.

    Raises:
        UnetOverflow: it has a value that is not finite.
    """
    if not torch.isfinite(latents).all():
        raise UnetOverflow
