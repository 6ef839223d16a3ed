"""What the step loop costs over the bare UNet forwards it makes: the same calls, with and without our sampling around.

    python -m benchmarks.step_loop --side 256 512 --steps 6
    python -m benchmarks.step_loop --family SDXL --narrow --side 256

Uses a random checkpoint of exactly SD 1.5's or SDXL's size, or of all of its layers at about half of their widths:
then a step computes a quarter, and what is around it weighs four times as much. Loop and bare forwards take turns, so
that a machine that slows down slows both. On a busy machine the ratio of CPU seconds is the one to read.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from modules.generation.pipeline import Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.generation.unet import unet_function
from modules.hardware.choice import choose_hardware, prepare_torch
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import Conditioning
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import SD15, SDXL_BASE, write_large_checkpoint

FAMILIES = {"SD1.5": SD15, "SDXL": SDXL_BASE}
# Whole heads of 64 channels and whole groups of the norms.
NARROW = {
    "SD1.5": replace(SD15, unet_channels=(160, 320, 640, 640)),
    "SDXL": replace(SDXL_BASE, unet_channels=(192, 320, 640), heads=(3, 5, 10)),
}


def request_of(side: int, steps: int) -> ResolvedRequest:
    values = {
        "prompt": "a lighthouse on a cliff, (storm:1.2)",
        "negative_prompt": "blurry",
        "width": side,
        "height": side,
        "steps": steps,
        "sampler_name": "DPM++ 2M",
    }
    return resolve(parse_request(values | {"seed": 1}), options={}, rng=random.Random(0))


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Seconds:
    """What something took by the clock, and of the processor."""

    wall: float
    cpu: float


def since(wall: float, cpu: float) -> Seconds:
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def timed_loop(pipeline: Pipeline, request: ResolvedRequest) -> Seconds:
    quiet = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
    started = time.perf_counter(), time.process_time()
    txt2img(pipeline, request, range(1), quiet)
    synchronize(pipeline.device)
    return since(*started)


@torch.inference_mode()
def timed_forwards(pipeline: Pipeline, request: ResolvedRequest) -> Seconds:
    """The UNet alone: as many forwards of two rows as the loop makes steps."""
    side = request.request.width // pipeline.model.vae_factor
    width = pipeline.model.context_dim
    unet = unet_function(pipeline.model.unet, channels_last=pipeline.channels_last)
    x = torch.randn(2, pipeline.model.latent_channels, side, side, device=pipeline.device)
    context = Conditioning(
        torch.randn(2, 77, width, device=pipeline.device, dtype=pipeline.model.unet.dtype), _beside(pipeline)
    )
    started = time.perf_counter(), time.process_time()
    for step in range(request.request.steps):
        unet(x, torch.full((2,), 999.0 - step, device=pipeline.device), context)
    synchronize(pipeline.device)
    return since(*started)


def _beside(pipeline: Pipeline) -> dict[str, torch.Tensor]:
    """What SDXL's UNet takes beside the text."""
    model, device = pipeline.model, pipeline.device
    if not model.family.added_numbers:
        return {}
    pooled = torch.randn(2, model.text_widths[-1], device=device, dtype=model.unet.dtype)
    return {"text_embeds": pooled, "time_ids": torch.ones(2, 6, device=device)}


def measure(pipeline: Pipeline, side: int, steps: int, rounds: int) -> tuple[float, float, float, float]:
    """Median seconds per step of loop and bare forwards, and the medians of their ratios, by the clock and of CPU."""
    request = request_of(side, steps)
    timed_loop(pipeline, request_of(side, 1))
    pairs = [(timed_loop(pipeline, request), timed_forwards(pipeline, request)) for _ in range(rounds)]
    return (
        statistics.median(loop.wall for loop, _ in pairs) / steps,
        statistics.median(bare.wall for _, bare in pairs) / steps,
        statistics.median(loop.wall / bare.wall for loop, bare in pairs),
        statistics.median(loop.cpu / bare.cpu for loop, bare in pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=list(FAMILIES), default="SD1.5")
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--side", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    hardware = choose_hardware()
    prepare_torch(hardware)
    with tempfile.TemporaryDirectory() as folder:
        architecture = (NARROW if arguments.narrow else FAMILIES)[arguments.family]
        path = write_large_checkpoint(Path(folder) / "large.safetensors", architecture)
        model = load_checkpoint(
            path, dtype=hardware.unet_dtype, device=hardware.device, channels_last=hardware.channels_last
        )
        encoder = PromptEncoder(model, clip_tokenizer())
        pipeline = Pipeline(model, encoder, hardware.device, hardware.channels_last)
        print(hardware.why)
        print("| size | loop, s/step | bare UNet, s/step | ratio | ratio of CPU seconds |\n|---|---|---|---|---|")
        for side in arguments.side:
            loop, bare, ratio, cpu = measure(pipeline, side, arguments.steps, arguments.rounds)
            print(f"| {side}² | {loop:.3f} | {bare:.3f} | {ratio:.3f} | {cpu:.3f} |", flush=True)


if __name__ == "__main__":
    main()
