"""docs/flags.md and docs/options.md, written from the declarations so that they can't fall behind."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from modules.settings.flag_parser import DeclaredFlag, declared_flags
from modules.settings.ignored_flags import IGNORED_FLAGS
from modules.settings.option import Option
from modules.settings.options import as_json
from modules.settings.sections import SECTIONS
from modules.settings.tables import OPTIONS
from modules.settings.without_effect import IDLE_IN_A1111, NOT_NEEDED, NOT_YET

_WRITTEN_FROM = "<!-- Written by `python -m modules.settings docs`; a test holds it fresh. -->"

FLAGS_INTRODUCTION = """\
# Command line flags

Flags go into `COMMANDLINE_ARGS` in `webui-user.sh` or `webui-user.bat`, or behind `python webui.py`.
What is typed wins over `COMMANDLINE_ARGS`. Names are AUTOMATIC1111's."""

OPTIONS_INTRODUCTION = """\
# Settings

Kept in `config.json` under these keys, changed on the Settings tab or through `/sdapi/v1/options`.
Keys and defaults are AUTOMATIC1111's, whose `config.json` can be dropped in. "picture" marks settings that
change what a request draws; every one of them works in `override_settings` of a single request."""


def flags_page() -> str:
    """The text of docs/flags.md."""
    parts = [_WRITTEN_FROM, FLAGS_INTRODUCTION]
    for group, flags in groupby(declared_flags(), key=lambda flag: flag.about.group):
        parts.append(f"## {group}")
        parts.append(_table(("Flag", "Default", "Meaning"), [_flag_row(flag) for flag in flags]))
    parts.append("## Accepted, without effect")
    rows = [(f"`{flag.name}`", flag.reason) for flag in IGNORED_FLAGS]
    parts.append(_table(("Flag", "Why"), rows))
    return "\n\n".join(parts) + "\n"


def options_page() -> str:
    """The text of docs/options.md."""
    parts = [_WRITTEN_FROM, OPTIONS_INTRODUCTION]
    for section, title in SECTIONS.items():
        rows = [_option_row(option) for option in OPTIONS.values() if option.section == section]
        parts.append(f"## {title} (`{section}`)")
        parts.append(_table(("Key", "Default", "Label", "Values", "Infotext", "Notes"), rows))
    return "\n\n".join(parts) + "\n"


def write_pages(folder: Path) -> None:
    """Write both pages into `folder`."""
    (folder / "flags.md").write_text(flags_page(), encoding="utf-8")
    (folder / "options.md").write_text(options_page(), encoding="utf-8")


def _flag_row(flag: DeclaredFlag) -> tuple[str, ...]:
    value = "" if flag.kind is bool else " " + ("\\|".join(flag.about.choices) or flag.kind.__name__.upper())
    default = "off" if flag.kind is bool else "" if flag.default in (None, ()) else str(flag.default)
    return (f"`{flag.name}`{value}", default, _cell(flag.about.meaning))


def _option_row(option: Option) -> tuple[str, ...]:
    notes = [
        "picture" if option.changes_picture and option.key not in IDLE_IN_A1111 else "",
        option.needs if option.needs != "nothing" else "",
        "not through the API" if option.restrict_api else "",
        "hidden" if option.hidden else "",
        "no effect yet" if option.key in NOT_YET else "",
        "kept for config.json, nothing to do here" if option.key in NOT_NEEDED else "",
        "kept for config.json; A1111 v1.10.1 ignores it too" if option.key in IDLE_IN_A1111 else "",
    ]
    label = option.label + (f" ({option.hint})" if option.hint else "")
    default = f"`{_cell(repr(as_json(option.default)))}`"
    return (
        f"`{option.key}`",
        default,
        _cell(label),
        _cell(_values(option)),
        option.infotext or "",
        ", ".join(filter(None, notes)),
    )


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(option.choices)
    if option.minimum is not None and option.maximum is not None:
        return f"{option.minimum:g} to {option.maximum:g}"
    return f"list of {option.choices_from}" if option.choices_from else option.kind


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
