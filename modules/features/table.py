"""Every script by its title, in the order of A1111's list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from glob import escape
from typing import Final

from pydantic import JsonValue

from modules.features.alternative_test.declare import ALTERNATIVE_TEST
from modules.features.controlnet.declare import CONTROLNET
from modules.features.declaration import Script, ScriptError, checked_arguments
from modules.features.detail.declare import DETAIL
from modules.features.detail_daemon.declare import DETAIL_DAEMON
from modules.features.dynamic_prompts.declare import DYNAMIC_PROMPTS
from modules.features.forge_couple.declare import FORGE_COUPLE
from modules.features.guidance import GUIDANCE
from modules.features.latent_couple.declare import LATENT_COUPLE
from modules.features.loopback.declare import LOOPBACK
from modules.features.outpaint.declare import OUTPAINT
from modules.features.outpainting_mk2.declare import OUTPAINTING_MK2
from modules.features.poor_mans_outpainting.declare import POOR_MANS_OUTPAINTING
from modules.features.postprocessing.declare import POSTPROCESSING
from modules.features.prompt_matrix.declare import PROMPT_MATRIX
from modules.features.prompts_from_file.declare import PROMPTS_FROM_FILE
from modules.features.regional_prompter.declare import REGIONAL_PROMPTER
from modules.features.sd_upscale.declare import SD_UPSCALE
from modules.features.sequences.declare import INTERPOLATE_PICTURES, INTERPOLATE_PROMPTS
from modules.features.soft_inpainting.declare import SOFT_INPAINTING
from modules.features.tiled_diffusion.declare import TILED_DIFFUSION
from modules.features.ultimate_upscale.declare import ULTIMATE_UPSCALE
from modules.features.xyz_plot.declare import XYZ_PLOT

SCRIPTS: Final = (
    CONTROLNET,
    ALTERNATIVE_TEST,
    INTERPOLATE_PICTURES,
    INTERPOLATE_PROMPTS,
    LOOPBACK,
    OUTPAINT,
    OUTPAINTING_MK2,
    POOR_MANS_OUTPAINTING,
    PROMPT_MATRIX,
    PROMPTS_FROM_FILE,
    SD_UPSCALE,
    SOFT_INPAINTING,
    ULTIMATE_UPSCALE,
    XYZ_PLOT,
    REGIONAL_PROMPTER,
    FORGE_COUPLE,
    LATENT_COUPLE,
    TILED_DIFFUSION,
    DYNAMIC_PROMPTS,
    DETAIL,
    DETAIL_DAEMON,
    *GUIDANCE,
    *POSTPROCESSING,
)
# What changes how a step is guided or what the model is shown; each argument of these is an axis of X/Y/Z plot.
IN_GUIDANCE: Final = (DETAIL_DAEMON, *GUIDANCE)
SELECTABLE: Final = tuple(script for script in SCRIPTS if not script.always_on)
ALWAYS_ON: Final = tuple(script for script in SCRIPTS if script.always_on)


def find_script(title: str) -> Script | None:
    """The script that has this title, or is known under it elsewhere, in any case."""
    wanted = title.casefold()
    return next(
        (
            script
            for script in SCRIPTS
            if any(fnmatchcase(wanted, name.casefold()) for name in (escape(script.title), *script.aliases))
        ),
        None,
    )


def scripts_of(scripts: Mapping[str, Mapping[str, JsonValue]]) -> Iterator[tuple[Script, Mapping[str, JsonValue]]]:
    """The scripts of a request with their arguments, in the order of the table."""
    for script in SCRIPTS:
        if script.title in scripts:
            yield script, scripts[script.title]


def checked_scripts(scripts: Mapping[str, Mapping[str, JsonValue]], mode: str) -> dict[str, dict[str, JsonValue]]:
    """`scripts` under their titles with a value for every argument; always-on ones that are off left out.

    Raises ScriptError for what is not there, does not work on this tab, or does not go together.
    """
    checked: dict[str, dict[str, JsonValue]] = {}
    for title, values in scripts.items():
        script = find_script(title)
        if script is None:
            raise ScriptError(f"There is no script {title[:60]!r}; there are {_titles()}.")
        arguments = checked_arguments(script, values)
        if not script.is_active(arguments):
            continue
        if mode not in script.tabs:
            raise ScriptError(f"{script.title} works on the {' and '.join(sorted(script.tabs))} tab only.")
        checked[script.title] = arguments
    chosen = [script.title for script in SELECTABLE if script.title in checked]
    if len(chosen) > 1:
        raise ScriptError(f"{' and '.join(chosen)} can't be run at once: choose one script.")
    return checked


def _titles() -> str:
    return ", ".join(script.title for script in SCRIPTS)
