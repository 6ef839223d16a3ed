"""The most memory that a job takes: looked at some times a second while it runs, from a thread of its own."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil
import torch

from modules.hardware.device import memory_now
from modules.protocol import MemoryPeak


class MemoryWatch:
    """Use as a context manager around a job. With 0 looks a second nothing is watched and `peak` stays 0.

    What torch holds on a CUDA device is counted by torch itself, whose peaks miss nothing between two looks; what else
    is on the device, and main memory, is what was seen.
    """

    def __init__(self, device: torch.device, per_second: float) -> None:
        self._device = device
        self._pause = 1 / per_second if per_second > 0 else None
        self._process = psutil.Process()
        self._used = self._total = self._own = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> MemoryWatch:
        if self._pause is not None:
            if self._device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self._device)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._pause is not None:
            self._thread.join()

    def peak(self) -> MemoryPeak | None:
        """The most until now."""
        if self._pause is None:
            return None
        self._look()
        if self._device.type != "cuda":
            return MemoryPeak(used=self._used, total=self._total, allocated=self._own)
        return MemoryPeak(
            used=self._used,
            total=self._total,
            allocated=torch.cuda.max_memory_allocated(self._device),
            reserved=torch.cuda.max_memory_reserved(self._device),
        )

    def _watch(self) -> None:
        while not self._end.wait(self._pause):
            self._look()

    def _look(self) -> None:
        if self._device.type == "cuda":
            free, self._total = torch.cuda.mem_get_info(self._device)
        else:
            free, self._total = memory_now(self._device)
            self._own = max(self._own, self._process.memory_info().rss)
        self._used = max(self._used, self._total - free)
