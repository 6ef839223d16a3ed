"""What the page says while the small checkpoint that ships with the project is loaded."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

# The page shows the notice while the loaded checkpoint's title starts with this.
DEMO_PREFIX: Final = "demo-emoji"

# On a phone only the first words stand there, until `demo_more` is pressed; assets/demo.js has the buttons' work.
NOTICE: Final = (
    '<div class="demo-head"><b>This is the demo checkpoint</b><button type="button" id="demo_more" '
    'aria-expanded="false" aria-controls="demo_rest">More</button><button type="button" id="demo_dismiss" '
    'title="Don\'t show this again" aria-label="Don\'t show this again">✕</button></div>'
    '<div id="demo_rest"><p>A tiny model that came with the project and only knows emoji-like things on simple '
    "backgrounds. For real pictures, put a checkpoint of Stable Diffusion 1, 2, XL, Z-Image, Flux.1 or "
    "Flux.2 klein (.safetensors or .ckpt) into</p>"
    "<p><code>{folder}</code>{buttons}</p><p>and press 🔄 beside the checkpoint list. Checkpoints of Stable "
    "Diffusion 3 can't be loaded yet. Try:</p></div>"
)
OPEN: Final = '<button type="button" id="demo_open">Open the folder</button>'
GET: Final = '<button type="button" id="demo_get">Get models</button>'

EXAMPLE_PROMPTS: Final = (
    "a red apple on a blue background",
    "a penguin in the snow",
    "a rocket in space",
    "a pizza on a green background",
)


def demo_notice(folder: Path, *, folder_button: bool, get_models: bool) -> str:
    """The notice as HTML: where checkpoints go, with buttons where the folder can be opened on this
    screen, and where models can be fetched."""
    return NOTICE.format(
        folder=html.escape(str(folder)), buttons=(OPEN if folder_button else "") + (GET if get_models else "")
    )
