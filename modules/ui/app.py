"""The web application: the page's routes, the page, and the door in front of both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles

from modules.api.auth import login_required, logins, matches
from modules.api.errors import unforeseen
from modules.api.routes import api_is_served, api_routes, page_queue_routes
from modules.gallery.allowed import picture_folders
from modules.settings import Flags
from modules.ui.host import PageHost
from modules.ui.localization import localization_script, read_localization
from modules.ui.page import ASSETS, build_page, page_head
from modules.ui.picture_routes import create_picture_router
from modules.ui.process import ServerProcess
from modules.ui.routes import create_router
from modules.ui.settings_tab import settings_routes
from modules.ui.shelf import PictureShelf
from modules.ui.style_routes import style_routes
from modules.ui.subpath import prefix_of
from modules.ui.system_page import system_routes
from modules.ui.theme import create_theme
from modules.version import VERSION

if TYPE_CHECKING:
    from modules.jobs.services import Services


def create_app(services: Services, flags: Flags, process: ServerProcess | None = None) -> FastAPI:
    """The application that uvicorn serves; whoever serves it puts the door around it."""
    process = process or ServerProcess()
    known = logins(flags)
    shelf = PictureShelf(services.paths.cache_dir / "pictures")
    host = None if flags.nowebui else PageHost(partial(_page, services, flags, shelf))
    # Description and docs are routes of the API, so that its login covers them.
    app = FastAPI(
        title="Stable Diffusion web UI",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=host.lifespan if host is not None else None,
        # A proxy may pass the prefix on or take it off: both are served, and links carry it.
        root_path=prefix_of(flags.subpath),
        # Bots send JSON without saying so, and A1111 takes it. The door, not a header, keeps other web pages out.
        strict_content_type=False,
    )
    app.add_exception_handler(Exception, unforeseen)

    def has_session(request: Request) -> bool:
        return host is not None and host.user(request) is not None

    logged_in = login_required(known, has_session)
    # Routes go in before the page is mounted on "/": it answers everything that is left.
    app.mount("/internal/assets", StaticFiles(directory=ASSETS), name="assets")
    app.include_router(create_router(services, logged_in, layout=lambda: host.layout if host else ""))
    app.include_router(settings_routes(services, logged_in))
    app.include_router(system_routes(services, process, logged_in))
    app.include_router(style_routes(services, logged_in))
    app.include_router(create_picture_router(shelf, logged_in))
    if api_is_served(services):
        app.include_router(api_routes(services, has_session, process.profile))
    else:
        app.include_router(page_queue_routes(services, has_session))
    if host is not None:
        app.include_router(reload_route(host, logged_in))
        app.mount("/", host)
    return app


def _page(services: Services, flags: Flags, shelf: PictureShelf) -> FastAPI:
    """The page as the settings of this moment want it."""
    folders = [str(folder) for folder in picture_folders(services.paths, services.options)]
    # Shown from where they lie: Gradio would copy every picture into its cache first.
    gr.set_static_paths(folders)
    known = logins(flags)
    holder = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        holder,
        build_page(services, shelf, folder_button=folder_button(flags)),
        path="/",
        footer_links=[],
        run_history=False,
        # A function, so that page and API compare in the same way, which tells nothing by its time.
        auth=partial(matches, known) if known else None,
        root_path=prefix_of(flags.subpath) or None,
        # What a person may name as a folder for pictures must be shown from there as well.
        allowed_paths=[str(root) for root in services.folders.roots],
        max_file_size="200mb",
        ssr_mode=False,
        pwa=False,
        theme=create_theme(services.options.text("gradio_theme")),
        head=page_head(flags.theme, services.paths.user_css) + _language(services),
    )
    return holder


def _language(services: Services) -> str:
    name = services.options.text("localization")
    return localization_script(read_localization(services.paths.localizations_dirs, name), name)


def reload_route(host: PageHost, logged_in: Callable[[Request], None]) -> APIRouter:
    """Reload UI: build the page anew, as settings of its layout need it."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.post("/reload-ui")
    async def reload_ui() -> dict[str, str]:
        await host.rebuild()
        return {"layout": host.layout}

    return router


def folder_button(flags: Flags) -> bool:
    """The folder opens on the server's screen, so the button is only for who sits before it."""
    return not (flags.listen or flags.share or flags.server_name or flags.hide_ui_dir_config)
