"""Is there an NVIDIA card, how old is it, and which CUDA does its driver support? Read from the driver, not guessed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

from modules.launch.machine import Computer

DRIVER_LIBRARIES = {
    "Windows": ("nvcuda.dll",),
    "Linux": ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"),
}
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76

# NVIDIA's table of the first driver of each CUDA release that matters here, for drivers that only nvidia-smi reports.
CUDA_OF_DRIVER = ((580, (13, 0)), (570, (12, 8)), (560, (12, 6)), (525, (12, 0)), (450, (11, 0)))


TURING, BLACKWELL = (7, 5), (10, 0)


class Nvidia(NamedTuple):
    """The card of the machine that decides which torch it gets: `deciding` one of them."""

    name: str
    cuda: tuple[int, int]
    capability: tuple[int, int] | None


def find_nvidia(machine: Computer) -> Nvidia | None:
    """The NVIDIA card, or None where there is none that a program may use."""
    return _from_library(machine) or _from_nvidia_smi(machine)


def driver_cuda(machine: Computer) -> tuple[int, int] | None:
    """The newest CUDA that the installed driver speaks; fast, for it touches no card."""
    library = _library(machine)
    return None if library is None else _cuda_version(library)


def _library(machine: Computer) -> Any:  # noqa: ANN401 - a foreign library has the functions it has
    for name in DRIVER_LIBRARIES.get(machine.system, ()):
        try:
            return machine.library(name)
        except OSError:
            continue
    return None


def _from_library(machine: Computer) -> Nvidia | None:
    library = _library(machine)
    if library is None:
        return None
    cuda = _cuda_version(library)
    if cuda is None or library.cuInit(0) != 0:
        return None
    cards = [_card(library, index) for index in range(_number(library.cuDeviceGetCount))]
    return deciding([Nvidia(name, cuda, capability) for name, capability in cards])


def _cuda_version(library: Any) -> tuple[int, int] | None:  # noqa: ANN401
    number = _number(library.cuDriverGetVersion)
    return (number // 1000, number % 1000 // 10) if number else None


def _card(library: Any, index: int) -> tuple[str, tuple[int, int]]:  # noqa: ANN401
    device = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), device)
    major = _number(library.cuDeviceGetAttribute, CAPABILITY_MAJOR, device)
    minor = _number(library.cuDeviceGetAttribute, CAPABILITY_MINOR, device)
    return name.value.decode("utf-8", "replace"), (major, minor)


def _number(function: Any, *arguments: Any) -> int:  # noqa: ANN401
    # The driver's functions write their answer through a first pointer and return 0 when all is well.
    answer = ctypes.c_int()
    return answer.value if function(ctypes.byref(answer), *arguments) == 0 else 0


def _from_nvidia_smi(machine: Computer) -> Nvidia | None:
    program = machine.which("nvidia-smi")
    if program is None:
        return None
    cards = []
    for fields in ("driver_version,compute_cap,name", "driver_version,name"):
        reply = machine.ask([program, f"--query-gpu={fields}", "--format=csv,noheader"], timeout=30)
        if reply.code == 0:
            cards = [card for card in map(_smi_card, reply.output.splitlines()) if card is not None]
            break
    return deciding(cards)


def deciding(cards: Sequence[Nvidia]) -> Nvidia | None:
    """The oldest card, since torch has to have kernels for it too.

    No build has them for Blackwell and for what was before Turing: then the newest, and the engine leaves the old one
    out.
    """
    by_age = sorted(cards, key=lambda card: card.capability or (0, 0))
    if not by_age:
        return None
    oldest, newest = by_age[0].capability or TURING, by_age[-1].capability or TURING
    return by_age[-1] if oldest < TURING and newest >= BLACKWELL else by_age[0]


def _smi_card(line: str) -> Nvidia | None:
    parts = [part.strip() for part in line.split(",")]
    driver = parts[0].split(".")[0]
    if len(parts) < 2 or not driver.isdigit():
        return None
    cuda = next((release for first, release in CUDA_OF_DRIVER if int(driver) >= first), (10, 0))
    capability = None
    if len(parts) > 2 and parts[1].replace(".", "", 1).isdigit():
        major, _, minor = parts[1].partition(".")
        capability = (int(major), int(minor or 0))
    return Nvidia(parts[-1], cuda, capability)
