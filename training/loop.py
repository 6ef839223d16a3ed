"""The training loop that both stages share: a time budget, one or several workers on shared weights, checkpoints.

On a CPU two single-threaded workers that update the same weights without locks (Hogwild, Niu et al. 2011) do about
1.4 times the work of one worker with two threads. A run therefore repeats its data, not its last digits.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from training.optimizer import build_optimizers

WARMUP_STEPS = 40
SAVE_EVERY_S = 120.0
REPORT_EVERY_S = 60.0


class Task(Protocol):
    """What a stage trains: the weights, the loss of one random batch, and a line that says how good they are."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def ends(self) -> tuple[str, ...]: ...

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """The loss of a fresh batch; `progress` runs from 0 to 1."""

    def after_step(self, progress: float, leader: bool) -> None:
        """Called after every update, e.g. for an average of the weights."""

    def report(self) -> str:
        """Figures on pictures that are not trained on."""

    def state(self) -> dict[str, Tensor]:
        """What to save."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """The reverse of `state`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast a stage trains, and where it saves."""

    file: Path
    seconds: float
    seed: int
    device: str
    workers: int
    muon_lr: float = 0.025
    adam_lr: float = 6e-4
    constant_until: float = 0.35


def rate_factor(progress: float, step: int, constant_until: float) -> float:
    """Warm-up over the first steps, constant, then linearly to nothing at the end of the budget."""
    decay = min(1.0, (1 - progress) / (1 - constant_until))
    return max(0.0, min(1.0, (step + 1) / WARMUP_STEPS) * decay)


def mixed_precision(device: str) -> contextlib.AbstractContextManager[None]:
    """bfloat16 where it pays: it is 1.5 times as fast as fp32 here, on CPUs as on CUDA."""
    return torch.autocast(device.split(":")[0], torch.bfloat16)


def _save(plan: Plan, task: Task, done: float) -> None:
    part = plan.file.with_suffix(".part")
    torch.save({"seconds": done, "state": task.state()}, part)
    part.replace(plan.file)


def _progress(plan: Plan, before: float) -> Iterator[float]:
    start = time.monotonic()
    while (done := before + time.monotonic() - start) < plan.seconds:
        yield done
    yield plan.seconds


def _worker(rank: int, plan: Plan, task: Task, before: float) -> None:
    if plan.workers > 1:
        torch.set_num_threads(1)
    seed = plan.seed + 1000 * rank + int(before)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizers = build_optimizers(task.model, plan.muon_lr, plan.adam_lr, task.ends)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    saved = reported = before
    losses: list[float] = []
    for step, done in enumerate(_progress(plan, before)):
        progress = done / plan.seconds
        factor = rate_factor(progress, step, plan.constant_until)
        for optimizer, initial in zip(optimizers, rates, strict=True):
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * factor
        loss = task.loss(rng, progress)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        task.after_step(progress, rank == 0)
        losses.append(float(loss.detach()))
        if rank == 0 and (done - reported > REPORT_EVERY_S or progress >= 1):
            print(
                f"{plan.file.stem} {done:6.0f} s  step {step:6d}  loss {np.mean(losses):.4f}  {task.report()}",
                flush=True,
            )
            reported, losses = done, []
        if rank == 0 and (done - saved > SAVE_EVERY_S or progress >= 1):
            _save(plan, task, done)
            saved = done


def train(plan: Plan, task: Task) -> None:
    """Train a stage to the end of its budget, from its last checkpoint if there is one."""
    before = 0.0
    if plan.file.exists():
        saved = torch.load(plan.file, weights_only=True)
        before = saved["seconds"]
        task.restore(saved["state"])
    if before >= plan.seconds:
        return
    plan.file.parent.mkdir(parents=True, exist_ok=True)
    task.model.to(plan.device).train()
    if plan.workers == 1:
        _worker(0, plan, task, before)
        return
    task.model.share_memory()
    spawn(_worker, (plan, task, before), nprocs=plan.workers)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
