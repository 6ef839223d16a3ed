"""The page as an application of Gradio's. Importing this imports Gradio."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Mount

from modules.api.picture_answers import looker_of
from modules.gallery.allowed_folders import picture_folders
from modules.jobs.access import Viewer
from modules.page.early_markup import early_markup
from modules.page.localization import localization_script, read_localization, translate_choices
from modules.page.open_folder import folder_button
from modules.page.page import build_page, page_head
from modules.page.theme import create_theme
from modules.page.uploads import UploadStore
from modules.server.auth import matches
from modules.server.early_head import EarlyHead
from modules.server.page_host import PageHost
from modules.server.subpath import prefix_of
from modules.settings import Flags
from modules.settings.logins import logins

if TYPE_CHECKING:
    from modules.jobs.services import Services


def page_host(services: Services, flags: Flags, uploads: UploadStore) -> PageHost:
    """The page, ready to be mounted on "/"."""
    looker = looker_of(services)

    def hides(user: str | None, file: Path) -> bool:
        return services.index.hides(file, looker(Viewer(user)))

    return PageHost(partial(_page, services, flags, uploads), hides)


def _page(services: Services, flags: Flags, uploads: UploadStore) -> FastAPI:
    """The page as the settings of this moment want it."""
    folders = [str(folder) for folder in picture_folders(services.paths, services.options)]
    # Shown from where they lie: Gradio would copy every picture into its cache first.
    gr.set_static_paths(folders)
    known = logins(flags)
    holder = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page = build_page(services, uploads, folder_button=folder_button(flags))
    language = services.options.text("localization")
    texts = read_localization(services.paths.localizations_dirs, language)
    gr.mount_gradio_app(
        holder,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        # A function, so that page and API compare in the same way, in constant time.
        auth=partial(matches, known) if known else None,
        root_path=prefix_of(flags.subpath) or None,
        # What a person may name as a folder for pictures must be shown from there as well.
        allowed_paths=services.folders.served,
        max_file_size="200mb",
        ssr_mode=False,
        pwa=False,
        theme=create_theme(services.options.text("gradio_theme")),
        head=page_head(services.paths.user_css) + localization_script(texts, language),
    )
    early = early_markup(flags.theme)
    for route in holder.routes:
        if isinstance(route, Mount) and isinstance(route.app, gr.routes.App):
            route.app.user_middleware.append(Middleware(EarlyHead, markup=early))
    translate_choices(page.config["components"], texts)
    return holder
