"""The house rules of docs/architecture.md, held by reading the sources.

An own reading instead of import-linter: it also sees who may know torch, Gradio and FastAPI, imports inside functions,
blocking calls in coroutines and `global`, tells file and line, and each rule is shown to bite on a made-up file below.
"""

import ast
import json
import re
import subprocess
import sys

import pytest

from tests import source_rules as rules
from tests.source_rules import ROOMS, ROOT, TORCH_PACKAGES, Source

FILES = rules.sources()


def made_up(room: str, text: str, file: str = "made_up.py") -> Source:
    return rules.source(ROOT / "modules" / room / file, text)


def test_there_is_something_to_read() -> None:
    assert len(FILES) > 450
    assert sum(1 for one in FILES for _ in rules.imports(one)) > 3800


def test_the_rooms_are_those_of_the_page_about_them() -> None:
    table = re.findall(
        r"^\| `(\w+)/(?:…/(\w+)\.py)?` \|.*\| (yes|no) \|$",
        (ROOT / "docs" / "architecture.md").read_text("utf-8"),
        re.M,
    )
    rooms = [(f"{folder}.{file}" if file else folder, torch == "yes") for folder, file, torch in table]
    assert rooms == list(ROOMS.items())
    folders = {path.name for path in (ROOT / "modules").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {room.split(".")[0] for room in ROOMS}
    assert set(ROOMS) == {one.room for one in FILES} - {""}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_its_job(room: str) -> None:
    (door,) = [one for one in FILES if one.name == f"modules.{room.split('.')[0]}"]
    docstring = ast.get_docstring(door.tree) or ""
    assert docstring.split("\n\n")[0].strip().endswith("."), (
        f"modules/{room}/__init__.py says in one sentence what it is for"
    )


def test_rooms_import_upwards_only_and_know_what_they_may() -> None:
    assert [problem for one in FILES for problem in rules.room_violations(one)] == []


def test_each_room_uses_the_rooms_that_it_names_and_no_other() -> None:
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for one in FILES:
        if one.room:
            used[one.room] |= rules.used_rooms(one)
    named = {room: set(rooms.split()) for room, rooms in rules.USES.items()}
    assert {room: sorted(rooms - named[room]) for room, rooms in used.items() if rooms - named[room]} == {}
    assert {room: sorted(rooms - used[room]) for room, rooms in named.items() if rooms - used[room]} == {}
    order = list(ROOMS)
    assert all(order.index(other) < order.index(room) for room, rooms in named.items() for other in rooms)


def test_the_rooms_of_a_file_are_seen_however_it_imports_them() -> None:
    text = "from modules import api\nimport modules.jobs.store\nfrom ..settings import x\nfrom .form import Form"
    assert rules.used_rooms(made_up("page", text)) == {"api", "jobs", "settings"}


def test_no_import_cycle() -> None:
    assert rules.cycle(rules.import_graph(FILES)) == []


def test_no_global_statement() -> None:
    assert [problem for one in FILES for problem in rules.global_statements(one)] == []


def test_no_blocking_call_in_a_coroutine() -> None:
    assert rules.async_functions(FILES) >= 3
    assert [problem for one in FILES for problem in rules.blocking_calls(one)] == []


def test_rooms_without_torch_load_none_even_indirectly() -> None:
    names = [
        one.name for one in FILES if one.room in ROOMS and not ROOMS[one.room] and not one.name.endswith("__main__")
    ]
    assert len(names) > 50
    code = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "modules.settings" in loaded
    assert loaded & TORCH_PACKAGES == set()


@pytest.mark.parametrize(
    ("room", "text", "complaint"),
    [
        ("prompt", "from modules.page import page", "that room stands below"),
        ("prompt", "from ..catalogue import Catalogue", "that room stands below"),
        ("jobs", "def start():\n    import modules.engine.worker", "that room has torch"),
        ("jobs", "import importlib\nimportlib.import_module('modules.engine')", "that room has torch"),
        ("settings", "import torch.nn", "this room has no torch"),
        ("catalogue", "from safetensors.torch import load_file", "this room has no torch"),
        ("page", "def f():\n    from diffusers import UNet2DConditionModel", "this room has no torch"),
        ("", "from modules.page import page", "belongs to no room and imports none"),
        ("api", "import gradio as gr", "only page/ and server/ know Gradio"),
        ("jobs", "from fastapi import FastAPI", "only api/, page/ and server/ know FastAPI"),
    ],
)
def test_a_forbidden_import_is_found(room: str, text: str, complaint: str) -> None:
    problems = list(rules.room_violations(made_up(room, text)))
    assert problems and any(complaint in problem for problem in problems)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("page", "import gradio\nfrom fastapi import Request\nfrom modules.jobs import Queue"),
        ("engine", "import torch\nfrom modules.generation import run\nfrom modules.protocol import Job"),
        ("catalogue", "from safetensors import safe_open\nfrom .hints import Hints"),
    ],
)
def test_an_allowed_import_is_not(room: str, text: str) -> None:
    assert list(rules.room_violations(made_up(room, text))) == []


def test_a_cycle_is_found() -> None:
    a = made_up("prompt", "from modules.prompt.b import x", "a.py")
    b = made_up("prompt", "def f():\n    from modules.prompt import a", "b.py")
    assert rules.cycle(rules.import_graph([a, b])) == ["modules.prompt.a", "modules.prompt.b", "modules.prompt.a"]
    assert rules.cycle(rules.import_graph([a])) == []


def test_a_global_statement_is_found() -> None:
    assert list(rules.global_statements(made_up("page", "def f():\n    global x\n    x = 1")))


@pytest.mark.parametrize(
    "call",
    ["time.sleep(1)", "open('x')", "path.read_text()", "subprocess.run(['x'])", "future.result()", "f(p.read_bytes())"],
)
def test_a_blocking_call_is_found(call: str) -> None:
    assert list(rules.blocking_calls(made_up("api", f"async def f(path, future, p):\n    x = {call}")))


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    time.sleep(1)",
        "async def f():\n    await asyncio.sleep(1)",
        "async def f():\n    def g():\n        time.sleep(1)\n    await run(g)",
        "async def f(socket):\n    await socket.recv()",
    ],
)
def test_what_blocks_nobody_is_not(text: str) -> None:
    assert list(rules.blocking_calls(made_up("api", text))) == []


def test_foreign_pictures_are_opened_in_one_place_by_its_list_of_formats() -> None:
    beside = [path for folder in ("training", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    files = [*FILES, *(rules.source(path, path.read_text("utf-8")) for path in beside)]
    assert len(beside) > 10
    assert [problem for one in files for problem in rules.picture_openings(one)] == []


@pytest.mark.parametrize(
    "text",
    [
        "from PIL import Image\nImage.open(path)",
        "import PIL.Image\nread = PIL.Image.open",
        "from PIL.Image import new, open as opened",
        "from PIL.ImageFile import Parser",
    ],
)
def test_a_picture_opened_elsewhere_is_found(text: str) -> None:
    assert list(rules.picture_openings(made_up("api", text)))
    assert not list(rules.picture_openings(made_up("api", "from PIL import Image\nImage.new('RGB', (1, 1))")))


# As many as there are: a new one takes the place of an old one, or a cast or a typed fake its.
MOST_IGNORES = 99
FOLDERS = ("modules", "tests", "training", "benchmarks", "scripts")


def test_every_silenced_type_error_says_which_and_why() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [one for path in paths for one in rules.type_ignores(path, path.read_text("utf-8"))]
    assert [place for place, explained in found if not explained] == []
    assert 0 < len(found) <= MOST_IGNORES


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# type: ignore", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore  # a fake stands in", False),
        ("# type: ignore[misc]  #", False),
        ("# type: ignore[arg-type, misc]  # a fake stands in", True),
    ],
)
def test_a_silenced_type_error_without_a_reason_is_found(comment: str, explained: bool) -> None:
    ((_, said),) = rules.type_ignores(ROOT / "made_up.py", f"x = 1  {comment}\ny = '# type: ignore'\n")
    assert said is explained
