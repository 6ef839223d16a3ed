"""Short forms of `Option`, so that a table of settings reads as a table."""

from typing import Final, TypedDict, Unpack

from modules.settings.option import ChoiceSource, Needs, Option

# Settings of the page's layout apply when the page is built anew.
PAGE: Final = "reload UI"


class OptionExtras(TypedDict, total=False):
    """What a declaration may add to key, default, label and limits; see `Option`."""

    hint: str
    infotext: str
    changes_picture: bool
    travels: bool
    needs: Needs
    hidden: bool
    restrict_api: bool


def switch(section: str, key: str, default: bool, label: str, **more: Unpack[OptionExtras]) -> Option:
    """A setting that is on or off."""
    return Option(section=section, key=key, default=default, label=label, kind="switch", **more)


def whole(
    section: str, key: str, default: int, label: str, low: int, high: int, step: int = 1, **more: Unpack[OptionExtras]
) -> Option:
    """A whole number from `low` to `high`."""
    return Option(
        section=section,
        key=key,
        default=default,
        label=label,
        kind="whole",
        minimum=low,
        maximum=high,
        step=step,
        **more,
    )


def number(
    section: str,
    key: str,
    default: float,
    label: str,
    low: float,
    high: float,
    step: float,
    **more: Unpack[OptionExtras],
) -> Option:
    """A number from `low` to `high`, moved by `step` on the page."""
    return Option(
        section=section,
        key=key,
        default=default,
        label=label,
        kind="number",
        minimum=low,
        maximum=high,
        step=step,
        **more,
    )


def text(section: str, key: str, default: str, label: str, **more: Unpack[OptionExtras]) -> Option:
    """Any text."""
    return Option(section=section, key=key, default=default, label=label, kind="text", **more)


def colour(section: str, key: str, default: str, label: str, **more: Unpack[OptionExtras]) -> Option:
    """A colour as #rrggbb."""
    return Option(section=section, key=key, default=default, label=label, kind="colour", **more)


def choice(
    section: str, key: str, default: str, label: str, choices: tuple[str, ...], **more: Unpack[OptionExtras]
) -> Option:
    """One of the given texts."""
    return Option(section=section, key=key, default=default, label=label, kind="choice", choices=choices, **more)


def pick(
    section: str, key: str, default: str | None, label: str, source: ChoiceSource, **more: Unpack[OptionExtras]
) -> Option:
    """One entry of a list that only the running server knows."""
    return Option(section=section, key=key, default=default, label=label, kind="choice", choices_from=source, **more)


def texts(
    section: str,
    key: str,
    default: tuple[str, ...],
    label: str,
    choices_from: ChoiceSource = "",
    **more: Unpack[OptionExtras],
) -> Option:
    """A list of texts."""
    return Option(
        section=section, key=key, default=default, label=label, kind="texts", choices_from=choices_from, **more
    )
