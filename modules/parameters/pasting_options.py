"""The options in force that pasting the text of a picture looks at. A job does not carry them."""

from __future__ import annotations

from dataclasses import dataclass

from modules.settings.groups import option


@dataclass(frozen=True, slots=True)
class PastingOptions:
    """What pasting leaves alone, and what is in force beside it.

    `skipped` are keys of infotext. With `keeps_checkpoint` the loaded checkpoint stays whatever the text names.
    `checkpoint` is a title, "" for none.
    """

    skipped: tuple[str, ...] = option("infotext_skip_pasting")
    keeps_checkpoint: bool = option("disable_weights_auto_swap")
    checkpoint: str = option("sd_model_checkpoint")
    vae: str = option("sd_vae")
    modules: tuple[str, ...] = option("forge_additional_modules")
    tiling: bool = option("tiling")
    restores_faces: bool = option("face_restoration")
    face_restorer: str = option("face_restoration_model")
