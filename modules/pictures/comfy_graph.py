"""ComfyUI's graph in its API format: nodes by id, each with a class and inputs that are values or links.

A link is `[id, output]`: the number says which of the node's outputs is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from modules.pictures.foreign_values import number, obj, text

# A graph is somebody else's data: each search ends after so many nodes.
MOST_NODES: Final = 500
_NUMBERS: Final = ("value", "int", "float", "number", "seed", "noise_seed")
_STRINGS: Final = ("value", "string", "text")

Inputs = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `kind` is its class."""

    key: str
    kind: str
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph as JSON gives it; what is no node or no link in it reads as absent."""

    nodes: Mapping[str, object]

    def __iter__(self) -> Iterator[Node]:
        return (self._node(key) for key in self.nodes)

    def behind(self, value: object) -> tuple[Node, int] | None:
        """The node that `value` links to and the number of its output; None where it is no link."""
        if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str | int):
            return None
        key, output = str(value[0]), value[1]
        if not isinstance(self.nodes.get(key), dict):
            return None
        return self._node(key), output if isinstance(output, int) else 0

    def upstream(self, *links: object) -> Iterator[Node]:
        """The nodes behind `links` and all that feed them, nearest first, each once."""
        queue, seen = list(links), set[str]()
        while queue and len(seen) < MOST_NODES:
            found = self.behind(queue.pop(0))
            if found is None or found[0].key in seen:
                continue
            node = found[0]
            seen.add(node.key)
            yield node
            queue += list(node.inputs.values())[:MOST_NODES]

    def ends(self) -> list[Node]:
        """The nodes whose outputs nobody uses."""
        used = {found[0].key for node in self for value in node.inputs.values() if (found := self.behind(value))}
        return [node for node in self if node.key not in used]

    def number(self, value: object, names: Sequence[str] = ()) -> int | float | None:
        """A number given directly, or held by a node under one of `names` or the usual ones."""
        return number(value) if self.behind(value) is None else self._held(value, (*names, *_NUMBERS), number)

    def string(self, value: object, names: Sequence[str] = ()) -> str:
        """A text given directly, or held by a node under one of `names` or the usual ones."""
        return text(value) if self.behind(value) is None else self._held(value, (*names, *_STRINGS), _full) or ""

    def _held(self, link: object, names: Sequence[str], read: Callable[[object], _T | None]) -> _T | None:
        for node in self.upstream(link):
            values = [read(node.inputs.get(name)) for name in names]
            values += [read(value) for value in node.inputs.values()]
            found = next((value for value in values if value is not None), None)
            if found is not None:
                return found
        return None

    def _node(self, key: str) -> Node:
        node = obj(self.nodes.get(key))
        return Node(key, text(node.get("class_type")), obj(node.get("inputs")))


def _full(value: object) -> str | None:
    return text(value) or None
