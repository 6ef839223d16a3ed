"""What a running job tells while it runs: steps, and now and then a preview."""

from __future__ import annotations

import time
from collections.abc import Callable

from PIL import Image
from torch import Tensor

from modules.engine.channel import Emit
from modules.engine.pictures import PictureWriter
from modules.generation.previews import preview_image
from modules.protocol import RunJob, StepDone


class Telling:
    """Tells the steps of one job. `effects` gathers which of the options that act only sometimes really did."""

    def __init__(
        self,
        command: RunJob,
        colours: Callable[[], Tensor | None],
        emit: Emit,
        writer: PictureWriter,
        effects: set[str],
    ) -> None:
        options = command.resolved.options
        self._job_id = command.job_id
        self._colours = colours
        self._emit = emit
        self._writer = writer
        self.effects = effects
        self._every = float(str(options.get("live_preview_refresh_period", 1000))) / 1000
        self._previews = bool(options.get("live_previews_enable", True))
        self._last_preview = 0.0

    def step(self, batch: int, step: int, steps: int, fraction: float, denoised: Tensor) -> None:
        """`step` of `steps` of this batch is done, and `fraction` of the whole job."""
        self._emit(StepDone(job_id=self._job_id, batch=batch, step=step, steps=steps, fraction=fraction))
        if self._previews and time.monotonic() - self._last_preview >= self._every:
            self._last_preview = time.monotonic()
            self._writer.preview(lambda: self._picture(denoised), batch, step)

    def _picture(self, denoised: Tensor) -> Image.Image | None:
        colours = self._colours()
        return None if colours is None else preview_image(denoised, colours)
