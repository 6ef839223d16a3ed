"""The model files that features of a job name."""

from __future__ import annotations

from modules.catalogue import Catalogue, ModelNotFoundError
from modules.features.controlnet.plan import control_titles, requests_of
from modules.parameters import ResolvedRequest


def feature_files_of(catalogue: Catalogue, resolved: ResolvedRequest) -> dict[str, str]:
    """Their paths by "kind/name"; what is not on this machine any more is not among them."""
    titles = dict.fromkeys(title for request in requests_of(resolved) for title in control_titles(request))
    found = {}
    for title in titles:
        try:
            found[f"control/{title}"] = str(catalogue.find_control(title).path)
        except ModelNotFoundError:
            continue
    return found
