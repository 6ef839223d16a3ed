"""Names are the field's own: words that this project once made up for known things stay out of its identifiers."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What it was called here, in every form of the word: what everybody calls it.
RETIRED = {
    **dict.fromkeys(("luggage", "luggages"), "job services"),
    **dict.fromkeys(("residence", "residences"), "placement, cache"),
    **dict.fromkeys(("lane", "lanes"), "stream, queue"),
    **dict.fromkeys(("landing", "landings", "landed"), "delivery"),
    **dict.fromkeys(("mend", "mends", "mended", "mending", "mender", "menders"), "repair"),
    **dict.fromkeys(("telling", "tellings", "told"), "message, reported, parsed"),
    **dict.fromkeys(("wish", "wishes", "wished", "wishing"), "request, options"),
    **dict.fromkeys(("shelf", "shelves", "shelved"), "cache, store"),
    "afterwards": "postprocessing",
    "asked": "requested",
    "kept": "cached, remaining, saved",
    "unasked": "default",
    "unheard": "pending",
}
# Retired as a whole name only: an `ending` of a name or a file is one.
RETIRED_NAMES = {"endings": "callbacks"}
# A field of A1111's API.
THEIRS = {"override_settings_restore_afterwards"}


CODE = ("modules", "tests", "benchmarks", "training")
# In JavaScript: what is no code (comments, texts, also those that span lines), and a name.
NO_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
NAME = re.compile(r"[A-Za-z_$][\w$]*")
# `Size`, not `LIMIT`: a class, or an alias of a type at a module's top level.
TYPE_NAME = re.compile(r"_?[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


def words(name: str) -> set[str]:
    """The words of `a_name`, `aName`, `AName` and `A_NAME`, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def retired_words(name: str) -> set[str]:
    return set() if name in THEIRS else words(name) & RETIRED.keys() | {name.lstrip("_")} & RETIRED_NAMES.keys()


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Names in Python, those inside of f-strings too. The names of tests are sentences, and left out."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and not token.string.startswith("test_"):
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield from ((node.lineno, name.id) for name in ast.walk(node) if isinstance(name, ast.Name))


def script_identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Names in JavaScript; texts and comments are left out."""
    code = NO_CODE.sub(lambda found: "\n" * found.group().count("\n") or " ", source)
    for number, line in enumerate(code.splitlines(), 1):
        yield from ((number, name) for name in NAME.findall(line))


def type_names(tree: ast.Module) -> Iterator[str]:
    """Classes and aliases of types at the top level, private ones too."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if TYPE_NAME.fullmatch(name):
                    yield name


def python_files() -> list[Path]:
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    "name",
    [
        "told_twice",
        "Lanes",
        "_shelf",
        "wishes",
        "LateLanes",
        "SamplerWish",
        "mended",
        "WISHED",
        "landed",
        "_endings",
        "is_kept",
    ],
)
def test_a_retired_word_is_seen(name: str) -> None:
    assert retired_words(name)


def test_names_are_read_in_both_languages() -> None:
    assert (2, "told") in set(identifiers("def f(asked=1):\n    return f'{told}'\n"))
    script = "const wish = 'lane'; // mend\n/* shelf\n */ aWish(`${told}`)"
    assert {(line, name) for line, name in script_identifiers(script) if retired_words(name)} == {
        (1, "wish"),
        (3, "aWish"),
        (3, "told"),
    }


def test_no_retired_word_names_anything() -> None:
    found = []
    for path in python_files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        names = [*identifiers(path.read_text()), *((0, part) for part in parts if not part.startswith("test_"))]
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in names if retired_words(name)]
    for path in sorted([*(ROOT / "modules/page/assets").glob("*.[jt]s"), *(ROOT / "tests/javascript").glob("*.js")]):
        names = list(script_identifiers(path.read_text()))
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in names if retired_words(name)]
    assert not found, "\n".join(found)


def test_no_two_types_share_a_name() -> None:
    """Whoever looks a class or an alias of a type up finds one."""
    homes: dict[str, set[str]] = {}
    for path in sorted((ROOT / "modules").rglob("*.py")):
        for name in type_names(ast.parse(path.read_text())):
            homes.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}
