"""A job of the Checkpoint Merger: a new model file made of others. What is loaded for pictures stays as it is."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from modules.catalogue.hashes import sha256_of
from modules.engine.channel import Emit
from modules.engine.control import JobControl
from modules.files import temporary_of
from modules.hardware.memory_watch import MemoryWatch
from modules.hardware.out_of_memory import is_out_of_memory
from modules.parameters import RequestError
from modules.parameters.merger_request import ExtractRequest, MergeRequest
from modules.protocol import JobFinished, JobStarted, MergerFiles, RunMerger, SourceCheckpoint, StepDone
from modules.sampling import Interrupted
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.extraction import extract_lora
from modules.weights.merging.loras import LoraToMerge
from modules.weights.merging.sources import SourceModel

# Progress is reported in this many steps.
STEPS: Final = 100
_NO_MEMORY: Final = (
    "There was not enough main memory to make {name}, and nothing was written. Close other programs, or unload the "
    "checkpoint in Settings, and merge again."
)


def run_merger(command: RunMerger, control: JobControl, emit: Emit, watch: MemoryWatch) -> None:
    """Make the file. Raises RequestError, ModelFileError, and SaveError."""
    started = time.monotonic()
    request = command.resolved.request.merger
    if request is None:
        raise RequestError("A job of the Checkpoint Merger came without saying what to do: submit it again.")
    emit(JobStarted(job_id=command.job_id, images=1))
    target = MergeTarget(Path(command.files.folder), command.files.name, command.job_id)
    # What an engine left that was killed at the same job.
    temporary_of(target.folder, target.token).unlink(missing_ok=True)
    progress = _Progress(command.job_id, control, emit)
    notices: tuple[str, ...] = ()
    interrupted = True
    try:
        with suppress(Interrupted), torch.inference_mode():
            progress.report(0.0)
            notices = _made(request, command.files, target, progress)
            interrupted = False
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            # What pictures would be advised, a smaller size, is of no use here.
            raise RequestError(_NO_MEMORY.format(name=target.name)) from error
        raise
    emit(
        JobFinished(
            job_id=command.job_id,
            seconds=time.monotonic() - started,
            interrupted=interrupted,
            notices=notices,
            memory=watch.peak(),
        )
    )


def _made(
    request: MergeRequest | ExtractRequest, files: MergerFiles, target: MergeTarget, progress: _Progress
) -> tuple[str, ...]:
    """Make the file; returns where it is, and what else is to be said. Raises Interrupted."""
    if isinstance(request, ExtractRequest):
        tuned, original = (Path(one.path) for one in files.checkpoints)
        path, notices = extract_lora(request, tuned, original, target, progress.report)
        return f"LoRA saved to {path}.", *notices
    hashed = request.save_metadata and request.add_merge_recipe
    sources = [_source(one, hashed, progress) for one in files.checkpoints]
    vae = None if files.vae is None else Path(files.vae)
    loras = [
        LoraToMerge(Path(path), lora.weight, lora.weight if lora.text_weight is None else lora.text_weight)
        for path, lora in zip(files.loras, request.loras, strict=True)
    ]
    path, notices = merge_checkpoints(request, sources, vae, target, progress.report, loras)
    return f"Checkpoint saved to {path}.", *notices


def _source(file: SourceCheckpoint, hashed: bool, progress: _Progress) -> SourceModel:
    """With its hash if that is wanted: whoever merges a file that was just put there need not wait for the lists."""
    path, sha256 = Path(file.path), file.sha256
    if sha256 is None and hashed:
        sha256 = sha256_of(path, stopped=lambda: progress.stopped)
        progress.raise_if_stopped()
    return SourceModel(path, file.name, sha256, file.legacy_hash)


class _Progress:
    def __init__(self, job_id: str, control: JobControl, emit: Emit) -> None:
        self._job_id = job_id
        self._control = control
        self._emit = emit
        self._step = -1

    @property
    def stopped(self) -> bool:
        return self._control.leave_batch

    def raise_if_stopped(self) -> None:
        if self.stopped:
            raise Interrupted

    def report(self, share: float) -> None:
        """Say how far it is, 0..1. Raises Interrupted if the job is to end."""
        self.raise_if_stopped()
        step = int(share * STEPS)
        if step > self._step:
            self._step = step
            self._emit(StepDone(job_id=self._job_id, batch=0, step=step, steps=STEPS, fraction=share))
