"""The text behind a conditioning of ComfyUI's graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from modules.pictures.comfy_graph import Graph, Node
from modules.pictures.foreign_values import text

PromptSide = Literal["positive", "negative"]

_DEEPEST: Final = 100
_MOST_STEPS: Final = 500
_TEXTS: Final = ("populated_text", "text", "text_g", "t5xxl", "clip_g", "clip_l", "string", "value", "prompt")
# Inputs that are joined to one string: string_a and string_b, string1, text_1, text_a (but not SDXL's text_g, text_l).
_PIECE: Final = re.compile(r"(?:string|text)_?(?:[a-d]|[0-9]{1,2})")
# What never leads to the words of a prompt.
_NO_WORDS: Final = frozenset(
    {"clip", "model", "vae", "image", "images", "mask", "control_net", "clip_vision", "pixels"}
)
_EMPTY: Final = "ConditioningZeroOut"


class PromptReader:
    """Reads prompts from a graph, each within a bounded number of steps."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps = 0

    def read(self, link: object, side: PromptSide) -> str:
        """The text of the conditioning behind `link`, which a sampler uses as its `side`."""
        self._steps = 0
        return self._text(link, side, 0)

    def _text(self, value: object, side: PromptSide, depth: int) -> str:
        """A text given directly, or made by the node behind a link."""
        found = self._graph.behind(value)
        if found is None:
            return text(value)
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            return ""
        node, output = found
        if node.kind == _EMPTY:
            return ""
        chosen = _of_output(node, output)
        if chosen is not None:
            # Behind a node with both prompts in and out, its output says which one is meant.
            name, side = chosen
            return self._text(node.inputs[name], side, depth + 1)
        return self._own(node, side, depth) or self._joined(node, side, depth)

    def _own(self, node: Node, side: PromptSide, depth: int) -> str:
        """The node's words, from one input or several pieces."""
        pieces = [name for name in node.inputs if _PIECE.fullmatch(name)]
        if len(pieces) > 1:
            texts = [self._text(node.inputs[name], side, depth + 1) for name in sorted(pieces)]
            between = node.inputs.get("delimiter", node.inputs.get("separator", ", "))
            return text(between).replace("\\n", "\n").join(filter(None, texts))
        for name in (*_TEXTS, *pieces):
            if found := self._text(node.inputs.get(name), side, depth + 1):
                return found
        return ""

    def _joined(self, node: Node, side: PromptSide, depth: int) -> str:
        """The texts of the conditionings that the node brings together."""
        texts = (self._text(link, side, depth + 1) for link in _feeding(node))
        between = " BREAK " if "concat" in node.kind.lower() else " AND "
        return between.join(dict.fromkeys(filter(None, texts)))


def _of_output(node: Node, output: int) -> tuple[str, PromptSide] | None:
    """For a node that has both prompts: the input that comes out at this output, and its side."""
    for prefix in ("", "text_"):
        names = (f"{prefix}positive", f"{prefix}negative")
        if not all(name in node.inputs for name in names):
            continue
        # Loaders with the texts in them give the model first.
        first = 0 if prefix or not isinstance(node.inputs[names[0]], str) else 1
        sides: tuple[PromptSide, PromptSide] = ("positive", "negative")
        if 0 <= output - first <= 1:
            return names[output - first], sides[output - first]
    return None


def _feeding(node: Node) -> Iterator[object]:
    conditionings = [value for name, value in node.inputs.items() if name.startswith("cond")]
    yield from conditionings or [value for name, value in node.inputs.items() if name not in _NO_WORDS]
