"""The real server of a clone whose demo checkpoint was deleted: its own folder is the data folder."""

from __future__ import annotations

import sys
from pathlib import Path

from modules.server.serve import main
from modules.settings import Paths

if __name__ == "__main__":
    data = Path(sys.argv[sys.argv.index("--data-dir") + 1])
    Paths.from_flags.__func__.__defaults__ = (data,)  # type: ignore[attr-defined]  # a classmethod's function has defaults
    sys.exit(main(sys.argv[1:]))
