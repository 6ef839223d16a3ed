"""The launch from start to server: what `webui.py` runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from modules.launch.arguments import LaunchFlags, launch_flags, split_arguments
from modules.launch.console import say
from modules.launch.environment import Environment
from modules.launch.installer import Installer
from modules.launch.interpreter import OLDEST, choose_interpreter
from modules.launch.machine import Computer, LaunchError
from modules.launch.nvidia import driver_cuda
from modules.launch.stamp import GENERATION, Stamp, digest

ROOT = Path(__file__).resolve().parents[2]
SERVER = "modules.server"

# What every process of the program runs under, unless the person's own environment says otherwise.
ENVIRONMENT = {
    # Idle worker threads that spin instead of sleeping make a busy machine many times slower.
    "OMP_WAIT_POLICY": "passive",
    "GRADIO_ANALYTICS_ENABLED": "False",
    # Models are files that a person puts into a folder; nothing is fetched from a hub.
    "HF_HUB_OFFLINE": "1",
    "PYTHONUTF8": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}


def main(argv: Sequence[str], machine: Computer | None = None, root: Path = ROOT) -> int:
    """Prepare what is missing and become the server; returns the exit status where it doesn't come to that."""
    machine = machine or Computer()
    try:
        return _Launch(machine, root, argv).run()
    except LaunchError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next start goes on where this one ended.", file=sys.stderr)
        return 130


class _Launch:
    def __init__(self, machine: Computer, root: Path, argv: Sequence[str]) -> None:
        self.machine = machine
        self.root = root
        self.argv = list(argv)
        self._set_environment()
        self.flags = self._flags()
        self.environment = Environment(machine, root)

    def run(self) -> int:
        if self.flags.help:
            return self._check_flags()
        if not self.flags.skip_prepare_environment:
            refused = self._prepare()
            if refused:
                return refused
        if self.flags.exit:
            return 0
        if not self.environment.exists():
            raise LaunchError("There is no environment to start from: start once without --skip-prepare-environment.")
        return self.machine.become([self.environment.python, "-m", SERVER, *self.argv])

    def _prepare(self) -> int:
        stamp = Stamp(self.environment, self.root)
        facts = self._facts()
        again = self.flags.reinstall_torch or self.flags.reinstall_xformers
        if not again and self.environment.exists() and stamp.holds(facts):
            return 0
        refused = self._check_flags()
        if refused:
            return refused
        self._make_environment()
        if self.flags.skip_install:
            return 0
        stamp.remove()
        self.environment.repair()
        self._install()
        stamp.write(facts)
        say("Everything is installed.")
        return 0

    def _install(self) -> None:
        installer = Installer(self.machine, self.environment, self.root)
        plan = installer.plan_torch()
        installer.update_pip()
        installer.install_torch(plan, self.flags.reinstall_torch)
        installer.install_requirements()
        if self._wants_xformers():
            installer.install_xformers(plan, self.flags.force_enable_xformers, self.flags.reinstall_xformers)
        if not self.flags.skip_torch_cuda_test:
            installer.test_torch(plan)

    def _make_environment(self) -> None:
        environment, skip = self.environment, self.flags.skip_python_version_check
        if environment.is_system:
            choose = choose_interpreter(self.machine, self.root / "tmp" / "uv", skip)
            if choose.command[0] != self.machine.executable:
                raise LaunchError(f'VENV_DIR is "-", but Python {choose.version} is needed: set PYTHON to it.')
            return
        if not environment.works():
            environment.make(choose_interpreter(self.machine, self.root / "tmp" / "uv", skip))
            return
        version = environment.python_version()
        if version < OLDEST and not skip:
            raise LaunchError(
                f"The environment in {environment.folder} has Python {version[0]}.{version[1]}, but 3.11 or newer is "
                "needed: delete that folder, or set VENV_DIR to another one."
            )

    def _check_flags(self) -> int:
        # The server reads flags with a newer Python than this one may be; a wrong flag should be reported before an
        # hour of downloads, so it is checked by whichever Python can already do it.
        python = self.machine.executable if self.machine.python >= OLDEST else self.environment.python
        if python != self.machine.executable and not self.environment.exists():
            return 0
        return self.machine.show([python, "-m", "modules.settings", "check", *self.argv]).code

    def _facts(self) -> dict[str, str]:
        environ = self.machine.environ
        installer = Installer(self.machine, self.environment, self.root)
        return {
            "generation": GENERATION,
            "requirements": digest(installer.requirements),
            "without dependencies": digest(installer.without_dependencies),
            "driver": str(driver_cuda(self.machine)),
            "xformers": str(self._wants_xformers()),
            "torch command": environ.get("TORCH_COMMAND", ""),
            "torch index": environ.get("TORCH_INDEX_URL", ""),
        }

    def _wants_xformers(self) -> bool:
        return self.flags.xformers or self.flags.force_enable_xformers or self.flags.reinstall_xformers

    def _set_environment(self) -> None:
        environ = self.machine.environ
        for name, value in ENVIRONMENT.items():
            environ.setdefault(name, value)
        if environ.get("INDEX_URL"):
            environ["PIP_INDEX_URL"] = environ["INDEX_URL"]
        # So that `-m modules…` is found from whatever folder the person started in.
        path = [str(self.root), *filter(None, [environ.get("PYTHONPATH")])]
        environ["PYTHONPATH"] = (";" if self.machine.windows else ":").join(path)

    def _flags(self) -> LaunchFlags:
        try:
            inherited = split_arguments(self.machine.environ.get("COMMANDLINE_ARGS", ""), self.machine.windows)
        except ValueError as problem:
            raise LaunchError(f"COMMANDLINE_ARGS can't be split into flags ({problem}): check its quotes.") from problem
        return launch_flags([*inherited, *self.argv])
