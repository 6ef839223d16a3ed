"""Names are the field's own: words that this project once made up for known things stay out of its identifiers."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What it was called here: what everybody calls it.
RETIRED = {
    "luggage": "job services",
    "residence": "placement, cache",
    "lane": "stream, queue",
    "landing": "delivery",
    "mend": "repair",
    "mender": "repair",
    "mending": "repair",
    "telling": "message",
    "told": "reported, parsed",
    "wish": "request, options",
    "wishes": "options",
    "shelf": "cache",
    "shelved": "cached",
    "afterwards": "postprocessing",
    "asked": "requested",
    "unasked": "default",
    "unheard": "pending",
}
# A field of A1111's API.
THEIRS = {"override_settings_restore_afterwards"}


def retired_words(name: str) -> set[str]:
    words = {word.rstrip("s") if word.rstrip("s") in RETIRED else word for word in name.lower().split("_")}
    return set() if name in THEIRS else words & RETIRED.keys()


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


@pytest.mark.parametrize("name", ["told_twice", "Lanes", "_shelf", "wishes"])
def test_a_retired_word_is_seen(name: str) -> None:
    assert retired_words(name)


def test_no_retired_word_names_anything() -> None:
    found = []
    for path in sorted((ROOT / "modules").rglob("*.py")):
        names = [*identifiers(path), *((0, part) for part in path.relative_to(ROOT).with_suffix("").parts)]
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in names if retired_words(name)]
    assert not found, "\n".join(found)


def test_no_two_public_classes_share_a_name() -> None:
    """Of classes that others use: a contributor who looks one up finds one."""
    homes: dict[str, set[str]] = {}
    for path in sorted((ROOT / "modules").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}
