"""How each script makes its pictures; what they are is planned before the job is queued."""

from modules.generation.scripts.stage import Extra, Maker, Stage
from modules.generation.scripts.table import MAKERS

__all__ = ["MAKERS", "Extra", "Maker", "Stage"]
