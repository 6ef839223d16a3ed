"""The Checkpoint Merger for programs. A1111 has no call for it; ours queues a job and answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from modules.api.http_errors import ApiRoute
from modules.api.queue import job_item
from modules.api.viewer import ByLogin
from modules.parameters.merger_request import ExtractRequest, MergeRequest
from modules.parameters.request import merger_job

if TYPE_CHECKING:
    from modules.jobs.services import Services


def merger_routes(services: Services) -> APIRouter:
    """The jobs that make model files of others: POST to them, then watch them like any job."""
    router = APIRouter(prefix="/v1/jobs", route_class=ApiRoute, tags=["jobs"])

    @router.post("/merge", status_code=202)
    def merge(body: MergeRequest, viewer: ByLogin) -> dict[str, Any]:
        """Queue a merge of checkpoints, named by title, name or hash. The notices of the ended job say where it is."""
        return job_item(services.jobs.submit(merger_job(body), client="api", user=viewer.user))

    @router.post("/extract-lora", status_code=202)
    def extract(body: ExtractRequest, viewer: ByLogin) -> dict[str, Any]:
        """Queue the extraction of a LoRA from the difference of two checkpoints."""
        return job_item(services.jobs.submit(merger_job(body), client="api", user=viewer.user))

    return router
