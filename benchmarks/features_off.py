"""What features cost a pass that has none of them on.

    python -m benchmarks.features_off [--steps 4 8] [--checkpoint FILE] [--side 64] [--rounds 3]

Calls of Python functions in txt2img, which no other work on the machine changes: with a pipeline that knows no
features, and with all of them there and off. What they differ by is what features cost; the last column is how much
of it comes again with each step. Then the CPU seconds of what is more, beside those of the pass, medians of the
rounds: at most 0.2 % is allowed. Without a checkpoint one of random weights and a few channels is made, whose steps
cost next to nothing.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import torch

from modules.features.runs import features_for
from modules.generation.pipeline import JobFeature, Pipeline, Progress
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint

ALLOWED = 0.002


def counted(run: Callable[[], object]) -> int:
    """How many Python functions are called meanwhile."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    # What it finalizes, and when, has nothing to do with the run.
    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


def with_features(pipeline: Pipeline) -> Pipeline:
    """The pipeline of a job that may use every feature."""

    def features_of(resolved: ResolvedRequest) -> Sequence[JobFeature]:
        job: Any = SimpleNamespace(resolved=resolved)
        return features_for(job)

    return replace(pipeline, features=features_of)


def a_pass(pipeline: Pipeline, steps: int, side: int) -> Callable[[], object]:
    """A picture's latents without any feature."""
    fields = {"prompt": "a cat", "negative_prompt": "a dog", "width": side, "height": side, "steps": steps, "seed": 1}
    resolved = resolve(parse_request(fields), options={"randn_source": "CPU"}, rng=random.Random(0))
    quiet = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
    return lambda: txt2img(pipeline, resolved, range(1), quiet)


def more_calls(pipeline: Pipeline, steps: Sequence[int], side: int) -> list[tuple[int, int]]:
    """For each number of steps: the calls of a pass that knows no features, and of one with all of them off."""
    found = []
    # The first time that a run is counted it loads something.
    counted(a_pass(with_features(pipeline), min(steps), side))
    for count in steps:
        runs = [a_pass(one, count, side) for one in (pipeline, with_features(pipeline))]
        for run in runs:
            # What is made once, such as an encoding, is in its cache then.
            run()
        found.append((counted(runs[0]), counted(runs[1])))
    return found


def seconds(run: Callable[[], object], rounds: int, times: int = 1) -> float:
    """CPU seconds of one call, the median of the rounds."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(times):
            run()
        found.append((time.process_time() - started) / times)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.checkpoint or write_tiny_checkpoint(Path(folder) / "tiny.safetensors")
        model = load_checkpoint(path)
        pipeline = Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)
        print("| steps | calls, no features | calls, all off | more | more in each step |\n" + "|---" * 5 + "|")
        first: tuple[int, int] | None = None
        for steps, (without, off) in zip(
            arguments.steps, more_calls(pipeline, arguments.steps, arguments.side), strict=True
        ):
            first = first or (steps, off - without)
            again = (off - without - first[1]) / max(steps - first[0], 1)
            print(f"| {steps} | {without} | {off} | {off - without} | {again:g} |")
        own = with_features(pipeline)
        resolved = resolve(parse_request({"prompt": "a cat"}), options={}, rng=random.Random(0))
        setup = seconds(lambda: own.features(resolved), arguments.rounds, times=1000)
        whole = seconds(a_pass(own, arguments.steps[-1], arguments.side), arguments.rounds)
    print("\n| of a pass, CPU s | the pass | share, % | allowed, % |\n" + "|---" * 4 + "|")
    print(f"| {setup:.7f} | {whole:.3f} | {100 * setup / whole:.4f} | {100 * ALLOWED:g} |")


if __name__ == "__main__":
    main()
