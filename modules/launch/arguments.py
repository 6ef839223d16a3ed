"""Command-line text to arguments: what stands in COMMANDLINE_ARGS, split as the system's own shell would."""

from __future__ import annotations

import shlex


def split_arguments(text: str, windows: bool) -> list[str]:
    """Split a command line into arguments.

    On Windows a backslash separates folders and quotes only group (``--ckpt "C:\\my models\\a.ckpt"``), so the POSIX
    rules, under which a backslash escapes the next letter, would eat the path. An unclosed quote raises ``ValueError``.
    """
    if not windows:
        return shlex.split(text)
    return [part.replace('"', "") for part in shlex.split(text, posix=False)]
