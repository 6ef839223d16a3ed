"""Every text that the page shows of its own accord, found in the sources: what a language has to translate."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from modules.downloads.offered import offered_models
from modules.features.table import SCRIPTS
from modules.parameters import GenerationRequest, declared_parameters
from modules.settings import OPTIONS, SECTIONS
from modules.settings.choices import MASKED_CONTENTS

_ROOT: Final = Path(__file__).resolve().parents[1]
_ASSETS: Final = Path(__file__).parent / "assets"
# Rooms without labels whose sentences reach the page.
_SPEAKING: Final = (
    *("jobs", "intake", "gallery", "downloads", "pictures", "files", "prompt", "parameters", "settings", "catalogue"),
)
_LETTERS: Final = re.compile(r"[^\W\d_]{2}")
# In scripts: comments, then strings and templates.
_COMMENT: Final = re.compile(r"(?m)^\s*//.*$|\s//\s.*$|/\*\*(?:[^*]|\*(?!/))*\*/")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
_HOLE: Final = re.compile(r"\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_WORDS: Final = re.compile(r"[A-Z({][^<>=%]*")
_SHOWN: Final = re.compile(r'(?:title|placeholder|aria-label)="([^"]+)"')
# What Gradio adds to controls.
_GRADIO: Final = ("number input for {}", "range slider for {}", "More tabs", "Empty value")
_TAG: Final = re.compile(r"<[^<>]*>")
# Words in the sources that look like labels: names of keys and types, of what is hidden, and what the terminal says.
_UNSHOWN: Final = frozenset(
    {
        *(
            "Arrow",
            "End",
            "Enter",
            "Escape",
            "Home",
            "Shift",
            "Alt",
            "Meta",
            "(prefers-color-scheme: dark)",
            "(prefers-reduced-motion: reduce)",
            "False",
            "Notification",
            "Services",
            "Source Sans Pro",
            "Stable Diffusion web UI",
        ),
        *(
            "Sync",
            "Styles changed",
            "Use checkpoint",
            "Platform",
            "Packages",
            "Flags",
            "A local web UI for Stable Diffusion.",
        ),
    }
)
_TERMINAL: Final = re.compile(r"^(WARNING|Running on|Port |No port|The address|ORDER BY|SELECT|INSERT|DELETE|WHERE)")
_CODE: Final = re.compile(r"^[A-Z]\d|^[A-Z][a-z]*(-[A-Z][a-z]+)+$|https?:|^\(values")
_NAMED: Final = re.compile(r"\{\w+\}")
_LOGGING: Final = frozenset({"debug", "info", "warning", "error", "exception"})


@cache
def page_texts() -> list[str]:
    """The texts, each once; `{}` stands for what is filled in."""
    found = [*_option_texts(), *_parameter_texts(), *_script_texts(), *_python_texts(), *_offered_texts(), *_GRADIO]
    return list(dict.fromkeys(text for text in found if _LETTERS.search(text)))


def _offered_texts() -> Iterator[str]:
    for model in offered_models():
        yield model.text
        yield f"card: {model.card}" if model.card != "any" else "any card"


def _option_texts() -> Iterator[str]:
    yield from SECTIONS.values()
    for option in OPTIONS.values():
        if not option.hidden:
            yield option.label
            yield option.hint
            yield from filter(_is_choice, option.choices)


def _parameter_texts() -> Iterator[str]:
    yield from (declared.parameter.label for declared in declared_parameters(GenerationRequest))
    yield from filter(_is_choice, MASKED_CONTENTS)
    for script in SCRIPTS:
        yield script.title
        for argument in (*script.arguments, *(one for own in script.arguments for one in own.record)):
            yield argument.label
            if argument.look == "note":
                yield from _pieces(str(argument.default))
            yield from filter(_is_choice, argument.choices)


def _script_texts() -> Iterator[str]:
    for path in sorted(_ASSETS.glob("*.js")):
        for plain, template in _STRING.findall(_COMMENT.sub("", path.read_text("utf-8"))):
            text = _HOLE.sub("{}", template) if template else plain.replace('\\"', '"')
            yield from _pieces(text)


def _python_texts() -> Iterator[str]:
    for text in _room_texts("page"):
        yield from _pieces(text)
    for room in _SPEAKING:
        yield from (text for text in _room_texts(room) if _is_said(text) and _is_sentence(text))


def _room_texts(room: str) -> Iterator[str]:
    for path in sorted((_ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        silent = {id(node) for node in _silent(tree)}
        for node in ast.walk(tree):
            text = _text(node)
            if text is not None and id(node) not in silent:
                yield _NAMED.sub("{}", text)


def _pieces(text: str) -> Iterator[str]:
    """Of markup, the texts between the tags and in attributes that are shown; else the text, if it is one to read."""
    if not _TAG.search(text):
        if _is_said(text):
            yield text
        return
    between = (piece.strip() for piece in _TAG.split(text))
    yield from (piece for piece in between if _is_said(piece) or _is_prose(piece))
    yield from (piece for piece in _SHOWN.findall(text) if "{" not in piece)


def _is_choice(text: str) -> bool:
    return _is_said(text) or " " in text


def _is_sentence(text: str) -> bool:
    """Enough words of its own to be known by, and an end."""
    words = len(re.findall(r"[A-Za-z']{3,}", text))
    return text.endswith((".", "…", "?")) and words >= (1 if text[0].isupper() else 2)


def _is_prose(text: str) -> bool:
    return " " in text and "{" not in text and len(re.findall(r"[A-Za-z']{2,}", text)) >= 2


def _is_said(text: str) -> bool:
    """Words as people read them: a sentence, or a label that begins with a capital; no name, header or drawing."""
    if not _WORDS.fullmatch(text) or _CODE.search(text) or _TERMINAL.match(text) or text in _UNSHOWN:
        return False
    return " " in text or text.istitle()


def _silent(tree: ast.AST) -> Iterator[ast.AST]:
    """Docstrings, and the parts of texts that are yielded whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (one for one in ast.walk(node) if one is not node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOGGING:
            yield from (one for argument in node.args for one in ast.walk(argument))


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        return "".join(parts)
    return None
