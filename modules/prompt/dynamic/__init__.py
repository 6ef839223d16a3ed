"""Dynamic prompts: templates of which a prompt is drawn, `a {red|blue} __animals/pets__`.

Syntax of sd-dynamic-prompts (https://github.com/adieyal/sd-dynamic-prompts). Kinder where that stops with an error: a
brace without its other half, a wildcard that is not there and every other thing that can't be read stay as they stand.
"""

from modules.prompt.dynamic.drawing import Drawn, DynamicPromptError, draw, every_product
from modules.prompt.dynamic.syntax import Alternative, Template, is_dynamic, parse
from modules.prompt.dynamic.wildcards import WildcardFiles

__all__ = [
    "Alternative",
    "Drawn",
    "DynamicPromptError",
    "Template",
    "WildcardFiles",
    "draw",
    "every_product",
    "is_dynamic",
    "parse",
]
