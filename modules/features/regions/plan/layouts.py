"""The regions of a request, whichever of its scripts says them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from modules.features.declaration import Values
from modules.features.forge_couple.declare import FORGE_COUPLE
from modules.features.forge_couple.plan import lines_layout
from modules.features.latent_couple.declare import LATENT_COUPLE, LatentCoupleArguments
from modules.features.latent_couple.plan import parts_layout
from modules.features.regional_prompter.declare import REGIONAL_PROMPTER
from modules.features.regional_prompter.plan.layout import regional_layout
from modules.features.regions.plan.areas import Layout
from modules.parameters import RequestError

# From a prompt and a negative prompt, tags taken off, and a script's arguments. Raises RequestError.
LayoutOf = Callable[[str, str, Values], Layout | None]


def _of_lines(prompt: str, _negative: str, values: Values) -> Layout | None:
    return lines_layout(prompt, values)


def _of_parts(prompt: str, _negative: str, values: Values) -> Layout | None:
    return parts_layout(prompt, LatentCoupleArguments.read(values))


_LAYOUTS: Final[Mapping[str, LayoutOf]] = {
    REGIONAL_PROMPTER.title: regional_layout,
    FORGE_COUPLE.title: _of_lines,
    LATENT_COUPLE.title: _of_parts,
}
REGION_SCRIPTS: Final = tuple(_LAYOUTS)


def regions_of(scripts: Mapping[str, Values], prompt: str, negative: str) -> Layout | None:
    """The regions of a pass with this prompt and negative prompt, None where the whole picture has the same.

    Raises RequestError for regions that can't be read, leave gaps, or are of two scripts at once.
    """
    titles = [title for title in REGION_SCRIPTS if title in scripts]
    if len(titles) > 1:
        raise RequestError(f"{' and '.join(titles)} can't act at once: enable one of them.")
    return _LAYOUTS[titles[0]](prompt, negative, scripts[titles[0]]) if titles else None
