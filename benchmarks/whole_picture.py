"""A whole picture against diffusers' own pipeline: prompt, steps with their negative prompt, decoding.

    python -m benchmarks.whole_picture --against fp32
    python -m benchmarks.whole_picture --against same

A random checkpoint of exactly SD 1.5's size, DPM++ 2M here and diffusers' DPMSolverMultistepScheduler there: one UNet
forward of two rows a step for both. "fp32" is the pipeline as it comes, "same" the pipeline in our number type. Both
take turns, in CPU seconds of one thread, which a busy machine disturbs least. A few steps are timed one by one and the
picture of 20 is put together from the encoding, the steps' median and the decoding.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.utils import logging

from modules.generation.decoding import decode_latent, to_image
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.hardware.choice import Hardware, choose_hardware, prepare_torch
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import clip_of, write_sd15_size_checkpoint
from tests.reference_tokenizer import reference_tokenizer

STEPS = 20
PROMPT, NEGATIVE = "a lighthouse on a cliff, storm", "blurry"


def request_of(side: int, steps: int) -> ResolvedRequest:
    values = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "width": side,
        "height": side,
        "steps": steps,
        "sampler_name": "DPM++ 2M",
        "seed": 1,
    }
    return resolve(parse_request(values), options={"randn_source": "CPU"}, rng=random.Random(0))


@dataclass
class Parts:
    """CPU seconds: before the first step, of each step, and from the last one to the finished picture."""

    start: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)

    def picture(self) -> float:
        """Seconds of a picture of STEPS steps."""
        return statistics.median(self.start) + STEPS * statistics.median(self.steps) + statistics.median(self.end)


class Clock:
    """Splits one picture into its parts; `tick` is called at the end of each step."""

    def __init__(self, parts: Parts, steps: int) -> None:
        self._parts = parts
        self._ticks = [time.process_time()]
        self._steps = steps

    def tick(self) -> None:
        self._ticks.append(time.process_time())

    def stop(self) -> None:
        """The first step's start can't be seen from outside: it is taken to be as long as the others."""
        ticks = self._ticks
        steps = [later - earlier for earlier, later in pairwise(ticks[1:])]
        self._parts.steps.extend(steps)
        self._parts.start.append(max(0.0, ticks[1] - ticks[0] - statistics.median(steps)))
        self._parts.end.append(time.process_time() - ticks[-1])


def draw_here(engine: Pipeline, request: ResolvedRequest, parts: Parts) -> None:
    # A text met before costs nothing here: a new encoder has to encode it, as the pipeline does each time.
    engine = replace(engine, encoder=PromptEncoder(engine.model, clip_tokenizer()))
    clock = Clock(parts, request.request.steps)
    quiet = Progress(on_step=lambda step, steps, denoised: clock.tick(), before_call=lambda: None)
    latents = txt2img(engine, request, range(1), quiet)
    to_image(decode_latent(engine.model.vae, latents[0], engine.model.latent_scaling))
    clock.stop()


def draw_there(pipeline: StableDiffusionPipeline, side: int, steps: int, parts: Parts) -> None:
    clock = Clock(parts, steps)

    def tick(_pipeline: object, _step: int, _timestep: object, values: dict[str, object]) -> dict[str, object]:
        clock.tick()
        return values

    pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        width=side,
        height=side,
        num_inference_steps=steps,
        guidance_scale=7.0,
        generator=torch.Generator().manual_seed(1),
        callback_on_step_end=tick,
    )
    clock.stop()


def webui_pipeline(path: Path, hardware: Hardware) -> Pipeline:
    """Our side, with the number types and the memory layout that people get."""
    model = load_checkpoint(
        path,
        dtype=hardware.unet_dtype,
        vae_dtype=hardware.vae_dtype,
        text_dtype=hardware.text_dtype,
        device=hardware.device,
        channels_last=hardware.channels_last,
    )
    encoder = PromptEncoder(model, clip_tokenizer())
    return Pipeline(model, encoder, hardware.device, hardware.channels_last)


def pipeline_of(path: Path, dtype: torch.dtype) -> StableDiffusionPipeline:
    model = load_checkpoint(path, dtype=dtype)
    absent: Any = None  # both are optional, which their annotations don't say
    pipeline = StableDiffusionPipeline(
        vae=model.vae,
        text_encoder=clip_of(model),
        tokenizer=reference_tokenizer(77),
        unet=model.unet,
        scheduler=DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=absent,
        feature_extractor=absent,
    )
    pipeline.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]  # unannotated there
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", choices=("fp32", "same"), default="fp32")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, help="a file of SD 1.5's size, instead of a new random one")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    hardware = choose_hardware()
    prepare_torch(hardware)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.checkpoint or write_sd15_size_checkpoint(Path(folder) / "sd15-size.safetensors")
        engine = webui_pipeline(path, hardware)
        pipeline = pipeline_of(path, torch.float32 if arguments.against == "fp32" else hardware.unet_dtype)
        here, there = Parts(), Parts()
        for _ in range(arguments.rounds):
            draw_here(engine, request_of(arguments.side, arguments.steps), here)
            draw_there(pipeline, arguments.side, arguments.steps, there)
    print(f"{hardware.why}; load average {os.getloadavg()[0]:.1f}")
    print(f"| {arguments.side}², {STEPS} steps, CPU s | start | step | end | picture |\n|---|---|---|---|---|")
    for name, parts in (("here", here), (f"diffusers, {arguments.against}", there)):
        cells = [statistics.median(one) for one in (parts.start, parts.steps, parts.end)]
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in (*cells, parts.picture())) + " |")
    print(f"diffusers / here: {there.picture() / here.picture():.2f}")


if __name__ == "__main__":
    main()
