"""What older versions of A1111 wrote into config.json, read as what it became."""

from collections.abc import Callable, Mapping
from typing import Any, Final


def migrated(written: Mapping[str, Any]) -> dict[str, Any]:
    """The file's entries with old forms as new ones. An entry that has its new form already stays as it is."""
    found = dict(written)
    for old, new, convert in _RENAMED:
        if new not in found and old in found:
            found[new] = convert(found.pop(old))
    for key, words in _OLD_WORDS.items():
        value = found.get(key)
        if isinstance(value, str):
            found[key] = words.get(value, value)
    for key in _LISTS:
        if isinstance(found.get(key), str):
            found[key] = _split(found[key])
    return found


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _opposite(value: object) -> object:
    return not value if isinstance(value, bool) else value


# 1.1.1 made a list of the quick settings, 1.4.0 of the order of controls; 1.6.0 turned the meaning of the VAE switch.
_RENAMED: Final[tuple[tuple[str, str, Callable[[object], object]], ...]] = (
    ("quicksettings", "quicksettings_list", _split),
    ("ui_reorder", "ui_reorder_list", _split),
    ("sd_vae_as_default", "sd_vae_overrides_per_model_preferences", _opposite),
)
_OLD_WORDS: Final = {"sd_vae": {"auto": "Automatic", "": "Automatic"}, "localization": {"": "None"}}
_LISTS: Final = ("quicksettings_list", "ui_reorder_list", "ui_tab_order", "hidden_tabs", "hide_samplers")
