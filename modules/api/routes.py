"""The whole API: A1111's calls under /sdapi/v1 and /internal, ours under /v1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request

from modules.api.boards import board_routes
from modules.api.calls import log_call
from modules.api.controlnet_routes import controlnet_routes
from modules.api.detail_routes import detail_routes
from modules.api.docs import docs_routes
from modules.api.extra_networks import extra_network_routes
from modules.api.extras_routes import extras_routes
from modules.api.generation import generation_routes
from modules.api.get_models import get_model_routes
from modules.api.internal import gradio_routes, internal_routes
from modules.api.jobs import job_routes
from modules.api.lists import list_routes
from modules.api.merger_routes import merger_routes
from modules.api.options import option_routes
from modules.api.picture_changes import picture_change_routes
from modules.api.pictures import picture_routes
from modules.api.progress import progress_routes
from modules.api.queue import queue_routes
from modules.api.system import system_routes
from modules.settings.start_profile import StartProfile

if TYPE_CHECKING:
    from modules.jobs.services import Services


def api_is_served(services: Services) -> bool:
    """Whether the API is on: with --api or --nowebui, as in A1111, and always while only this machine can reach us.

    On loopback it gives nobody more than the page does, since the door stands before both, and programs then work
    without a flag to find out about.
    """
    flags = services.flags
    return flags.api or flags.nowebui or not (flags.listen or flags.server_name or flags.share)


def api_routes(
    services: Services, logged_in: Callable[[Request], Any], profile: StartProfile | None = None
) -> APIRouter:
    """Every call of the API, behind the login that `logged_in` checks."""
    logged = [Depends(log_call)] if services.flags.api_log else []
    router = APIRouter(dependencies=[Depends(logged_in), *logged])
    router.include_router(docs_routes())
    for make in (
        generation_routes,
        progress_routes,
        list_routes,
        option_routes,
        extras_routes,
        controlnet_routes,
        system_routes,
        partial(internal_routes, profile=profile or StartProfile()),
        gradio_routes,
        extra_network_routes,
        queue_routes,
        job_routes,
        merger_routes,
        detail_routes,
        picture_change_routes,
        picture_routes,
        board_routes,
        get_model_routes,
    ):
        router.include_router(make(services))
    return router


def page_only_routes(services: Services, logged_in: Callable[[Request], Any]) -> APIRouter:
    """What the page's Queue, Gallery and Get models tabs call, for a server whose API is off."""
    router = APIRouter(dependencies=[Depends(logged_in)])
    for make in (queue_routes, picture_change_routes, picture_routes, board_routes, get_model_routes):
        router.include_router(make(services))
    return router
