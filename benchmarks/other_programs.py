"""Other programs beside ours, on the same random checkpoint of SD 1.5's size: stable-diffusion.cpp and OpenVINO.

    python -m benchmarks.other_programs --side 256 [openvino-bf16 openvino-f32 sd.cpp-f16 sd.cpp-bf16 sd.cpp-f32]

What is not installed is left out, with a sentence that says how to get it. Each program works in a process of its own
with one thread, in turns with ours; its CPU seconds are compared. sd.cpp makes whole pictures (DPM++ 2M with a negative
prompt, like ours); of OpenVINO its forwards are timed alone: the UNet on two rows for a step, the VAE for the end.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn

from benchmarks.whole_picture import NEGATIVE, PROMPT, STEPS, Clock, Parts, draw_here, request_of, webui_pipeline
from modules.hardware.choice import choose_hardware, prepare_torch
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.checkpoints import write_sd15_size_checkpoint

# What draws one picture and adds its seconds.
Draw = Callable[[Parts], None]

INSTALL = {
    "openvino": "pip install openvino",
    "stable_diffusion_cpp": (
        'CMAKE_ARGS="-DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON" pip install stable-diffusion-cpp-python'
    ),
}


@dataclass(frozen=True)
class Picture:
    """What is drawn: the files, the side in pixels, and how many steps are timed."""

    checkpoint: Path
    folder: Path
    side: int
    steps: int


def ours(picture: Picture, _precision: str) -> Draw:
    hardware = choose_hardware()
    prepare_torch(hardware)
    torch.set_num_threads(1)
    engine, request = webui_pipeline(picture.checkpoint, hardware), request_of(picture.side, picture.steps)
    return lambda parts: draw_here(engine, request, parts)


def sd_cpp(picture: Picture, precision: str) -> Draw:
    """stable-diffusion.cpp with weights of this type. It reports its progress before the first step, and after each."""
    import stable_diffusion_cpp

    model = stable_diffusion_cpp.StableDiffusion(
        model_path=str(picture.checkpoint), wtype=precision, n_threads=1, vae_decode_only=True, verbose=False
    )

    def draw(parts: Parts) -> None:
        clock = Clock(parts, picture.steps)
        model.generate_image(
            prompt=PROMPT,
            negative_prompt=NEGATIVE,
            width=picture.side,
            height=picture.side,
            sample_steps=picture.steps,
            sample_method="dpm++2m",
            cfg_scale=7.0,
            seed=1,
            progress_callback=lambda step, steps, seconds: clock.tick(),
        )
        clock.stop()

    return draw


class Step(nn.Module):
    """The UNet with its inputs in a row, as OpenVINO traces it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.unet = model.unet

    def forward(self, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        prediction: Tensor = self.unet(latents, timesteps, encoder_hidden_states=context, return_dict=False)[0]
        return prediction


class Decode(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.vae = model.vae

    def forward(self, latents: Tensor) -> Tensor:
        pictures: Tensor = self.vae.decode(latents, return_dict=False)[0]
        return pictures


def inputs_of(model: Model, side: int) -> dict[str, tuple[Tensor, ...]]:
    cells = side // model.vae_factor
    latents = torch.randn(2, model.latent_channels, cells, cells)
    step = latents, torch.full((2,), 500.0), torch.randn(2, 77, model.context_dim)
    return {"unet": step, "vae": (latents[:1],)}


@torch.no_grad()
def convert(picture: Picture) -> None:
    """Write the UNet and the VAE's decoder as OpenVINO's files, weights in 16 bits. Takes 9 GB of main memory."""
    import openvino

    torch.set_num_threads(1)
    model = load_checkpoint(picture.checkpoint, dtype=torch.float32)
    inputs = inputs_of(model, 128)
    for number, weight in enumerate([*model.unet.parameters(), *model.vae.parameters()]):
        # The random file repeats itself, and OpenVINO keeps equal weights once: no real checkpoint has any.
        weight.mul_(1 + 0.001 * (number % 700))
    for name, module in (("unet", Step(model)), ("vae", Decode(model))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's remarks on diffusers' checks of shapes
            converted = openvino.convert_model(module.eval(), example_input=inputs[name])
        openvino.save_model(converted, picture.folder / f"{name}.xml", compress_to_fp16=True)
        del converted


def openvino_forwards(picture: Picture, precision: str) -> Draw:
    """OpenVINO on the CPU, computing in this type, compiled for exactly these shapes."""
    import openvino

    config = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    core, runs = openvino.Core(), {}
    for name, tensors in inputs_of(load_checkpoint(picture.checkpoint, dtype=torch.float16), picture.side).items():
        model = core.read_model(picture.folder / f"{name}.xml")
        model.reshape({port.any_name: list(tensor.shape) for port, tensor in zip(model.inputs, tensors, strict=True)})
        request = core.compile_model(model, "CPU", config).create_infer_request()
        runs[name] = request, [tensor.numpy() for tensor in tensors]

    def draw(parts: Parts) -> None:
        clock = Clock(parts, picture.steps)
        for _ in range(picture.steps):
            runs["unet"][0].infer(runs["unet"][1])
            clock.tick()
        runs["vae"][0].infer(runs["vae"][1])
        clock.stop()

    return draw


@dataclass(frozen=True)
class Program:
    package: str
    start: Callable[[Picture, str], Draw]
    precision: str


PROGRAMS = {
    "openvino-bf16": Program("openvino", openvino_forwards, "bf16"),
    "openvino-f32": Program("openvino", openvino_forwards, "f32"),
    "sd.cpp-f16": Program("stable_diffusion_cpp", sd_cpp, "f16"),
    "sd.cpp-bf16": Program("stable_diffusion_cpp", sd_cpp, "bf16"),
    "sd.cpp-f32": Program("stable_diffusion_cpp", sd_cpp, "f32"),
}
OURS = Program("torch", ours, "")


def serve(line: Connection, program: Program, picture: Picture) -> None:
    """The process of a program: loads, then draws once for each word it gets and answers with the seconds."""
    draw = program.start(picture, program.precision)
    draw(Parts())  # the first one meets cold caches
    line.send(None)
    while line.recv():
        parts = Parts()
        draw(parts)
        line.send(parts)


@contextmanager
def running(program: Program, picture: Picture) -> Iterator[Callable[[], Parts]]:
    """`program` in a process of its own; what comes with it has it draw once."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there, program, picture))
    process.start()
    there.close()

    def draw() -> Parts:
        here.send(True)
        drawn: Parts = here.recv()
        return drawn

    try:
        here.recv()
        yield draw
        here.send(False)
    finally:
        here.close()
        process.join(10)
        process.kill()


def compare(draw_ours: Callable[[], Parts], draw_theirs: Callable[[], Parts], rounds: int) -> tuple[Parts, Parts]:
    """The seconds of both, who take turns."""
    both = Parts(), Parts()
    for _ in range(rounds):
        for total, drawn in zip(both, (draw_ours(), draw_theirs()), strict=True):
            total.steps += drawn.steps
            total.end += drawn.end
    return both


def seconds(parts: Parts) -> tuple[float, float, float]:
    """CPU seconds of a step, of the end, and of STEPS steps with it; encoding the prompt is left out."""
    step, end = statistics.median(parts.steps), statistics.median(parts.end)
    return step, end, STEPS * step + end


def installed(names: list[str]) -> list[str]:
    """Those that can be run; for the others, says how they are installed."""
    missing = {PROGRAMS[name].package for name in names if importlib.util.find_spec(PROGRAMS[name].package) is None}
    for package in sorted(missing):
        print(f"{package} is not installed and left out: {INSTALL[package]} (best into a venv beside this one's).")
    return [name for name in names if PROGRAMS[name].package not in missing]


def in_a_process(run: Callable[..., object], *given: object) -> None:
    """So that what it takes of main memory is given back."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(run, given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; all if none is named"
    )
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3, help="that are timed; two at least")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the checkpoint and what is made of it stay for the next run")
    arguments = parser.parse_args()
    if unknown := set(arguments.programs) - set(PROGRAMS):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(PROGRAMS)}.")
    names = installed(arguments.programs or list(PROGRAMS))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        picture = Picture(folder / "sd15-size.safetensors", folder, arguments.side, arguments.steps)
        if not picture.checkpoint.exists():
            in_a_process(write_sd15_size_checkpoint, picture.checkpoint)
        if any(PROGRAMS[name].package == "openvino" for name in names) and not (folder / "vae.xml").exists():
            in_a_process(convert, picture)
        table(picture, names, arguments.rounds)


def table(picture: Picture, names: list[str], rounds: int) -> None:
    print(f"{choose_hardware().why}; {sys.platform}, torch {torch.__version__}, one thread")
    print(f"| {picture.side}², CPU s | step | end | {STEPS} steps and end | here | theirs / here | load average |")
    print("|---|---|---|---|---|---|---|")
    with running(OURS, picture) as draw_ours:
        for name in names:
            with running(PROGRAMS[name], picture) as draw_theirs:
                here, there = map(seconds, compare(draw_ours, draw_theirs, rounds))
            cells = (*there, here[2], there[2] / here[2], os.getloadavg()[0])
            print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)
        if not names:
            print("| here | " + " | ".join(f"{cell:.2f}" for cell in seconds(draw_ours())) + " | | | |")


if __name__ == "__main__":
    main()
