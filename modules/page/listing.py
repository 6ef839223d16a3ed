"""What the page offers to choose from: checkpoints, styles, samplers, schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modules.catalogue import Checkpoint, ModelNotFoundError
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_header
from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels
from modules.parameters.upscalers import LATENT_UPSCALE_MODES

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Input channels of an instruct-pix2pix UNet: the latent, and that of the picture it edits.
_EDITING_CHANNELS: Final = 8


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


def current_checkpoint(services: Services) -> Checkpoint | None:
    """The checkpoint that the next job uses."""
    return services.current_checkpoint()


def current_title(services: Services) -> str | None:
    """Its title as it is now: a title gains its hash once the file has been hashed."""
    checkpoint = current_checkpoint(services)
    return None if checkpoint is None else checkpoint.title


def native_size(checkpoint: Checkpoint | None) -> tuple[int, int] | None:
    """The size in pixels a checkpoint states for itself, if it does."""
    if checkpoint is None or not checkpoint.width or not checkpoint.height:
        return None
    return checkpoint.width, checkpoint.height


def follows_pictures(checkpoint: Checkpoint | None) -> bool:
    """Whether a checkpoint is of instruct-pix2pix, which Image CFG scale is for: its UNet takes two latents."""
    if checkpoint is None or checkpoint.path.suffix != ".safetensors":
        return checkpoint is not None and "pix2pix" in checkpoint.name.lower()
    try:
        shapes = read_safetensors_header(checkpoint.path).shapes
    except (ModelFileError, OSError):
        return False
    entry = shapes.get("model.diffusion_model.input_blocks.0.0.weight", ())
    return len(entry) == 4 and entry[1] == _EDITING_CHANNELS


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
