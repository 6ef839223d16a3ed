"""What was installed, noted when all of it was: a later start compares the note and has nothing to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from modules.launch.console import warn
from modules.launch.environment import Environment

# Raised when the launcher installs something else for the same files.
GENERATION = "1"


class Stamp:
    """The note of one environment."""

    def __init__(self, environment: Environment, root: Path) -> None:
        name = ".webui-installed.json"
        self.file = root / "cache" / name if environment.is_system else environment.folder / name

    def holds(self, facts: Mapping[str, str]) -> bool:
        """Whether all of `facts` was installed and nothing else is needed now."""
        try:
            return bool(json.loads(self.file.read_text(encoding="utf-8")) == dict(facts))
        except (OSError, ValueError):
            return False

    def remove(self) -> None:
        """Forget: an installation begins."""
        if self.file.exists():
            self.file.unlink()

    def write(self, facts: Mapping[str, str]) -> None:
        """Note that everything is there."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(dict(facts), indent=1), encoding="utf-8")
        except OSError as problem:
            warn(f"{self.file} can't be written ({problem.strerror}), so the next start will check everything again.")


def digest(file: Path) -> str:
    """Short hash of a file's content; "missing" when there is none."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return "missing"
