"""What a picture says, for a person to read: plain texts as they are, other programs' JSON laid out."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Final

from modules.page.results import infotext_html
from modules.pictures import ImageMetadata

# Longer texts are folded, and cut where a page would choke on them.
_FOLDED: Final = 600
_LONGEST: Final = 200_000
_MOST_NODES: Final = 400
_ORIGINS: Final = {
    "prompt": "ComfyUI's nodes",
    "workflow": "ComfyUI's workflow",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI's graph",
    "invokeai_workflow": "InvokeAI's workflow",
    "sd-metadata": "InvokeAI, before 3.0",
    "Dream": "InvokeAI, before 2.0",
    "dream": "InvokeAI, before 2.0",
    "Comment": "NovelAI",
}


def metadata_html(metadata: ImageMetadata) -> str:
    """The texts of a picture. None of them becomes markup."""
    size = f"<p>{html.escape(metadata.format)}, {metadata.width}×{metadata.height}</p>"
    if not metadata.infotext and not metadata.items:
        return f"{size}<p>Nothing is written in this picture.</p>"
    parameters = f"<h2>parameters</h2>{infotext_html(metadata.infotext)}" if metadata.infotext else ""
    # An EXIF comment that is the infotext has been shown.
    items = {key: text for key, text in metadata.items.items() if text.strip() != metadata.infotext.strip()}
    return size + parameters + "".join(_item(key, text) for key, text in items.items())


def _item(key: str, text: str) -> str:
    value = _read(text)
    origin = f" <small>{_ORIGINS[key]}</small>" if value is not None and key in _ORIGINS else ""
    head = f"<h2>{html.escape(key)}{origin}</h2>"
    if value is None:
        return head + _folded(key, text, infotext_html(text[:_LONGEST]))
    if _is_graph(value):
        return head + f'<dl class="nodes">{"".join(_nodes(value))}</dl>' + _folded("JSON", text, _pretty(value))
    return head + _folded("JSON", text, _pretty(value))


def _read(text: str) -> dict[str, object] | list[object] | None:
    """The JSON object or list that `text` is, if it is one. Bare NaN is JSON to ComfyUI, and to Python."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _pretty(value: object) -> str:
    shown = json.dumps(value, indent=2, ensure_ascii=False)
    rest = f"\n… {len(shown) - _LONGEST:,} characters more" if len(shown) > _LONGEST else ""
    return f"<pre>{html.escape(shown[:_LONGEST] + rest)}</pre>"


def _folded(what: str, text: str, inside: str) -> str:
    if len(text) <= _FOLDED:
        return inside
    return f"<details><summary>{html.escape(what)}, {len(text):,} characters</summary>{inside}</details>"


def _is_graph(value: dict[str, object] | list[object]) -> bool:
    nodes = list(value.values()) if isinstance(value, dict) else []
    return bool(nodes) and all(isinstance(node, dict) and "class_type" in node for node in nodes)


def _nodes(graph: object) -> Iterator[str]:
    """Each node of ComfyUI's graph: its kind, and what it is given; `#4` is the node that a value comes from."""
    nodes = graph if isinstance(graph, Mapping) else {}
    for number, node in list(nodes.items())[:_MOST_NODES]:
        meta = node.get("_meta")
        title = str(meta.get("title") or "") if isinstance(meta, dict) else ""
        kind = str(node["class_type"])
        name = f"#{number} {kind}" + (f" — {title}" if title and title != kind else "")
        inputs = node.get("inputs")
        shown = (
            "; ".join(f"{key}: {_given(value)}" for key, value in inputs.items()) if isinstance(inputs, dict) else ""
        )
        yield f"<dt>{html.escape(name)}</dt><dd>{html.escape(shown)}</dd>"
    if len(nodes) > _MOST_NODES:
        yield f"<dt>and {len(nodes) - _MOST_NODES} more nodes</dt>"


def _given(value: object) -> str:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
        return f"#{value[0]}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:2000]
