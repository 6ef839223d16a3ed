"""The declared settings, one file per group of sections."""

from modules.settings.option import Option
from modules.settings.tables import (
    compatibility,
    control,
    detail,
    models,
    networks,
    page,
    pictures,
    prompts,
    sampling,
    saving,
    system,
)

TABLES = (
    saving.OPTIONS,
    pictures.OPTIONS,
    system.OPTIONS,
    models.OPTIONS,
    compatibility.OPTIONS,
    networks.OPTIONS,
    control.OPTIONS,
    page.OPTIONS,
    sampling.OPTIONS,
    detail.OPTIONS,
    prompts.OPTIONS,
)

OPTIONS: dict[str, Option] = {option.key: option for table in TABLES for option in table}
