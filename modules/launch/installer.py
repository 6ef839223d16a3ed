"""Installing torch and the requirements into the environment, step by step, and explaining what went wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from modules.launch.console import say, step, warn
from modules.launch.environment import Environment
from modules.launch.interpreter import FETCHED
from modules.launch.machine import Computer, LaunchError
from modules.launch.nvidia import find_nvidia
from modules.launch.torch_choice import TORCH_VERSION, TorchPlan, choose_torch, plain_build

XFORMERS = "xformers==0.0.35"
REQUIREMENTS = "requirements-lock.txt"
# What names a torchvision among its dependencies, which must not come: it fits one build of torch only.
WITHOUT_DEPENDENCIES = "requirements-no-deps.txt"
OWN_PIP = "requirements-pip.txt"

# What pip's and the system's words mean to a person, most specific first.
REASONS = (
    ("No space left on device", "the disk is full"),
    ("not enough space on the disk", "the disk is full"),
    ("Permission denied", "files of the environment can't be written; is the program still running?"),
    ("Access is denied", "files of the environment can't be written; is the program still running?"),
    ("Access denied", "files of the environment can't be written; is the program still running?"),
    ("name resolution", "the package index can't be reached; check the internet connection"),
    ("Failed to establish a new connection", "the package index can't be reached; check the internet connection"),
    ("getaddrinfo failed", "the package index can't be reached; check the internet connection"),
    ("timed out", "the package index didn't answer in time; start again, what is there is kept"),
    ("CERTIFICATE_VERIFY_FAILED", "the package index's certificate isn't trusted; a proxy or a wrong clock may be why"),
    (
        "No matching distribution",
        f"there is no package for this Python and system; Python {FETCHED} (64-bit) is the one that was tried",
    ),
)

TORCH_TEST = """
import json, torch
usable, why = False, "torch sees no NVIDIA card"
if torch.cuda.is_available():
    try:
        torch.ones(8, device="cuda").sum().item()
        usable, why = True, ""
    except RuntimeError as problem:
        why = str(problem).splitlines()[0]
print(json.dumps({"version": torch.__version__, "usable": usable, "why": why}))
"""

XFORMERS_TEST = """
import torch, xformers.ops
part = torch.ones(1, 8, 1, 8, device="cuda", dtype=torch.float16)
xformers.ops.memory_efficient_attention(part, part, part).sum().item()
"""


class Installer:
    """Puts packages into one environment."""

    def __init__(self, machine: Computer, environment: Environment, root: Path) -> None:
        self.machine = machine
        self.environment = environment
        self.requirements = root / machine.environ.get("REQS_FILE", REQUIREMENTS)
        self.without_dependencies = root / WITHOUT_DEPENDENCIES
        self.own_pip = root / OWN_PIP

    def plan_torch(self) -> TorchPlan:
        """Look at the hardware and choose. Raises LaunchError."""
        nvidia = find_nvidia(self.machine)
        say(
            f"Graphics: {nvidia.name}, CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]}" if nvidia else "Graphics: no NVIDIA card"
        )
        plan = choose_torch(self.machine, nvidia)
        if (
            len(plan.attempts) > 1
            and not plan.cuda
            and plain_build(self.machine, self.environment.python).endswith("+cpu")
        ):
            return choose_torch(self.machine, nvidia, plain_is_cpu=True)
        return plan

    def update_pip(self) -> None:
        """Bring pip itself to the tested version, where it is ours: with an older one everything takes longer."""
        if not self.environment.is_system:
            # What can't be had now will be missed, and reported, with what is fetched next.
            self.pip("install", "--quiet", "--only-binary", ":all:", "--requirement", str(self.own_pip))

    def install_torch(self, plan: TorchPlan, reinstall: bool) -> None:
        """Bring torch to what the plan says. Raises LaunchError."""
        if plan.warning:
            warn(plan.warning)
        present = self.version("torch")
        if present and not reinstall and _suits(present, plan):
            return
        with step(f"Installing torch {TORCH_VERSION} for {plan.label}"):
            if present:
                # pip takes every build of a version for the same: the wrong one has to go first.
                self.pip("uninstall", "--yes", "torch")
            output = ""
            for number, attempt in enumerate(plan.attempts, start=1):
                done = self._run(attempt)
                if done == "":
                    return
                output += done
                if number < len(plan.attempts):
                    warn("That build of torch can't be had; trying the next one.")
        raise LaunchError(f"torch can't be installed: {reason(output)}.")

    def install_requirements(self) -> None:
        """Bring everything else to the tested versions. Raises LaunchError."""
        with step(f"Installing the requirements ({self.requirements.name})"):
            wheels = ("install", "--only-binary", ":all:")
            output = self.pip(*wheels, "--requirement", str(self.requirements))
            output = output or self.pip(*wheels, "--no-deps", "--requirement", str(self.without_dependencies))
        if output:
            raise LaunchError(f"The requirements can't be installed: {reason(output)}.")

    def install_xformers(self, plan: TorchPlan, forced: bool, reinstall: bool) -> None:
        """xformers where it can work; elsewhere one warning, for PyTorch's own attention does as well."""
        if not plan.cuda and not forced:
            warn("xformers works on NVIDIA cards only; PyTorch's own attention is used.")
            return
        if reinstall or not self.version("xformers"):
            with step("Installing xformers"):
                # Without its dependencies: it would bring another torch.
                failed = self.pip("install", "--no-deps", "--force-reinstall", "--only-binary", ":all:", XFORMERS)
            if failed:
                warn(f"xformers can't be installed ({reason(failed)}); PyTorch's own attention is used.")
                return
        if self.machine.ask([self.environment.python, "-c", XFORMERS_TEST]).code != 0 and not forced:
            warn("xformers doesn't work with this card and this torch; PyTorch's own attention is used.")
            self.pip("uninstall", "--yes", "xformers")

    def test_torch(self, plan: TorchPlan) -> None:
        """Import torch, and use the card if there should be one. Raises LaunchError when torch itself is broken."""
        with step("Testing torch"):
            answer = self.machine.ask([self.environment.python, "-c", TORCH_TEST], timeout=300)
        try:
            found = json.loads(answer.output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise LaunchError(
                f"torch was installed but can't be used: {_last_line(answer.output)}.{self._remedy()}"
            ) from None
        if plan.cuda and not found["usable"]:
            warn(
                f"torch can't use the NVIDIA card ({found['why']}), so pictures are made on the CPU; update the driver."
            )

    def version(self, package: str) -> str:
        """The installed version of a package, "" without one."""
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        answer = self.machine.ask([self.environment.python, "-c", code])
        return answer.output.strip() if answer.code == 0 else ""

    def pip(self, *words: str) -> str:
        """Run pip in the environment; returns "" when it went well, else what it said."""
        return self._run(("pip", *words))

    def _run(self, words: Sequence[str]) -> str:
        quiet = [] if self.machine.interactive or words[0] != "pip" else ["--quiet"]
        done = self.machine.show([self.environment.python, "-m", *words, *quiet])
        return "" if done.code == 0 else done.output or f"status {done.code}"

    def _remedy(self) -> str:
        if self.machine.windows:
            return " Installing Microsoft's Visual C++ Redistributable removes the most common cause"
        return " Start again with --reinstall-torch"


def reason(output: str) -> str:
    """Why pip failed, in a person's words where they are known, else in its own last ones."""
    for words, meaning in REASONS:
        if words in output:
            return meaning
    return _last_line(output)


def _suits(version: str, plan: TorchPlan) -> bool:
    if plan.label.startswith("what "):
        return True
    number, _, build = version.partition("+")
    if number != TORCH_VERSION or not plan.cuda:
        return number == TORCH_VERSION
    # The plain package says nothing of its build. Of the others those serve that the plan would take itself: an older
    # one may have no kernels for a card that has come since.
    return not build or any(attempt[-1].endswith(build) for attempt in plan.attempts)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"
