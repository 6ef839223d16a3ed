"""Names are the field's own: words that this project once made up for known things stay out of its identifiers, and
out of its docstrings, comments and pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
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


# In sentences: these and what a newcomer has to read twice. Test functions' names are sentences.
PHRASES = re.compile(
    r"\b(told|asked|unasked|giv(?:e|es|ing|en) way|gave way|at home|(?:go|goes|come|comes) home|of no matter"
    r"|tak(?:e|es|en|ing) in hand|luggages?|residences?|shel(?:f|ves)|mend(?:s|ed|ing|ers?)?|lanes?|landings?"
    r"|afterwards|wish(?:es|ed)?|lets? (?:\w+ ){1,3}act|(?:a|the|one|two) kept(?! (?:by|for|in|until|with)\b))\b"
    r"|^Lets? ",
    re.IGNORECASE,
)
# Written from the settings' table and by the releases: what is said there to people is changed by translations too.
NO_PROSE = {"docs/options.md", "docs/flags.md", "CHANGELOG.md"}

CODE = ("modules", "tests", "benchmarks", "training")
# In JavaScript: what is no code (comments, texts, also those that span lines), and a name.
NO_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
NAME = re.compile(r"[A-Za-z_$][\w$]*")
# `Size`, not `LIMIT`: a class, or an alias of a type at a module's top level.
TYPE_NAME = re.compile(r"_?[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


def words(name: str) -> set[str]:
    """The words of `a_name`, `aName`, `AName` and `A_NAME`, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@cache
def retired_words(name: str) -> set[str]:
    return set() if name in THEIRS else words(name) & RETIRED.keys() | {name.lstrip("_")} & RETIRED_NAMES.keys()


def may_name(source: str) -> bool:
    """Whether a retired word stands anywhere in a file: only then where it stands has to be looked at."""
    return any(retired_words(name) for name in set(NAME.findall(source)) if not name.startswith("test_"))


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


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines of the texts that stand alone: docstrings, and what is said behind a field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), node.lineno)


def prose(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """The sentences of a file by line: docstrings and comments, the names of tests, and all of a page."""
    match path.suffix:
        case ".py":
            tree = ast.parse(source)
            yield from docstrings(tree)
            tests = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
            yield from ((one.lineno, one.name.replace("_", " ")) for one in tests if one.name.startswith("test_"))
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type == tokenize.COMMENT:
                    yield token.start[0], token.string
        case ".js":
            for found in NO_CODE.finditer(source):
                if found.group().startswith("/"):
                    yield from enumerate(found.group().splitlines(), source.count("\n", 0, found.start()) + 1)
        case _:
            yield from enumerate(source.splitlines(), 1)


def retired_phrases(path: Path, source: str) -> Iterator[str]:
    # Most files have none anywhere, and are not parsed for where it stands.
    words_of_names = source.replace("_", " ")
    if not PHRASES.search(words_of_names) and not re.search(r"\bLets? ", words_of_names):
        return
    for line, text in prose(path, source):
        if found := PHRASES.search(text.strip()):
            yield f"{path}:{line}: {found.group()!r} in {text.strip()[:100]!r}"


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
        source = path.read_text()
        inside = identifiers(source) if may_name(source) else ()
        names = [*inside, *((0, part) for part in parts if not part.startswith("test_"))]
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in names if retired_words(name)]
    for path in sorted([*(ROOT / "modules/page/assets").glob("*.[jt]s"), *(ROOT / "tests/javascript").glob("*.js")]):
        source = path.read_text()
        names = list(script_identifiers(source)) if may_name(source) else []
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in names if retired_words(name)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", '"""What a person is told."""'),
        ("a.py", "x = 1  # asked for"),
        ("a.py", 'class A:\n    x: int\n    """Let the reader wait."""'),
        ("a.py", "def test_a_kept_checkpoint_comes_back(): pass"),
        ("a.py", "# It lets the other thread act."),
        ("a.js", "x = 1; // gives way"),
        ("a.js", "/* The one at home\n */"),
        ("a.md", "What comes first goes home."),
    ],
)
def test_a_retired_phrase_is_seen(name: str, source: str) -> None:
    assert list(retired_phrases(Path(name), source))


def test_plain_words_are_not() -> None:
    source = 'asked = "told"  # kept until the end: a picture that is kept in memory\nwish = f"at home"'
    assert not list(retired_phrases(Path("a.py"), source))
    assert not list(retired_phrases(Path("a.js"), 'const told = "asked";'))


def test_no_retired_phrase_is_read_anywhere() -> None:
    scripts = [*(ROOT / "modules/page/assets").glob("*.js"), *(ROOT / "tests/javascript").glob("*.js")]
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "training").glob("*.md")]
    own = Path(__file__).resolve()
    files = [path for path in (*python_files(), *scripts, *pages) if path.resolve() != own]
    found: list[str] = []
    for path in sorted(files):
        if str(path.relative_to(ROOT)) not in NO_PROSE:
            found += retired_phrases(path.relative_to(ROOT), path.read_text("utf-8"))
    assert len(files) > 700
    assert not found, "\n".join(found)


# The same thing in two rooms, as the plan and the work of a script, or a plain word of its own file.
SHARED_FUNCTIONS = {
    *("alternative_test", "loopback", "outpaint", "poor_mans_outpainting", "sd_upscale"),
    "ultimate_upscale",
    *("main", "connect", "resolve", "number", "text", "ddim", "duration", "as_json", "quote"),
    *("decoded", "enlarged", "upscaled", "fits", "spans", "scale_of", "extras_request", "submitter", "system_routes"),
    "without_effect",
}


def test_no_further_public_function_shares_a_name() -> None:
    homes: dict[str, set[str]] = {}
    for path in sorted((ROOT / "modules").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))
    shared = {name: files for name, files in homes.items() if len(files) > 1 and name not in SHARED_FUNCTIONS}
    assert not shared


def test_no_two_types_share_a_name() -> None:
    """Whoever looks a class or an alias of a type up finds one."""
    homes: dict[str, set[str]] = {}
    for path in sorted((ROOT / "modules").rglob("*.py")):
        for name in type_names(ast.parse(path.read_text())):
            homes.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}
