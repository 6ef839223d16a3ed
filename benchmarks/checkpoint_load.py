"""How long loading a checkpoint of SD 1.5's size takes against reading its file, what ten switches leave behind, what a
switch to a cached checkpoint, or another VAE, costs; and loading one of SDXL's size, with the memory at its peak.

    python -m benchmarks.checkpoint_load [--folder DIR] [--repeats 3] [--threads N]
                                         [--only loading|switches|cached|sdxl]

Writes random files of the models' exact shapes (2.1 GB each, SDXL's 6.9 GB) into DIR and removes them. "Reading" is
`Path.read_bytes` of the file in the page cache; on a busy machine the CPU seconds are the ones to compare. The
goal (docs/performance.md): fp16 at most 2 times that.
"""

import argparse
import gc
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from modules.engine.model_keeper import ModelKeeper
from modules.hardware.choice import Hardware, choose_hardware
from modules.hardware.device import module_bytes
from modules.parameters.load_options import LoadOptions
from modules.protocol import CheckpointFile
from modules.settings.groups import read_options
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.checkpoints import SD15, SDXL_BASE, write_large_checkpoint, write_sd15_size_checkpoint

CASES = (
    ("fp16 file → fp16", "safetensors", torch.float16, False),
    ("fp16 file → bf16, channels_last (the CPU's default here)", "safetensors", torch.bfloat16, True),
    ("fp16 file → fp32", "safetensors", torch.float32, False),
    ("fp16 .ckpt → bf16, channels_last", "ckpt", torch.bfloat16, True),
)


def best(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The best wall and CPU seconds; what `run` returns is dropped inside the measure's pause."""
    wall, cpu = [], []
    for _ in range(repeats):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        result = run()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
        if hasattr(result, "release"):
            result.release()
        del result
    return min(wall), min(cpu)


def anonymous_memory() -> float:
    """MB of this process's own memory, the page cache not counted; 0 where the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def compare_loading(files: dict[str, Path], device: torch.device, repeats: int) -> None:
    print("| case | read: wall s | CPU s | load: wall s | CPU s | load / read: wall | CPU |")
    print("|---|---|---|---|---|---|---|")
    for name, suffix, dtype, channels_last in CASES:
        path = files[suffix]

        def load(path: Path = path, dtype: torch.dtype = dtype, last: bool = channels_last) -> Model:
            return load_checkpoint(path, dtype=dtype, device=device, channels_last=last)

        load().release()
        read, loaded = best(path.read_bytes, repeats), best(load, repeats)
        cells = (*read, *loaded, loaded[0] / read[0], loaded[1] / read[1])
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |", flush=True)


def switch(files: dict[str, Path], device: torch.device, switches: int) -> None:
    print("\n| switch | MB with the model | MB after its release |\n|---|---|---|")
    for turn in range(switches + 1):
        path = files["safetensors" if turn % 2 else "ckpt"]
        model = load_checkpoint(path, dtype=torch.bfloat16, device=device, channels_last=True)
        held = anonymous_memory()
        model.release()
        print(f"| {turn} | {held:.0f} | {anonymous_memory():.0f} |", flush=True)


def keep(files: dict[str, Path], hardware: Hardware, repeats: int) -> None:
    """Two checkpoints in turn through the engine's own keeper, read each time and cached; then two VAEs in one."""

    def file(suffix: str, vae: str | None, options: dict[str, object]) -> CheckpointFile:
        path = files[suffix]
        # The hash is known, as it is after the first time: it would be worked out beside what is measured.
        known = {"title": path.name, "name": path.name, "sha256": "0" * 64}
        return CheckpointFile(path=str(path), vae_path=vae, load_options=read_options(LoadOptions, options), **known)

    def turns(*chosen: CheckpointFile) -> tuple[float, float]:
        """Wall and CPU seconds of one turn, once all have had theirs."""
        keeper = ModelKeeper(hardware, lambda event: None)
        for one in chosen:
            keeper.load(one)
        wall, cpu = best(lambda: [keeper.load(one) for one in chosen] and None, repeats)
        keeper.unload()
        return wall / len(chosen), cpu / len(chosen)

    gc.freeze()  # as an engine does
    two: dict[str, object] = {"sd_checkpoints_limit": 2, "sd_vae_checkpoint_cache": 1}
    suffixes, vaes = ("safetensors", "ckpt"), (None, str(files["ckpt"]))
    rows = {
        "reading a file": best(files["safetensors"].read_bytes, repeats),
        "to another checkpoint, its file read": turns(*(file(suffix, None, {}) for suffix in suffixes)),
        "to a cached checkpoint": turns(*(file(suffix, None, two) for suffix in suffixes)),
        "to another VAE, its file read": turns(*(file("safetensors", vae, {}) for vae in vaes)),
        "to a cached VAE": turns(*(file("safetensors", vae, two) for vae in vaes)),
    }
    read = rows["reading a file"]
    print("\n| switch | wall s | CPU s | switch / read: wall | CPU |\n|---|---|---|---|---|")
    for name, (wall, cpu) in rows.items():
        print(f"| {name} | {wall:.3f} | {cpu:.3f} | {wall / read[0]:.3f} | {cpu / read[1]:.3f} |", flush=True)


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """What gives the most MB of own memory that this process had since, looked at two hundred times a second."""
    most, ended = [anonymous_memory()], threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            most[0] = max(most[0], anonymous_memory())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most[0]
    finally:
        ended.set()
        thread.join()


def sdxl(folder: Path, hardware: Hardware, repeats: int, switches: int) -> None:
    """Load a file of SDXL's size in its own type, and change between it and one of SD 1.5's size."""
    paths = [
        write_large_checkpoint(folder / "sdxl.safetensors", SDXL_BASE),
        write_large_checkpoint(folder / "sd15.safetensors", SD15),
    ]
    read = best(lambda: len(paths[0].read_bytes()), repeats)
    loaded = best(lambda: load_checkpoint(paths[0], dtype=torch.float16, device=hardware.device), repeats)
    print(f"\nSDXL, fp16 file → fp16: read {read[0]:.2f} s, load {loaded[0]:.2f} s", end=" ")
    print(f"(load / read: wall {loaded[0] / read[0]:.2f}, CPU {loaded[1] / read[1]:.2f})", flush=True)
    before = anonymous_memory()
    with peak_memory() as peak:
        model = load_checkpoint(paths[0], dtype=torch.float16, device=hardware.device)
        weights = sum(map(module_bytes, (model.unet, model.vae, *model.text_encoders))) / 1e6
        most = peak() * 1.048576 - before * 1.048576
    model.release()
    print(f"peak {most:.0f} MB for {weights:.0f} MB of weights: {most / weights:.3f}\n")
    print("| switch | MB with the model | MB after its release |\n|---|---|---|")
    for turn in range(switches):
        model = load_checkpoint(paths[turn % 2], dtype=torch.float16, device=hardware.device)
        held = anonymous_memory()
        model.release()
        print(f"| {turn} {'SDXL' if turn % 2 == 0 else 'SD 1.5'} | {held:.0f} | {anonymous_memory():.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--switches", type=int, default=10)
    parser.add_argument("--only", choices=("loading", "switches", "cached", "sdxl"), default=None)
    options = parser.parse_args()
    hardware = choose_hardware()
    torch.set_num_threads(options.threads or hardware.threads)
    print(f"{hardware.why}; {torch.get_num_threads()} threads; torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.only in (None, "sdxl"):
            sdxl(Path(folder), hardware, options.repeats, options.switches)
        if options.only == "sdxl":
            return
        files = {
            suffix: write_sd15_size_checkpoint(Path(folder) / f"sd15.{suffix}") for suffix in ("safetensors", "ckpt")
        }
        if options.only in (None, "loading"):
            compare_loading(files, hardware.device, options.repeats)
        if options.only in (None, "switches"):
            switch(files, hardware.device, options.switches)
        if options.only in (None, "cached"):
            keep(files, hardware, options.repeats)


if __name__ == "__main__":
    main()
