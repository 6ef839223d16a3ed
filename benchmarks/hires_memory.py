"""The memory of a hires pass to 2048x2048 on a CPU: the highest point of a process that makes one.

    python -m benchmarks.hires_memory [--side 2048] [--dtype bf16] [vae] [demo]

`vae` decodes and encodes a picture with a random VAE of SD 1.5's size; `demo` runs both passes of the shipped
checkpoint. Each runs in a process of its own, whose highest resident set the system keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from modules.generation.decoding import decode_latent
from modules.generation.encoding import encode_pictures
from modules.generation.hires import hires_pass
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.resizing import lanczos
from modules.generation.txt2img import txt2img
from modules.hardware.budget import CPU_MEMORY
from modules.hardware.device import move
from modules.parameters import parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.checkpoints import DTYPES, SD15, _make_vae

DEMO = Path(__file__).parents[1] / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"


def highest() -> float:
    """The highest resident set of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def report(what: str, before: float, began: float) -> None:
    now = {"what": what, "before_gb": round(before, 2), "peak_gb": round(highest(), 2)}
    print(json.dumps(now | {"seconds": round(time.monotonic() - began)}), flush=True)


def vae_alone(side: int, dtype: torch.dtype) -> None:
    vae = _make_vae(SD15).eval()
    move(vae, dtype)
    before, began = highest(), time.monotonic()
    picture = decode_latent(vae, torch.randn(4, side // 8, side // 8), LatentScaling(1.0))
    report(f"decode {side}x{side}", before, began)
    began = time.monotonic()
    encode_pictures(vae, picture[None] * 2 - 1, LatentScaling(1.0))
    report(f"decode and encode {side}x{side}", before, began)


def demo(side: int, dtype: torch.dtype) -> None:
    model = load_checkpoint(DEMO, dtype=dtype, vae_dtype=torch.float32)
    pipeline = Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)
    values = {"prompt": "a red circle", "width": 128, "height": 128, "steps": 1, "sampler_name": "Euler", "seed": 1}
    hires = {"enable_hr": True, "hr_scale": side / 128, "hr_upscaler": "Lanczos", "denoising_strength": 0.3}
    request = resolve(parse_request(values | hires), options={"randn_source": "CPU"}, rng=random.Random(0))
    quiet = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
    before, began = highest(), time.monotonic()
    with torch.inference_mode():
        first = txt2img(pipeline, request, range(1), quiet)
        latents = hires_pass(pipeline, request, range(1), first, quiet, lanczos)
        decode_latent(model.vae, latents[0], model.latent_scaling)
    report(f"hires pass to {side}x{side}", before, began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["vae", "demo"], choices=["vae", "demo"])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--here", action="store_true", help="in this process, which then is the one that is measured")
    arguments = parser.parse_args()
    if arguments.here:
        {"vae": vae_alone, "demo": demo}[arguments.what[0]](arguments.side, DTYPES[arguments.dtype])
        return
    print(f"Bound beside the weights: {CPU_MEMORY / 1e9} GB.", flush=True)
    for what in arguments.what:
        command = [what, "--side", str(arguments.side), "--dtype", arguments.dtype, "--here"]
        subprocess.run([sys.executable, "-m", "benchmarks.hires_memory", *command], check=True)


if __name__ == "__main__":
    main()
