"""What this machine has, found out once, as a value: every choice can be tested with another machine."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """One CUDA (or ROCm) device; `memory` in bytes."""

    index: int
    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices and the processor's abilities. `unusable` says of cards that can't be used why, each in a clause."""

    cuda: tuple[CudaDevice, ...] = ()
    unusable: tuple[str, ...] = ()
    mps: bool = False
    cpu_amx: bool = False
    cpu_avx512_bf16: bool = False
    physical_cores: int = 1
    xformers: bool = False


def probe_machine() -> Machine:
    """Look at the machine that this process runs on."""
    flags = _cpuinfo_flags()
    cards, built_for = _cuda_devices(), torch.cuda.get_arch_list()
    return Machine(
        cuda=tuple(card for card in cards if has_kernels(card.capability, built_for)),
        unusable=_unusable(cards, built_for),
        mps=torch.backends.mps.is_available(),
        cpu_amx=_torch_says("_is_amx_tile_supported", "amx_tile" in flags and "amx_bf16" in flags),
        cpu_avx512_bf16=_torch_says("_is_avx512_bf16_supported", "avx512_bf16" in flags),
        physical_cores=physical_cores(),
        xformers=_xformers_installed(),
    )


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads not counted: a second thread on a core slows matrix products."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = {
        (_read(folder / "physical_package_id"), _read(folder / "core_id"))
        for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    }
    if cores:
        return max(1, min(usable, len(cores)))
    if platform.machine().lower() in ("x86_64", "amd64") and usable > 2:
        return usable // 2  # Windows and others: torch has no portable count, and two threads a core is the rule
    return max(1, usable)


def _cuda_devices() -> tuple[CudaDevice, ...]:
    if not torch.cuda.is_available():
        return ()
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            CudaDevice(index, properties.name, (properties.major, properties.minor), int(properties.total_memory))
        )
    return tuple(found)


def _unusable(cards: tuple[CudaDevice, ...], built_for: Sequence[str]) -> tuple[str, ...]:
    if not cards and torch.version.cuda is not None:
        return (
            f"torch is built for CUDA {torch.version.cuda}, but finds no card: is the driver new enough, and loaded?",
        )
    return tuple(
        f"this build of torch has no kernels for {card.name}: start with --reinstall-torch"
        for card in cards
        if not has_kernels(card.capability, built_for)
    )


def has_kernels(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a card runs what was compiled for these: "sm_86" on 8.6 and 8.9, "compute_90" on 9.0 and all later.

    Also true where the names say nothing of it, as ROCm's.
    """
    kinds = [re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name) for name in built_for]
    code = [(kind[1], (int(kind[2]), int(kind[3]))) for kind in kinds if kind is not None]
    return not code or any(
        built <= capability and (how == "compute" or built[0] == capability[0]) for how, built in code
    )


def _torch_says(name: str, otherwise: bool) -> bool:
    """torch reads it from the processor itself (cpuid), on Windows too, but under private names that may move."""
    ask = getattr(torch.cpu, name, None)
    return bool(ask()) if callable(ask) else otherwise


def _cpuinfo_flags() -> frozenset[str]:
    text = _read(Path("/proc/cpuinfo"))
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def _xformers_installed() -> bool:
    return find_spec("xformers") is not None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
