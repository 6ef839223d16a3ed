"""Reading the command line: argparse built from the `Flags` declaration, errors as one sentence."""

import argparse
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from modules.launch.arguments import split_arguments
from modules.settings.flags import FlagAbout, FlagError, Flags
from modules.settings.ignored_flags import IGNORED_FLAGS, IgnoredFlag


@dataclass(frozen=True, slots=True)
class DeclaredFlag:
    """One flag with a meaning, as `Flags` declares it."""

    name: str
    key: str
    kind: type
    default: Any
    about: FlagAbout
    many: bool


class _FlagParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise FlagError(f"the command line can't be read: {message}")


def declared_flags() -> tuple[DeclaredFlag, ...]:
    """Every flag with a meaning, in the order of its declaration."""
    hints = get_type_hints(Flags)
    return tuple(_declared(one, hints[one.name]) for one in fields(Flags) if "about" in one.metadata)


def parse_flags(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Flags:
    """Read `argv` (without the program's name) and COMMANDLINE_ARGS.

    What stands in COMMANDLINE_ARGS counts as if typed first, so that a flag on the command line itself wins. Flags
    without a meaning here are listed in `Flags.notices`. Raises FlagError, with the nearest flag's name for an
    unknown one; with IGNORE_CMD_ARGS_ERRORS set, that is a notice too.
    """
    environ = os.environ if environ is None else environ
    words = [*_environment_arguments(environ), *argv]
    known, unknown = _parser().parse_known_args(words)
    values = vars(known)
    notices = [_ignored_notice(flag) for flag in IGNORED_FLAGS if values.pop(_ignored_key(flag), None) is not None]
    complaint = _unknown_sentence(unknown)
    if complaint and not environ.get("IGNORE_CMD_ARGS_ERRORS"):
        raise FlagError(complaint)
    for flag in declared_flags():
        values[flag.key] = _checked(flag, values[flag.key])
    return Flags(**values, notices=(*notices, *([complaint] if complaint else [])))


def flag_names() -> tuple[str, ...]:
    """Every name that is accepted, with a meaning or without."""
    return tuple([flag.name for flag in declared_flags()] + [flag.name for flag in IGNORED_FLAGS])


def _declared(one: Field[Any], hint: object) -> DeclaredFlag:
    kind: Any = hint
    if get_origin(hint) is UnionType:
        kind = next(part for part in get_args(hint) if part is not NoneType)
    many = get_origin(kind) is tuple
    name = "--" + one.name.replace("_", "-")
    return DeclaredFlag(name, one.name, str if many else kind, one.default, one.metadata["about"], many)


def _parser() -> argparse.ArgumentParser:
    parser = _FlagParser(prog="webui", description="A local web UI for Stable Diffusion.", allow_abbrev=False)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for flag in declared_flags():
        group = groups.setdefault(flag.about.group, parser.add_argument_group(flag.about.group))
        _add(group, flag)
    for ignored in IGNORED_FLAGS:
        takes: dict[str, Any] = {"nargs": ignored.takes} if ignored.takes in ("?", "+") else {}
        if not ignored.takes:
            takes = {"action": "store_const", "const": ""}
        elif ignored.takes == "?":
            takes["const"] = ""
        parser.add_argument(ignored.name, dest=_ignored_key(ignored), default=None, help=argparse.SUPPRESS, **takes)
    return parser


def _add(group: argparse._ArgumentGroup, flag: DeclaredFlag) -> None:
    meaning = flag.about.meaning.replace("%", "%%")
    if flag.kind is bool:
        group.add_argument(flag.name, dest=flag.key, action="store_true", help=meaning)
        return
    many: dict[str, Any] = {}
    if flag.many:
        many = {"action": "append"} if flag.about.repeated else {"nargs": "+"}
    choices = flag.about.choices or None
    metavar = None if choices else flag.kind.__name__.upper()
    group.add_argument(
        flag.name, dest=flag.key, type=flag.kind, default=None, choices=choices, metavar=metavar, help=meaning, **many
    )


def _checked(flag: DeclaredFlag, value: object) -> object:
    if value is None:
        return flag.default
    low, high = flag.about.minimum, flag.about.maximum
    if isinstance(value, int) and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise FlagError(f"{flag.name} must be {bounds}, not {value}.")
    if isinstance(value, Path):
        return value.expanduser()
    return tuple(value) if isinstance(value, list) else value


def _environment_arguments(environ: Mapping[str, str]) -> list[str]:
    text = environ.get("COMMANDLINE_ARGS", "")
    try:
        return split_arguments(text, windows=os.name == "nt")
    except ValueError as problem:
        raise FlagError(f"COMMANDLINE_ARGS can't be split into flags ({problem}): check its quotes.") from problem


def _unknown_sentence(unknown: Sequence[str]) -> str:
    names = [word.split("=", 1)[0] for word in unknown if word.startswith("-")]
    if not names:
        # Behind an unknown flag, a bare word is most likely its value; alone, it is what has to be reported.
        return "; ".join(f'"{word}" belongs to no flag' for word in unknown)
    problems = []
    for name in names:
        near = difflib.get_close_matches(name, flag_names(), n=1, cutoff=0.6)
        problems.append(
            f"unknown flag {name}" + (f", did you mean {near[0]}?" if near else " (--help lists the known ones)")
        )
    return "; ".join(problems)


def _ignored_key(flag: IgnoredFlag) -> str:
    return "ignored:" + flag.name


def _ignored_notice(flag: IgnoredFlag) -> str:
    return f"{flag.name} is accepted and does nothing: {flag.reason}."
