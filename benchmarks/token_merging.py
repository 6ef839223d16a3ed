"""What merging tokens spares: one UNet forward of SD 1.5's size by the ratio that is merged.

    python -m benchmarks.token_merging [--sides 512 1024] [--rows 2] [--rounds 2]

CPU seconds of one thread in the number type that this processor gets, ratios taking turns after one forward that warms
caches up. Random weights: what is merged differs from a trained model's, how much of it does not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from benchmarks.unet_dtype import converted, random_modules
from modules.generation.token_merging import tokens_merged
from modules.hardware.choice import choose_hardware, prepare_torch

RATIOS = (0.0, 0.3, 0.5, 0.75)


@torch.inference_mode()
def step(unet: UNet2DConditionModel, side: int, rows: int, ratio: float) -> float:
    """CPU seconds of one forward over `rows` latents of `side` pixels."""
    cells, randn = side // 8, partial(torch.randn, dtype=unet.dtype)
    latents = randn(rows, 4, cells, cells).contiguous(memory_format=torch.channels_last)
    context = randn(rows, 77, 768)
    started = time.process_time()
    with tokens_merged(unet, ratio, (cells, cells), torch.device("cpu")):
        unet(latents, 500, context)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[512])
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    hardware = choose_hardware()
    prepare_torch(hardware)
    torch.set_num_threads(1)
    unet = converted(random_modules().unet, hardware.unet_dtype, torch.channels_last)
    print(hardware.why)
    print("| size | rows | " + " | ".join(f"{ratio:g}" for ratio in RATIOS) + " |\n|---|---|" + "---|" * len(RATIOS))
    for side in arguments.sides:
        step(unet, side // 2, 1, 0.0)
        turns = [[step(unet, side, arguments.rows, ratio) for ratio in RATIOS] for _ in range(arguments.rounds)]
        seconds = [statistics.median(column) for column in zip(*turns, strict=True)]
        print(f"| {side}² | {arguments.rows} | " + " | ".join(f"{one:.2f}" for one in seconds) + " |", flush=True)


if __name__ == "__main__":
    main()
