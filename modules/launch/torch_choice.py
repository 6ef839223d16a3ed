"""Which build of torch suits this computer, and the pip commands that fetch it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from modules.launch.machine import Computer, LaunchError
from modules.launch.nvidia import BLACKWELL, TURING, Nvidia

TORCH_VERSION = "2.13.0"
TORCH = f"torch=={TORCH_VERSION}"
TORCH_INDEX = "https://download.pytorch.org/whl"

OLDEST_CUDA = (12, 0)


class TorchPlan(NamedTuple):
    """What to install. `attempts` are the words behind `python -m`, tried in turn until one succeeds."""

    label: str
    attempts: tuple[tuple[str, ...], ...]
    cuda: bool = False
    warning: str = ""


def choose_torch(machine: Computer, nvidia: Nvidia | None, plain_is_cpu: bool = False) -> TorchPlan:
    """The plan for this computer.

    `plain_is_cpu` says that the plain package, as pip is set up here, is a build for the CPU (see `plain_build`).
    TORCH_COMMAND and TORCH_INDEX_URL, as in A1111, go before every rule. Raises LaunchError where no build exists.
    """
    requested = _requested(machine.environ)
    if requested is not None:
        return requested
    if machine.system == "Darwin":
        return _for_macos(machine)
    if nvidia is not None and nvidia.cuda >= OLDEST_CUDA:
        return _for_nvidia(machine, nvidia)
    warning = _old_driver(nvidia) if nvidia is not None else ""
    if machine.system == "Linux" and not plain_is_cpu:
        return TorchPlan("the CPU", (_pip("cpu"), _pip()), warning=warning)
    return TorchPlan("the CPU", (_pip(),), warning=warning)


def plain_build(machine: Computer, python: str) -> str:
    """The version of the plain torch package that pip would take here, such as "2.13.0+cpu"; "" when it is unknown.

    Whoever set pip up with a folder of wheels has chosen a build; asking first keeps several GB of CUDA off there.
    """
    question = [
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
        "--quiet",
        "--report",
        "-",
        TORCH,
    ]
    answer = machine.ask([python, *question])
    start = answer.output.find("{")
    if answer.code != 0 or start < 0:
        return ""
    try:
        report, _ = json.JSONDecoder().raw_decode(answer.output[start:])
        return str(report["install"][0]["metadata"]["version"])
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def _requested(environ: Mapping[str, str]) -> TorchPlan | None:
    command = environ.get("TORCH_COMMAND", "").strip()
    if command:
        return TorchPlan("what TORCH_COMMAND says", (tuple(shlex.split(command)),))
    index = environ.get("TORCH_INDEX_URL", "").strip()
    if index:
        return TorchPlan("what TORCH_INDEX_URL holds", (("pip", "install", TORCH, "--index-url", index),))
    return None


def _for_macos(machine: Computer) -> TorchPlan:
    if machine.arch != "arm64":
        raise LaunchError(
            "PyTorch no longer supports Macs with Intel processors, so this program can't run here; "
            "set TORCH_COMMAND if you have a build of your own."
        )
    return TorchPlan("macOS", (_pip(),))


def _for_nvidia(machine: Computer, nvidia: Nvidia) -> TorchPlan:
    builds = _builds(machine, nvidia)
    attempts = [_pip(build) for build in builds]
    if machine.system == "Linux" and builds[0] == "cu130":
        # On Linux the plain package is the CUDA 13 build.
        attempts.insert(0, _pip())
    label = f"CUDA {builds[0][2:4]}.{builds[0][4:]} ({nvidia.name})"
    return TorchPlan(label, tuple(attempts), cuda=True, warning=_too_new_a_card(machine, nvidia))


# What this torch is built for: CUDA 12.6, with kernels for cards from Maxwell to Hopper; 12.9 (Linux only) and 13.0,
# from Turing on and for Blackwell too (torch.cuda.PYTORCH_RELEASES_CODE_CC). There is none for 12.8 any more.
def _builds(machine: Computer, nvidia: Nvidia) -> tuple[str, ...]:
    capability = nvidia.capability or TURING
    if capability < TURING:
        return ("cu126",)
    # A build without kernels for the card would see it and fail in every picture: Blackwell gets none of those.
    within_12 = (("cu129",) if _has_cu129(machine, nvidia) else ()) + (("cu126",) if capability < BLACKWELL else ())
    return ("cu130", *within_12) if nvidia.cuda >= (13, 0) else within_12 or ("cu130",)


def _has_cu129(machine: Computer, nvidia: Nvidia) -> bool:
    return machine.system == "Linux" and nvidia.cuda >= (12, 8)


def _too_new_a_card(machine: Computer, nvidia: Nvidia) -> str:
    blackwell = nvidia.capability is not None and nvidia.capability >= BLACKWELL
    if not blackwell or nvidia.cuda >= (13, 0) or _has_cu129(machine, nvidia):
        return ""
    return f"{nvidia.name} needs a driver for CUDA 13.0 or newer (580) to be used; update the NVIDIA driver."


def _old_driver(nvidia: Nvidia) -> str:
    major, minor = nvidia.cuda
    return (
        f"The NVIDIA driver is too old (it speaks CUDA {major}.{minor}, torch {TORCH_VERSION} needs 12.0), so pictures "
        f"are made on the CPU and not on the {nvidia.name}; update the driver and start with --reinstall-torch."
    )


def _pip(build: str = "") -> tuple[str, ...]:
    source = ("--index-url", f"{TORCH_INDEX}/{build}") if build else ()
    return ("pip", "install", TORCH, *source)
