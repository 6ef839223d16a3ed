"""Who may use the server: one list of users for page, API, files and docs."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import HTTPException, Request

from modules.api.viewer import let_in

Logins = Sequence[tuple[str, str]]
SessionUser = Callable[[Request], str | None]

_CHALLENGE: Final = {"WWW-Authenticate": "Basic"}


def matches(known: Logins, user: str, password: str) -> bool:
    """Whether this pair is among `known`, in a time that does not depend on how much of a guess was right."""
    found = False
    for known_user, known_password in known:
        same_user = secrets.compare_digest(_bytes(user), _bytes(known_user))
        same_password = secrets.compare_digest(_bytes(password), _bytes(known_password))
        found |= same_user and same_password
    return found


def _bytes(text: str) -> bytes:
    # A command line that is no UTF-8 arrives with surrogates in it.
    return text.encode("utf-8", "surrogateescape")


def login_required(known: Logins, session_user: SessionUser) -> Callable[[Request], Any]:
    """A dependency that lets in whoever logged in on the page, or names a login by HTTP Basic. No logins: everybody.

    Whose login it was is handed on with the request, for `modules.api.viewer`.
    """

    # A coroutine without a wait in it: a plain function would cost every call a thread of its own.
    async def check(request: Request) -> None:
        if not known:
            return let_in(request, None)
        if (user := session_user(request)) is not None:
            return let_in(request, user)
        # Open WebUI sends an empty header where it has no login: that is no header.
        scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            if matches(known, user, password):
                return let_in(request, user)
        # A script of our page that is challenged makes the browser open a box of its own, beside the page's login.
        sent_by_script = request.headers.get("sec-fetch-dest", "").lower() == "empty"
        raise HTTPException(401, "Incorrect username or password", headers=None if sent_by_script else _CHALLENGE)

    return check
