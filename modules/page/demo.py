"""What the page says while the small checkpoint that ships with the project is loaded."""

from typing import Final

# The page shows the notice while the loaded checkpoint's title starts with this.
DEMO_PREFIX: Final = "demo-emoji"

NOTICE: Final = (
    "<p><b>This is the demo checkpoint</b>: a tiny model that came with the project and only knows emoji-like things "
    "on simple backgrounds. For real pictures, put a Stable Diffusion checkpoint (.safetensors) into "
    "<code>models/Stable-diffusion</code> and press 🔄 beside the checkpoint list. Try:</p>"
)

EXAMPLE_PROMPTS: Final = (
    "a red apple on a blue background",
    "a penguin in the snow",
    "a rocket in space",
    "a pizza on a green background",
)
