"""What docs/performance.md wants to know of a CUDA card, in one run: speed, memory, sameness of the pictures.

    python -m benchmarks.on_cuda [--side 512] [--steps 20] [--rounds 3]

A random checkpoint of exactly SD 1.5's size, DPM++ 2M with a negative prompt; whole jobs of the engine with encoding,
decoding and PNG, against diffusers' pipeline in the same number type. Each way draws once to warm up; the median of the
rounds counts. `--device cpu` goes through the same on a processor, where only the pictures' sameness means something.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy
import torch
from diffusers.utils import logging
from PIL import Image

from benchmarks.whole_picture import NEGATIVE, PROMPT, pipeline_of, request_of
from modules.catalogue import ModelFolders
from modules.engine.control import JobControl
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.engine.upscalers import UpscalerKeeper
from modules.hardware.budget import MemoryMode
from modules.hardware.choice import Hardware, HardwareRequest, choose_hardware, prepare_torch
from modules.parameters.load_options import LoadOptions
from modules.pictures.opening import open_picture
from modules.protocol import CheckpointFile, ImageReady, JobFinished, RunJob
from modules.protocol.messages import Message
from modules.settings import Paths, parse_flags
from tests.checkpoints import write_sd15_size_checkpoint

# Name, memory mode, and whether the fast mode is on.
WAYS: Final[tuple[tuple[str, MemoryMode, bool], ...]] = (
    ("as it is", "full", False),
    ("fast mode", "full", True),
    ("--medvram", "medvram", False),
    ("--lowvram", "lowvram", False),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture: how long it took in seconds, the most bytes on the card (None without one), and its pixels."""

    seconds: float
    peak: int | None
    picture: Image.Image


def draw(keeper: ModelKeeper, command: RunJob, hardware: Hardware) -> Drawn:
    events: list[Message] = []

    def emit(event: Message) -> None:
        events.append(event)

    folders = ModelFolders.from_paths(Paths.from_flags(parse_flags([], {})))
    on_card = hardware.device.type == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats(hardware.device)
    with FinishedPictures() as pictures:
        run_job(command, keeper, UpscalerKeeper(hardware, folders), JobControl(), hardware, emit, pictures)
    peak = torch.cuda.max_memory_allocated(hardware.device) if on_card else None
    finished = next(event for event in events if isinstance(event, JobFinished))
    encoded = next(event.blobs[0] for event in events if isinstance(event, ImageReady))
    return Drawn(finished.seconds, peak, open_picture(encoded, "The result").convert("RGB"))


def median(draw_once: Callable[[], Drawn], rounds: int) -> Drawn:
    draw_once()
    drawn = [draw_once() for _ in range(rounds)]
    return Drawn(statistics.median(one.seconds for one in drawn), drawn[-1].peak, drawn[-1].picture)


def ours(
    path: Path, hardware: Hardware, side: int, steps: int, rounds: int, mode: MemoryMode, *, fast: bool
) -> tuple[Drawn, str]:
    """(what was drawn, what the System page says of the fast mode)"""
    keeper = ModelKeeper(hardware, lambda event: None, mode)
    file = CheckpointFile(path=str(path), title=path.name, name=path.name, load_options=LoadOptions(fast_mode=fast))
    command = RunJob(job_id="benchmark", resolved=request_of(side, steps), checkpoint=file)
    drawn = median(lambda: draw(keeper, command, hardware), rounds)
    fast_mode = keeper.facts().fast_mode
    keeper.unload()
    return drawn, fast_mode


def theirs(path: Path, hardware: Hardware, side: int, steps: int, rounds: int) -> Drawn:
    pipeline = pipeline_of(path, hardware.unet_dtype).to(hardware.device)

    def once() -> Drawn:
        started = time.perf_counter()
        values = {"width": side, "height": side, "num_inference_steps": steps, "guidance_scale": 7.0}
        picture = pipeline(PROMPT, negative_prompt=NEGATIVE, **values).images[0]
        return Drawn(time.perf_counter() - started, None, picture)

    return median(once, rounds)


def difference(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of two pictures, of 255."""
    return int(numpy.abs(numpy.asarray(one, dtype=numpy.int16) - numpy.asarray(other, dtype=numpy.int16)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint, instead of a new random one of SD 1.5's size")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    hardware = choose_hardware(HardwareRequest(use_cpu=arguments.device == "cpu"))
    if hardware.device.type != arguments.device:
        parser.error("PyTorch sees no CUDA device here; --device cpu goes through the same without one.")
    prepare_torch(hardware)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.checkpoint or write_sd15_size_checkpoint(Path(folder) / "sd15-size.safetensors")
        sizes = arguments.side, arguments.steps, arguments.rounds
        base = theirs(path, hardware, *sizes)
        print(f"{hardware.device_name}: {hardware.why}; {arguments.side}², {arguments.steps} steps\n")
        print(
            "| | s | diffusers / this | peak, GB | largest difference of 255 | fast mode |\n|---|---|---|---|---|---|"
        )
        print(f"| diffusers | {base.seconds:.2f} | 1.00 | | | |")
        plain: Image.Image | None = None
        for name, mode, fast in WAYS:
            drawn, fast_mode = ours(path, hardware, *sizes, mode, fast=fast)
            plain = plain or drawn.picture
            peak = "" if drawn.peak is None else f"{drawn.peak / 1e9:.2f}"
            ratio = base.seconds / drawn.seconds
            apart = difference(drawn.picture, plain)
            print(f"| {name} | {drawn.seconds:.2f} | {ratio:.2f} | {peak} | {apart} | {fast_mode} |", flush=True)


if __name__ == "__main__":
    main()
