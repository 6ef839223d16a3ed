"""Opening a folder on the screen of the machine that runs the server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modules.settings import Flags


def folder_button(flags: Flags) -> bool:
    """The folder opens on the server's screen, so the button is only for who sits before it."""
    return not (flags.listen or flags.share or flags.server_name or flags.hide_ui_dir_config)


def open_folder(folder: Path) -> str:
    """Open `folder` in the system's file manager. Returns a sentence when that can't be done, else an empty text."""
    if not folder.is_dir():
        return f"There is no folder {folder} yet: it is made with the first picture."
    try:
        if sys.platform == "win32":
            os.startfile(folder)
        else:
            opener = "open" if sys.platform == "darwin" else "xdg-open"
            # A list, never a shell: a folder's name is not a command.
            subprocess.Popen([opener, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return f"No file manager could be started; the pictures are in {folder}."
    return ""
