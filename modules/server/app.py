"""The web application: the page's routes, the page, and the door in front of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles

from modules.api.http_errors import unforeseen
from modules.api.routes import api_is_served, api_routes, page_only_routes
from modules.page.card_routes import card_routes
from modules.page.controlnet_routes import controlnet_page_routes
from modules.page.folder_routes import folder_routes
from modules.page.model_upload_routes import model_upload_routes
from modules.page.other_program_routes import other_program_routes
from modules.page.picture_routes import create_picture_router
from modules.page.process import ServerProcess
from modules.page.routes import create_router
from modules.page.settings_tab import settings_routes
from modules.page.style_routes import style_routes
from modules.page.system_page import system_routes
from modules.page.unit_routes import unit_routes
from modules.page.uploads import UploadStore
from modules.server.auth import login_required
from modules.server.compression import CompressedPage
from modules.server.gradio_scripts import gradio_script_routes
from modules.server.subpath import prefix_of
from modules.settings import Flags
from modules.settings.logins import logins
from modules.version import VERSION

if TYPE_CHECKING:
    from modules.jobs.services import Services
    from modules.server.page_host import PageHost

ASSETS: Final = Path(__file__).resolve().parents[1] / "page" / "assets"


def create_app(services: Services, flags: Flags, process: ServerProcess | None = None) -> FastAPI:
    """The application that uvicorn serves; whoever serves it puts the door around it."""
    process = process or ServerProcess()
    known = logins(flags)
    uploads = UploadStore(services.paths.cache_dir / "pictures")
    host = None if flags.nowebui else _page_host(services, flags, uploads)
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
    app.add_middleware(CompressedPage)

    def session_user(request: Request) -> str | None:
        return None if host is None else host.user(request)

    logged_in = login_required(known, session_user)
    # Routes go in before the page is mounted on "/": it answers everything that is left.
    app.mount("/internal/assets", StaticFiles(directory=ASSETS), name="assets")
    if host is not None:
        app.include_router(gradio_script_routes())
    app.include_router(
        create_router(services, logged_in, layout=lambda: host.layout if host else "", warned=process.warned)
    )
    app.include_router(folder_routes(services, logged_in))
    app.include_router(other_program_routes(services, logged_in))
    app.include_router(settings_routes(services, logged_in))
    app.include_router(system_routes(services, process, logged_in))
    app.include_router(style_routes(services, logged_in))
    app.include_router(unit_routes(services, logged_in))
    app.include_router(controlnet_page_routes(services, uploads, logged_in))
    app.include_router(card_routes(services, logged_in))
    app.include_router(model_upload_routes(services, logged_in))
    app.include_router(create_picture_router(uploads, logged_in))
    if api_is_served(services):
        app.include_router(api_routes(services, logged_in, process.profile))
    else:
        app.include_router(page_only_routes(services, logged_in))
    if host is not None:
        app.include_router(reload_route(host, logged_in))
        app.mount("/", host)
    return app


def _page_host(services: Services, flags: Flags, uploads: UploadStore) -> PageHost:
    # Imported here: Gradio is most of a start, and a server without the page needs nothing of it.
    from modules.server.page_app import page_host

    return page_host(services, flags, uploads)


def reload_route(host: PageHost, logged_in: Callable[[Request], None]) -> APIRouter:
    """Reload UI: build the page anew, as settings of its layout need it."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.post("/reload-ui")
    async def reload_ui() -> dict[str, str]:
        await host.rebuild()
        return {"layout": host.layout}

    return router
