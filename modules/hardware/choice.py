"""The choice of device, number types and threads: a pure function from the flags and the machine to a frozen value."""

import logging
from dataclasses import dataclass, field
from typing import Literal

import torch

from modules.hardware.attention import AttentionChoice, AttentionRequest, choose_attention
from modules.hardware.machine import CudaDevice, Machine, probe_machine
from modules.hardware.main_memory import keep_freed_memory

Precision = Literal["full", "half", "autocast"]

log = logging.getLogger(__name__)


class HardwareError(RuntimeError):
    """The device that a flag names is not there; the message is the sentence to show."""


@dataclass(frozen=True, slots=True)
class HardwareRequest:
    """What the flags ask for; the defaults ask for nothing and leave the choice to the machine."""

    use_cpu: bool = False
    device_id: int | None = None
    no_half: bool = False
    no_half_vae: bool = False
    precision: Precision = "autocast"
    channels_last: bool = False
    attention: AttentionRequest = field(default_factory=AttentionRequest)
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how models run; `why` says in one sentence what decided it."""

    device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    text_dtype: torch.dtype
    channels_last: bool
    threads: int
    attention: AttentionChoice
    cudnn_benchmark: bool
    """Whether cuDNN measures its algorithms and takes the fastest.

    Those it picks by rule give NaN in fp16 on Turing cards without tensor cores.
    """
    why: str
    device_name: str
    requested: HardwareRequest
    machine: Machine


def choose_hardware(requested: HardwareRequest | None = None, machine: Machine | None = None) -> Hardware:
    """Choose device, types and attention; without arguments for this machine and no flags.

    Raises:
        HardwareError: `device_id` names a device that is not there.
    """
    requested, machine = requested or HardwareRequest(), machine or probe_machine()
    device, cuda = choose_device(requested, machine)
    dtype, vae_dtype, why = choose_dtype(device, requested, machine, cuda)
    on_cpu = device.type == "cpu"
    if cuda is None and machine.unusable and not requested.use_cpu:
        why = f"{why}; {machine.unusable[0]}"
    text_dtype = torch.float32 if on_cpu else dtype
    threads = requested.threads or machine.physical_cores
    return Hardware(
        device=device,
        unet_dtype=dtype,
        vae_dtype=vae_dtype,
        text_dtype=text_dtype,
        channels_last=requested.channels_last or on_cpu,
        threads=threads,
        attention=choose_attention(requested.attention, device, machine),
        cudnn_benchmark=_lacks_tensor_cores(cuda),
        why=why,
        device_name=_name(device, cuda),
        requested=requested,
        machine=machine,
    )


def prepare_torch(hardware: Hardware) -> None:
    """Set what torch and the C library keep for the whole process: threads, cuDNN's way of choosing, freed memory.

    Once, when the engine starts, on the thread of the steps.
    """
    torch.set_num_threads(hardware.threads)
    if hardware.device.type == "cpu":
        keep_freed_memory()
    if hardware.device.type == "cuda":
        # Recorded steps and locked memory belong to the current device, which is the first one otherwise.
        torch.cuda.set_device(hardware.device)
    torch.backends.cudnn.benchmark = hardware.cudnn_benchmark


def choose_device(requested: HardwareRequest, machine: Machine) -> tuple[torch.device, CudaDevice | None]:
    """CUDA (or ROCm) before MPS before the CPU; `--use-cpu` and `--device-id` decide otherwise."""
    if requested.use_cpu:
        return torch.device("cpu"), None
    if machine.cuda:
        index = machine.cuda[0].index if requested.device_id is None else requested.device_id
        found = next((device for device in machine.cuda if device.index == index), None)
        if found is None:
            there = ", ".join(f"{device.index} ({device.name})" for device in machine.cuda)
            raise HardwareError(f"--device-id {index} names no device; there are: {there}.")
        return torch.device("cuda", index), found
    if requested.device_id is not None:
        log.warning("--device-id %d has no effect: PyTorch sees no CUDA device.", requested.device_id)
    return torch.device("mps" if machine.mps else "cpu"), None


def choose_dtype(
    device: torch.device, requested: HardwareRequest, machine: Machine, cuda: CudaDevice | None = None
) -> tuple[torch.dtype, torch.dtype, str]:
    """The UNet's type, the VAE's, and why. Half types are chosen where they are faster, never for their name.

    fp16 on a CPU has no fast path and is slower than fp32; bf16 has one with AMX or AVX512-BF16
    (benchmarks/unet_dtype.py: 2.4 times as fast as fp32 with AVX512-BF16 alone).
    """
    if requested.no_half or requested.precision == "full":
        return torch.float32, torch.float32, f"{_name(device, cuda)} in fp32, as --no-half or --precision full asks"
    if device.type == "cpu":
        if machine.cpu_amx or machine.cpu_avx512_bf16:
            unit = "AMX" if machine.cpu_amx else "AVX512-BF16"
            why = f"CPU in bf16 with channels_last, since it has {unit}"
            if requested.no_half_vae:
                return torch.bfloat16, torch.float32, f"{why}; its VAE in fp32 as --no-half-vae asks"
            return torch.bfloat16, torch.bfloat16, why
        return torch.float32, torch.float32, "CPU in fp32, since it has no fast path for half types"
    if device.type == "mps":
        vae = torch.float32  # decoding in fp16 on Apple silicon gives black pictures for many VAEs
        return torch.float16, vae, "Apple GPU in fp16, its VAE in fp32"
    return _choose_cuda(device, requested, cuda)


def _choose_cuda(
    device: torch.device, requested: HardwareRequest, cuda: CudaDevice | None
) -> tuple[torch.dtype, torch.dtype, str]:
    name = _name(device, cuda)
    capability = cuda.capability if cuda else (7, 0)
    if capability < (5, 3):
        return torch.float32, torch.float32, f"{name} in fp32, since compute capability {capability} has no fp16"
    if _lacks_tensor_cores(cuda):
        return torch.float16, torch.float32, f"{name} in fp16, its VAE in fp32: GTX 16xx cards decode to black in fp16"
    if requested.no_half_vae:
        return torch.float16, torch.float32, f"{name} in fp16, its VAE in fp32 as --no-half-vae asks"
    # A VAE that overflows fp16 is decoded again in fp32 by generation/; bf16 would never overflow, but its eight
    # bits of mantissa change every picture.
    return torch.float16, torch.float16, f"{name} in fp16"


def _name(device: torch.device, cuda: CudaDevice | None) -> str:
    return cuda.name if cuda else {"cpu": "CPU", "mps": "Apple GPU"}.get(device.type, device.type)


def _lacks_tensor_cores(cuda: CudaDevice | None) -> bool:
    """GTX 1650 and 1660 (and the T500 to T1200 that are built alike) share Turing's number, not its tensor cores."""
    return (
        cuda is not None
        and cuda.capability == (7, 5)
        and not any(series in cuda.name.upper() for series in ("RTX", "TITAN", "TESLA T4"))
    )
