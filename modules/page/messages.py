"""How events answer: at once, and with sentences that the page's scripts show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from modules.gallery.allowed_folders import FolderNotAllowedYet
from modules.parameters import RequestError
from modules.parameters.request import reason_of

# Events never wait in Gradio's queue: the real queue is the server's.
# With no component to show progress on, the browser keeps no loading status: Gradio would send every status of every
# event to every output of all of them, with a walk through the whole tree of components for each.
QUICK: Final[Mapping[str, Any]] = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
}

# Shows what `message` wrote into a hidden box.
SAY: Final = "(text) => window.webui.say(text)"


def refusal(error: Exception) -> str:
    """The answer of Generate that nothing was queued: why, or the folder that the person may allow."""
    answer = {"error": str(error)}
    if isinstance(error, FolderNotAllowedYet):
        answer["folder"] = str(error.folder)
    return json.dumps(answer)


def unusable(error: ValidationError, labels: Mapping[str, str]) -> RequestError:
    """The first thing wrong with a tab's values, naming the control; `labels` are by field, parts after a dot."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    reason = reason_of(first)
    return RequestError(f"{labels.get(name, name)} is {first.get('input')!r:.60}: {reason[:1].lower()}{reason[1:]}.")


def message(text: str, kind: str = "info") -> str:
    """A sentence for the page as a hidden box carries it; `kind` is info or error. Empty text says nothing."""
    return json.dumps({"text": text, "kind": kind}) if text else ""
