"""The command line as the launcher reads it: COMMANDLINE_ARGS split into arguments, and the launcher's own flags."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple


def split_arguments(text: str, windows: bool) -> list[str]:
    """Split a command line into arguments.

    On Windows a backslash separates folders and quotes only group (``--ckpt "C:\\my models\\a.ckpt"``), so the POSIX
    rules, under which a backslash escapes the next letter, would eat the path. An unclosed quote raises ``ValueError``.
    """
    if not windows:
        return shlex.split(text)
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape, lexer.quotes = True, "", "", '"'
    return list(lexer)


class LaunchFlags(NamedTuple):
    """The flags that the launcher itself follows; the server reads all flags again, these included."""

    skip_python_version_check: bool = False
    skip_torch_cuda_test: bool = False
    skip_prepare_environment: bool = False
    skip_install: bool = False
    reinstall_torch: bool = False
    reinstall_xformers: bool = False
    xformers: bool = False
    force_enable_xformers: bool = False
    exit: bool = False
    help: bool = False


def launch_flags(argv: Sequence[str]) -> LaunchFlags:
    """Pick the launcher's flags out of a whole command line; what else stands there is the server's to judge."""
    words = set(argv)
    found = {name: "--" + name.replace("_", "-") in words for name in LaunchFlags._fields}
    found["help"] = found["help"] or "-h" in words
    return LaunchFlags(**found)
