"""The maker of each script by its title."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modules.generation.scripts.loopback import loopback, loopback_grid, loops
from modules.generation.scripts.stage import Maker

MAKERS: Final[Mapping[str, Maker]] = {"Loopback": Maker(loopback, together=loops, finale=loopback_grid)}
