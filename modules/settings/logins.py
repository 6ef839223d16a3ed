"""The users that flags, a file and the environment name."""

from __future__ import annotations

import os
from typing import Final

from modules.settings.flags import FlagError, Flags

ENVIRONMENT: Final = "WEBUI_AUTH"


def logins(flags: Flags) -> list[tuple[str, str]]:
    """User and password pairs of --gradio-auth, --gradio-auth-path, --api-auth and $WEBUI_AUTH together.

    Other users of this machine can read a command line: file and environment are for who shares one. Raises FlagError
    for an entry without a colon; never shows a password.
    """
    texts = [flags.gradio_auth or "", flags.api_auth or "", os.environ.get(ENVIRONMENT, "")]
    if flags.gradio_auth_path is not None:
        try:
            texts.append(flags.gradio_auth_path.read_text("utf-8"))
        except UnicodeDecodeError as error:
            raise FlagError(f"--gradio-auth-path: {flags.gradio_auth_path} is no UTF-8 text.") from error
        except OSError as error:
            sentence = f"--gradio-auth-path: {flags.gradio_auth_path} can't be read ({error.strerror})."
            raise FlagError(sentence) from error
    entries = [entry.strip() for text in texts for entry in text.replace("\n", ",").split(",")]
    return [_pair(entry) for entry in entries if entry]


def _pair(entry: str) -> tuple[str, str]:
    user, colon, password = entry.partition(":")
    if not colon or not user or not password:
        raise FlagError("A login is user:password, several with commas; one has no colon or an empty half.")
    return user, password
