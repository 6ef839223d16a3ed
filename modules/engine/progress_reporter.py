"""What a running job reports while it runs: steps, and now and then a preview."""

from __future__ import annotations

from torch import Tensor

from modules.engine.channel import Emit
from modules.engine.picture_writer import PictureWriter
from modules.engine.previewer import Pace, Previewer
from modules.protocol import RunJob, StepDone
from modules.settings.choices import PreviewContent


class ProgressReporter:
    """Reports the steps of one job. `effects` gathers which of the options that act only sometimes really did."""

    def __init__(
        self,
        command: RunJob,
        previewer: Previewer,
        emit: Emit,
        writer: PictureWriter,
        effects: set[str],
    ) -> None:
        options = command.resolved.settings.previews
        self._job_id = command.job_id
        self.previewer = previewer
        self._emit = emit
        self._writer = writer
        self.effects = effects
        self._pace = Pace(options)
        self.shown: PreviewContent = options.content if options.enabled else "Combined"

    def step(self, batch: int, step: int, steps: int, fraction: float, denoised: Tensor) -> None:
        """`step` of `steps` of this batch is done, and `fraction` of the whole job."""
        self._emit(StepDone(job_id=self._job_id, batch=batch, step=step, steps=steps, fraction=fraction))
        if self._writer.free_for_preview and self._pace.due(step):
            make = self.previewer.make(denoised)
            if make is not None:
                self._writer.preview(make, batch, step)

    @property
    def shows_finished(self) -> bool:
        """Whether a finished picture is the preview, since the settings want none before."""
        return self._pace.only_finished
