"""What merging two checkpoints of SDXL's size takes: seconds, and the most memory at once.

    python -m benchmarks.merging [--folder DIR]

Writes a random checkpoint of SDXL's exact shapes (6.9 GB) into DIR, which is merged with itself, and the result, and
removes both. The goal (docs/performance.md): at most 3 GB of memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.checkpoint_load import anonymous_memory, peak_memory
from modules.hardware.main_memory import give_back_memory
from modules.parameters.merger_request import ADD_DIFFERENCE, MergeRequest
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.sources import SourceModel
from tests.checkpoints import SDXL_BASE, Architecture, write_large_checkpoint

METHODS = {"Weighted sum": 2, ADD_DIFFERENCE: 3}


def run(folder: Path, architecture: Architecture) -> None:
    """Measure one merge by each method and print them as rows of docs/performance.md's table."""
    checkpoint = write_large_checkpoint(folder / "a.safetensors", architecture)
    print("| method | GB of the result | wall s | CPU s | MB more at once |\n|---|---|---|---|---|")
    for number, (method, count) in enumerate(METHODS.items()):
        request = MergeRequest(interp_method=method, multiplier=0.3)
        sources = [SourceModel(checkpoint, letter, "0" * 64, None) for letter in "abc"[:count]]
        give_back_memory()
        before, wall, cpu = anonymous_memory(), time.perf_counter(), time.process_time()
        with torch.inference_mode(), peak_memory() as peak:
            target = MergeTarget(folder, f"merged {number}", "token")
            path, _ = merge_checkpoints(request, sources, None, target, lambda share: None)
            most = peak() - before
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = path.stat().st_size / 1e9
        path.unlink()
        print(f"| {method} | {size:.1f} | {wall:.1f} | {cpu:.1f} | {most:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        run(Path(folder), SDXL_BASE)


if __name__ == "__main__":
    main()
