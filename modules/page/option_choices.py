"""What a setting can be chosen from, where only the running server knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from modules.catalogue.upscalers import RESTORERS
from modules.features.postprocessing.declare import POSTPROCESSING
from modules.page import listing
from modules.page.localization import localization_names
from modules.parameters.extras_request import OPERATIONS
from modules.parameters.samplers import sampler_labels
from modules.settings import Option

if TYPE_CHECKING:
    from modules.jobs.services import Services

TABS: Final = (
    "txt2img",
    "img2img",
    "Extras",
    "PNG Info",
    "Gallery",
    "Checkpoint Merger",
    "Get models",
    "Queue",
    "Settings",
)
# What `ui_reorder_list` knows: A1111's names for the groups of controls in txt2img and img2img.
CATEGORIES: Final = (
    "image",
    "inpaint",
    "sampler",
    "accordions",
    "dimensions",
    "batch",
    "cfg",
    "denoising",
    "seed",
    "override_settings",
    "scripts",
)


def option_choices(services: Services, option: Option) -> list[str]:
    """The values to choose from; empty where anything goes."""
    match option.choices_from:
        case "checkpoints":
            return listing.checkpoint_titles(services)
        case "vaes":
            return ["Automatic", "None", *(entry.name for entry in services.catalogue.vaes())]
        case "modules":
            return [entry.path.name for entry in services.catalogue.modules()]
        case "samplers":
            return list(sampler_labels())
        case "upscalers":
            return listing.upscalers(services)
        case "face restorers":
            return list(RESTORERS)
        case "loras":
            return ["None", *(entry.stem for entry in services.catalogue.networks("lora").files)]
        case "hypernetworks":
            return ["None", *(entry.stem for entry in services.catalogue.networks("hypernet").files)]
        case "localizations":
            return ["None", *localization_names(services.paths.localizations_dirs)]
        case "tabs":
            return list(TABS)
        case "categories":
            return list(CATEGORIES)
        case "operations":
            return list(OPERATIONS)
        case "postprocessing":
            return [script.title for script in POSTPROCESSING]
        case "options":
            return [key for key, one in services.options.options.items() if not one.hidden]
    return list(option.choices)


def checkpoint_choices(services: Services) -> list[tuple[str, str]]:
    """Checkpoints as shown and as meant: without folders and file type where the setting says so."""
    short = services.options.switch("sd_checkpoint_dropdown_use_short")
    return [(_short(title) if short else title, title) for title in listing.checkpoint_titles(services)]


def _short(title: str) -> str:
    file, bracket, short_hash = title.partition(" [")
    return f"{Path(file).stem}{bracket}{short_hash}"
