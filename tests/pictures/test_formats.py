"""Pillow opens dozens of formats, some of which start programs: every call in the program names those it may be."""

from __future__ import annotations

import ast
from pathlib import Path

from modules.settings import REPOSITORY


def opened_without_formats(path: Path) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"Image.open", "PIL.Image.open"}
        and not any(keyword.arg == "formats" for keyword in node.keywords)
    ]


def test_every_picture_is_opened_by_the_list_of_formats() -> None:
    files = sorted((REPOSITORY / "modules").rglob("*.py"))
    assert len(files) > 100
    found = {str(path): lines for path in files if (lines := opened_without_formats(path))}
    assert found == {}
