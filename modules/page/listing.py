"""What the page offers to choose from: checkpoints, styles, samplers, schedules."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from modules.catalogue import Checkpoint, ModelNotFoundError
from modules.families import EDITING, DistilledScale, ignored_settings
from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels
from modules.parameters.upscalers import LATENT_UPSCALE_MODES

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Input channels of an instruct-pix2pix UNet: the latent, and that of the picture it edits.


def samplers(services: Services) -> list[str]:
    """Sampler labels in A1111's order, without those that the settings hide."""
    hidden = set(services.options.texts("hide_samplers"))
    return [label for label in sampler_labels() if label not in hidden]


def schedules() -> list[str]:
    """Schedule labels, Automatic first."""
    return list(schedule_labels())


def upscalers(services: Services) -> list[str]:
    """Names of the pixel upscalers, those without a model first."""
    return [one.name for one in services.upscalers()]


# The class of the places that show `upscalers_note`.
UPSCALERS_NOTE: Final = "upscalers-note"


def upscalers_note(services: Services) -> str:
    """How to get more upscalers, as markup: while there are none but those that need no file."""
    if any(one.path is not None for one in services.upscalers()):
        return ""
    folder = html.escape(str(services.paths.upscaler_dirs[0]))
    return (
        "<p><span>There are better upscalers. Put their files (.pth, .safetensors) into</span>"
        f" <code>{folder}</code> <span>and reload the page.</span></p>"
    )


def hires_upscalers(services: Services) -> tuple[str, ...]:
    """What enlarges a first pass: the latent ways first."""
    return (*LATENT_UPSCALE_MODES, *upscalers(services))


def checkpoint_titles(services: Services) -> list[str]:
    """Titles of every checkpoint on disk."""
    return [entry.title for entry in services.catalogue.checkpoints()]


def find_checkpoint(services: Services, wanted: str | None) -> Checkpoint | None:
    """The checkpoint behind a title, name or hash."""
    if not wanted:
        return None
    try:
        found: Checkpoint = services.catalogue.find_checkpoint(wanted)
    except ModelNotFoundError:
        return None
    return found


def current_title(services: Services) -> str | None:
    """Title of the checkpoint that the next job uses, as it is now: it gains its hash once the file has been hashed."""
    checkpoint = services.current_checkpoint()
    return None if checkpoint is None else checkpoint.title


def native_size(services: Services, checkpoint: Checkpoint | None) -> tuple[int, int] | None:
    """The size in pixels that a checkpoint was made for, as far as its file says."""
    return None if checkpoint is None else services.catalogue.native_size(checkpoint)


def ignored(services: Services, checkpoint: Checkpoint | None) -> dict[str, str]:
    """Keys of settings that change nothing with a checkpoint, as far as its file says, and why."""
    architecture = None if checkpoint is None else services.catalogue.architecture(checkpoint)
    if architecture is None:
        return {}
    return ignored_settings(architecture.family, clip_l_skip=services.options.switch("sdxl_clip_l_skip"))


def distilled_scale(services: Services, checkpoint: Checkpoint | None) -> DistilledScale | None:
    """What the distilled CFG scale means with a checkpoint, as its slider is called; None where it has no use."""
    architecture = None if checkpoint is None else services.catalogue.architecture(checkpoint)
    return None if architecture is None else architecture.family.distilled_scale


def follows_pictures(services: Services, checkpoint: Checkpoint | None) -> bool:
    """Whether a checkpoint is of instruct-pix2pix, which Image CFG scale is for: its UNet takes two latents."""
    if checkpoint is None:
        return False
    architecture = services.catalogue.architecture(checkpoint)
    if architecture is None:
        return "pix2pix" in checkpoint.name.lower()
    return architecture.unet_channels == EDITING


def style_choices(services: Services) -> list[str]:
    """Names of the saved styles; those of several files under lines that name the files, as in A1111."""
    groups = services.styles.grouped()
    several = len(groups) > 1
    return [
        name
        for path, styles in groups
        for name in ([style_divider(path.name)] if several else []) + [style.name for style in styles]
    ]


def style_divider(file_name: str) -> str:
    """The line above a file's styles. Whoever picks it picks nothing: assets/styles.js knows it by its form."""
    dashes = "-" * max(4, (38 - len(file_name)) // 2)
    return f"{dashes} {file_name} {dashes}"
