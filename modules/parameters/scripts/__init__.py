"""Scripts: what a job does besides a plain pass, declared once for page, API, infotext and job row."""

from modules.parameters.scripts.declaration import Argument, ArgumentControl, Script, ScriptError, checked_arguments
from modules.parameters.scripts.from_pictures import MASKED_CONTENTS
from modules.parameters.scripts.infotext import script_values, scripts_from_infotext
from modules.parameters.scripts.postprocessing import requested_postprocessing
from modules.parameters.scripts.postprocessing_arguments import POSTPROCESSING
from modules.parameters.scripts.soft_inpainting import SOFT_INPAINTING
from modules.parameters.scripts.table import ALWAYS_ON, SCRIPTS, SELECTABLE, checked_scripts, find_script, scripts_of

__all__ = [
    "ALWAYS_ON",
    "MASKED_CONTENTS",
    "POSTPROCESSING",
    "SCRIPTS",
    "SELECTABLE",
    "SOFT_INPAINTING",
    "Argument",
    "ArgumentControl",
    "Script",
    "ScriptError",
    "checked_arguments",
    "checked_scripts",
    "find_script",
    "requested_postprocessing",
    "script_values",
    "scripts_from_infotext",
    "scripts_of",
]
