"""Who may use the server: one list of users for page, API, files and docs."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import HTTPException, Request

from modules.settings import FlagError, Flags

Logins = Sequence[tuple[str, str]]
HasSession = Callable[[Request], bool]

ENVIRONMENT: Final = "WEBUI_AUTH"
_CHALLENGE: Final = {"WWW-Authenticate": "Basic"}


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


def matches(known: Logins, user: str, password: str) -> bool:
    """Whether this pair is among `known`, in a time that does not tell how far a guess was right."""
    found = False
    for known_user, known_password in known:
        same_user = secrets.compare_digest(_bytes(user), _bytes(known_user))
        same_password = secrets.compare_digest(_bytes(password), _bytes(known_password))
        found |= same_user and same_password
    return found


def _bytes(text: str) -> bytes:
    # A command line that is no UTF-8 arrives with surrogates in it.
    return text.encode("utf-8", "surrogateescape")


def login_required(known: Logins, has_session: HasSession) -> Callable[[Request], Any]:
    """A dependency that lets in whoever logged in on the page, or names a login by HTTP Basic. No logins: everybody."""

    # A coroutine without a wait in it: a plain function would cost every call a thread of its own.
    async def check(request: Request) -> None:
        if not known or has_session(request):
            return
        # Open WebUI sends an empty header where it has no login: that is no header.
        scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            if matches(known, user, password):
                return
        # A script of our page that is challenged makes the browser open a box of its own, beside the page's login.
        asked_by_script = request.headers.get("sec-fetch-dest", "").lower() == "empty"
        raise HTTPException(401, "Incorrect username or password", headers=None if asked_by_script else _CHALLENGE)

    return check
