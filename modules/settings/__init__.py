"""Flags, options and paths: what the person at the machine decided, read once and given to every other room."""

from modules.settings.flag_parser import declared_flags, parse_flags
from modules.settings.flags import FlagError, Flags
from modules.settings.option import Option, OptionError, OptionValue
from modules.settings.options import OptionStore, frozen_keys, unknown_frozen
from modules.settings.paths import REPOSITORY, Paths
from modules.settings.sections import SECTIONS
from modules.settings.tables import OPTIONS
from modules.settings.ui_config import Control, Place, UiConfig, UiConfigError

__all__ = [
    "OPTIONS",
    "REPOSITORY",
    "SECTIONS",
    "Control",
    "FlagError",
    "Flags",
    "Option",
    "OptionError",
    "OptionStore",
    "OptionValue",
    "Paths",
    "Place",
    "UiConfig",
    "UiConfigError",
    "declared_flags",
    "frozen_keys",
    "parse_flags",
    "unknown_frozen",
]
