"""Who sends a request: the login that the door let in, and the browser that it says it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from modules.jobs.access import Viewer

ClientId = Annotated[str | None, Query(max_length=64)]


def let_in(request: Request, user: str | None) -> None:
    """Remember whose login a request came with, for `viewer_of`."""
    request.state.user = user


def login_of(request: Request) -> Viewer:
    """Whose login the request came with. Of one that passed no login check nothing is known."""
    return Viewer(user=getattr(request.state, "user", None))


def viewer_of(request: Request, client: ClientId = None) -> Viewer:
    """Login and browser of a request."""
    return Viewer(login_of(request).user, client)


def page_viewer_of(request: Request, client: ClientId = None) -> Viewer:
    """The same for lists that mark one's own jobs: whoever names no browser is one that has started nothing."""
    return viewer_of(request, client or "")


ByLogin = Annotated[Viewer, Depends(login_of)]
ByBrowser = Annotated[Viewer, Depends(viewer_of)]
ByPage = Annotated[Viewer, Depends(page_viewer_of)]
