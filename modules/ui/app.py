"""The web application: the page's routes, the page, and the door in front of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles

from modules.api.auth import login_required, logins, matches
from modules.api.routes import api_is_served, api_routes
from modules.gallery.allowed import picture_folders
from modules.settings import Flags
from modules.ui.page import ASSETS, build_page, page_head
from modules.ui.picture_routes import create_picture_router
from modules.ui.routes import create_router
from modules.ui.settings_tab import settings_routes
from modules.ui.shelf import PictureShelf
from modules.ui.theme import create_theme
from modules.version import VERSION

if TYPE_CHECKING:
    from modules.jobs.services import Services


def create_app(services: Services, flags: Flags) -> FastAPI:
    """The application that uvicorn serves; whoever serves it puts the door around it."""
    # Description and docs are routes of the API, so that its login covers them.
    app = FastAPI(title="Stable Diffusion web UI", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    known = logins(flags)

    def has_session(request: Request) -> bool:
        return _session(app, request) is not None

    # Routes go in before the page is mounted on "/": it answers everything that is left.
    app.mount("/internal/assets", StaticFiles(directory=ASSETS), name="assets")
    app.include_router(create_router(services, login_required(known, has_session)))
    app.include_router(settings_routes(services, login_required(known, has_session)))
    shelf = PictureShelf(services.paths.cache_dir / "pictures")
    app.include_router(create_picture_router(shelf, login_required(known, has_session)))
    if api_is_served(services):
        app.include_router(api_routes(services, has_session))
    if not flags.nowebui:
        _mount_page(app, services, flags, shelf)
    return app


def _mount_page(app: FastAPI, services: Services, flags: Flags, shelf: PictureShelf) -> None:
    folders = [str(folder) for folder in picture_folders(services.paths, services.options)]
    # Shown from where they lie: Gradio would copy every picture into its cache first.
    gr.set_static_paths(folders)
    known = logins(flags)
    page = build_page(services, shelf, folder_button=folder_button(flags))
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        # A function, so that page and API compare in the same way, which tells nothing by its time.
        auth=partial(matches, known) if known else None,
        root_path=flags.subpath and f"/{flags.subpath.strip('/')}",
        # What a person may name as a folder for pictures must be shown from there as well.
        allowed_paths=[str(root) for root in services.folders.roots],
        max_file_size="200mb",
        ssr_mode=False,
        pwa=False,
        theme=create_theme(),
        head=page_head(flags.theme, services.paths.user_css),
    )


def folder_button(flags: Flags) -> bool:
    """The folder opens on the server's screen, so the button is only for who sits before it."""
    return not (flags.listen or flags.share or flags.server_name or flags.hide_ui_dir_config)


def _session(app: FastAPI, request: Request) -> str | None:
    """Whom Gradio's login cookie belongs to: the page and its routes share one login."""
    applications = (getattr(route, "app", None) for route in app.routes)
    page = next((mounted for mounted in applications if isinstance(mounted, gr.routes.App)), None)
    if page is None:
        return None
    names = (f"access-token-{page.cookie_id}", f"access-token-unsecure-{page.cookie_id}")
    token = next((request.cookies[name] for name in names if name in request.cookies), None)
    user: str | None = page.tokens.get(token)
    return user
