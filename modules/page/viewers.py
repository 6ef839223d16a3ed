"""Who presses a button of the page."""

from __future__ import annotations

import gradio as gr

from modules.jobs.access import Viewer


def pressed_by(request: gr.Request, client: object = None) -> Viewer:
    """The login of the page that an event comes from, and the browser's id where its values hold one."""
    return Viewer(request.username, str(client) if client else None)
