"""Two of Gradio's scripts, served with their slow places corrected.

Its page looks for a component by walking the whole tree of components, for every value that it reads or writes. Ours
has some nine hundred of them, and an event reads hundreds: docs/decisions/0019-correct-gradios-scripts.md has figures.

A correction replaces a piece of a built script that must stand there exactly once. Where it doesn't, as in another
version of Gradio, the script is served as it came, and a test says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response


@dataclass(frozen=True, slots=True)
class Correction:
    """`old` becomes `new` in the script that `script` matches, a pattern of one file name."""

    script: str
    old: str
    new: str


CORRECTIONS: Final = (
    # A component is found through a table, made once for a tree.
    Correction(
        "core-*.js",
        "function Z(e,t){if(e.id===t)return e;if(e.children)for(let n of e.children){let e=Z(n,t);if(e)return e}"
        "return null}",
        "var webuiTables=new WeakMap;function webuiTable(e,t){t.set(e.id,e);if(e.children)for(let n of e.children)"
        "webuiTable(n,t);return t}function Z(e,t){let n=webuiTables.get(e);"
        "n||webuiTables.set(e,n=webuiTable(e,new Map));return n.get(t)??null}",
    ),
    # The only place where components come into a tree that is in use.
    Correction(
        "core-*.js", "a.children=i.children,this.#f(i)", "a.children=i.children,webuiTables=new WeakMap,this.#f(i)"
    ),
    # So are the events of a component, which were looked for among all events.
    Correction(
        "core-*.js",
        "let n=t.filter(t=>t.targets.find(([t])=>t===e.id)).map(t=>{let n=t.targets.find(([t])=>t===e.id);"
        "return n?n[1]:null}).filter(Boolean);",
        "let r=webuiTables.get(t);if(!r){webuiTables.set(t,r=new Map);for(let e of t){let t=new Set;"
        "for(let[n,i]of e.targets)t.has(n)||(t.add(n),i&&(r.has(n)?r.get(n).push(i):r.set(n,[i])))}}"
        "let n=[...(r.get(e.id)??[])];",
    ),
    # An event without arguments of its own has none to set: its components' states need not be read.
    Correction(
        "Blocks-*.js",
        "async set_event_args(e,t){let n={},",
        "async set_event_args(e,t){if(Object.keys(t).length===0)return()=>{};let n={},",
    ),
    # The tree that was just built is not built a second time when the page is mounted.
    Correction(
        "Blocks-*.js",
        "le(()=>{v(),oe(()=>{O.reload(",
        "let webuiBuilt=!1;le(()=>{v(),oe(()=>{if(!webuiBuilt){webuiBuilt=!0;return}O.reload(",
    ),
)


def corrected_scripts(folder: Path | None = None) -> Mapping[str, bytes]:
    """The corrected scripts by file name, of those in `folder` (else of the Gradio that is installed) that all of their
    corrections fit."""
    folder = folder or _gradio_assets()
    corrected: dict[str, bytes] = {}
    for pattern in {one.script for one in CORRECTIONS}:
        found = sorted(folder.glob(pattern))
        wanted = [one for one in CORRECTIONS if one.script == pattern]
        for path in found:
            text = path.read_text("utf-8")
            if all(text.count(one.old) == 1 for one in wanted):
                for one in wanted:
                    text = text.replace(one.old, one.new)
                corrected[path.name] = text.encode()
    return corrected


def _gradio_assets() -> Path:
    # Without importing it, which takes seconds.
    spec = find_spec("gradio")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return Path(places[0] if places else ".") / "templates" / "frontend" / "assets"


def gradio_script_routes() -> APIRouter:
    """The routes of the corrected scripts, which go before Gradio's own."""
    router = APIRouter(include_in_schema=False)
    for name, body in corrected_scripts().items():
        _serve(router, name, body)
    return router


def _serve(router: APIRouter, name: str, body: bytes) -> None:
    # Its name stays when a correction changes: browsers ask each time whether theirs is still the one.
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    @router.get(f"/assets/{name}")
    async def script(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/javascript", headers=headers)
