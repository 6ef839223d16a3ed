"""Changing settings, for page and API alike: saved, and the model loaded anew where it depends on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from modules.jobs.job import JobError
from modules.parameters import RequestError
from modules.settings import OptionError

if TYPE_CHECKING:
    from modules.jobs.services import Services

_MODEL_KEYS: Final = frozenset({"sd_model_checkpoint", "sd_vae", "forge_additional_modules"})


def change_options(services: Services, values: Mapping[str, object], reset: Iterable[str] = ()) -> tuple[str, ...]:
    """Change and reset settings; returns the keys whose value changed.

    The model is loaded anew when another checkpoint or VAE was chosen, or a setting that loading depends on changed.
    Raises OptionError with one sentence, also when that model can't be loaded; the settings are changed even so.
    """
    defaults = {key: services.options.options[key].default for key in reset if key in services.options.options}
    changed = services.options.update({**values, **defaults})
    reloads = any(services.options.options[key].needs == "reload model" for key in changed)
    if reloads or _MODEL_KEYS & set(changed):
        try:
            services.jobs.load_checkpoint(None)
        except (RequestError, JobError) as error:
            raise OptionError(str(error)) from error
    return changed
