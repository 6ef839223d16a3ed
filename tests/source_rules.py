"""Reading the package's sources for tests/test_rooms.py: what imports what, and calls that block an event loop."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# In the order of docs/architecture.md: a room imports only from rooms above it. True: may import torch.
ROOMS = {
    "launch": False,
    "files": False,
    "settings": False,
    "features.declare": False,
    "parameters": False,
    "prompt": False,
    "families": False,
    "pictures": False,
    "catalogue": False,
    "gallery": False,
    "downloads": False,
    "protocol": False,
    "features.plan": False,
    "hardware": True,
    "weights": True,
    "text": True,
    "sampling": True,
    "upscaling": True,
    "generation": True,
    "features.run": True,
    "engine": True,
    "intake": False,
    "jobs": False,
    "api": False,
    "page": False,
    "server": False,
}

# Which rooms above it each one imports from: all of them do, and from no other.
USES = {
    "launch": "",
    "files": "",
    "settings": "launch files",
    "features.declare": "settings",
    "parameters": "settings features.declare",
    "prompt": "files settings parameters",
    "families": "",
    "pictures": "parameters",
    "catalogue": "files settings parameters families pictures",
    "gallery": "files settings parameters pictures",
    "downloads": "files families pictures catalogue",
    "protocol": "parameters prompt",
    "features.plan": "files settings features.declare parameters prompt catalogue",
    "hardware": "protocol",
    "weights": "files parameters prompt families pictures catalogue hardware",
    "text": "parameters prompt families weights",
    "sampling": "settings parameters families hardware",
    "upscaling": "catalogue weights",
    "generation": "settings parameters prompt families pictures catalogue gallery hardware weights text sampling",
    "features.run": "files features.declare parameters prompt pictures catalogue gallery features.plan hardware"
    " weights sampling generation",
    "engine": "files settings parameters prompt families pictures catalogue gallery protocol hardware weights"
    " text sampling upscaling generation features.run",
    "intake": "files settings features.declare parameters prompt families pictures catalogue gallery protocol"
    " features.plan",
    "jobs": "files settings features.declare parameters prompt catalogue gallery downloads protocol intake",
    "api": "settings features.declare parameters pictures catalogue gallery downloads protocol intake jobs",
    "page": "files settings features.declare parameters prompt families pictures catalogue gallery downloads protocol"
    " intake jobs api",
    "server": "launch files settings gallery jobs api page",
}

TORCH_PACKAGES = {
    *(
        "torch",
        "torchvision",
        "torchaudio",
        "torchsde",
        "diffusers",
        "transformers",
        "accelerate",
        "spandrel",
        "xformers",
    ),
}

BLOCKING_NAMES = {
    *(
        "time.sleep",
        "open",
        "input",
        "os.system",
        "sqlite3.connect",
        "urllib.request.urlopen",
        "socket.create_connection",
    ),
    *("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen"),
    *("requests.get", "requests.post", "httpx.get", "httpx.post", "shutil.copyfile", "shutil.rmtree", "shutil.move"),
}
BLOCKING_METHODS = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "result",
    "recv",
    "fetchall",
    "executescript",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the package."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The room it stands in; "" for what lies in modules/ itself, which every room may use."""
        return room_of(self.path.relative_to(ROOT / "modules").with_suffix("").parts)


def room_of(parts: Sequence[str]) -> str:
    """The room of a file or a name by the parts of its path below modules/, "" for one that stands in modules/ itself.

    Features are three rooms, by file: what they declare, what they plan, and how they run.
    """
    if parts and parts[0] == "features":
        return f"features.{_level(parts[1:])}"
    return parts[0] if len(parts) > 1 or parts[0] in ROOMS else ""


def _level(parts: Sequence[str]) -> str:
    """`parts` are those below modules/features/: a file for all features, or a feature's folder and its file."""
    first = parts[0] if parts else ""
    if "plan" in parts or first in _PLANNING:
        return "plan"
    if "declare" in parts or first in ("", "__init__", *_DECLARING):
        return "declare"
    # Of a feature's folder its door alone holds nothing but a sentence.
    return "declare" if len(parts) == 1 and first not in _RUNNING else "run"


# Files in modules/features/ itself, by what they are for.
_DECLARING = ("declaration", "arguments", "infotext", "pictures", "table", "guidance")
_PLANNING = ("planning", "plans")
_RUNNING = (
    *("stage", "makers", "margins", "overlapping_tiles", "running", "runs", "shared"),
    *("each_pass", "guidance_runs"),
)


@cache
def sources() -> list[Source]:
    """Every file of the package, parsed once for all tests of a worker."""
    return [source(path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "modules").rglob("*.py"))]


def source(path: Path, text: str) -> Source:
    """One file, as the rules see it."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return Source(".".join(parts), path, ast.parse(text, str(path)))


@dataclass(frozen=True, slots=True)
class Import:
    """One import: of `base` itself, or of `names` out of it."""

    base: str
    names: tuple[str, ...]
    line: int

    def dotted(self) -> tuple[str, ...]:
        """Everything it may mean, as dotted names."""
        return (self.base, *(f"{self.base}.{name}" for name in self.names))


@cache
def imports(one: Source) -> tuple[Import, ...]:
    """What a file imports anywhere, inside functions too."""
    return tuple(_imports(one))


def _imports(one: Source) -> Iterator[Import]:
    package = one.name.split(".") if one.path.name == "__init__.py" else one.name.split(".")[:-1]
    for node in ast.walk(one.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield Import(base, tuple(alias.name for alias in node.names), node.lineno)
        elif isinstance(node, ast.Call) and _dotted(node.func) in ("importlib.import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant):
                yield Import(str(first.value), (), node.lineno)


def used_rooms(one: Source) -> set[str]:
    """The other rooms that a file imports from."""
    tops = (name.split(".") for imported in imports(one) for name in _whole(imported))
    rooms = {room_of(parts[1:]) for parts in tops if parts[0] == "modules" and len(parts) > 1}
    return (rooms & set(ROOMS)) - {one.room}


def _whole(imported: Import) -> tuple[str, ...]:
    """What an import names: of several names out of a package these alone, since the package is only their folder."""
    dotted = imported.dotted()
    return dotted[1:] or dotted


def room_violations(one: Source) -> Iterator[str]:
    """Imports that the order of rooms, or who may know torch, Gradio and FastAPI, forbids."""
    for imported in imports(one):
        for name in imported.dotted():
            complaint = _complaint(one.room, name)
            if complaint:
                yield f"{one.name}:{imported.line} imports {name}; {complaint}"
                break


def _complaint(room: str, name: str) -> str:
    top, _, rest = name.partition(".")
    target = room_of(rest.split(".")) if top == "modules" and rest else ""
    below = room in ROOMS and target in ROOMS and target != room
    order = list(ROOMS)
    with_torch = top in TORCH_PACKAGES or name.startswith("safetensors.torch")
    rules = {
        "what stands in modules/ itself belongs to no room and imports none": not room and target in ROOMS,
        "that room stands below": below and order.index(target) > order.index(room),
        "that room has torch and this one none": below and ROOMS[target] and not ROOMS[room],
        "this room has no torch": with_torch and not ROOMS.get(room, False),
        "only page/ and server/ know Gradio": top == "gradio" and room not in ("page", "server"),
        "only api/, page/ and server/ know FastAPI": (
            top in ("fastapi", "starlette", "uvicorn") and room not in ("api", "page", "server")
        ),
    }
    return ", ".join(complaint for complaint, broken in rules.items() if broken)


def import_graph(files: list[Source]) -> dict[str, set[str]]:
    """Which file of the package imports which; `from a import b` means file b where there is one, else file a."""
    names = {one.name for one in files}

    def targets(one: Source) -> Iterator[str]:
        for imported in imports(one):
            parts = [f"{imported.base}.{name}" for name in imported.names]
            if not parts or any(part not in names for part in parts):
                yield imported.base
            yield from parts

    return {one.name: {name for name in targets(one) if name in names and name != one.name} for one in files}


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The names along one import cycle, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph.get(name, ())):
            found = visit(target, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    for start in sorted(graph):
        found = visit(start, [])
        if found:
            return found
    return []


def global_statements(one: Source) -> Iterator[str]:
    """`global` statements of a file."""
    for node in ast.walk(one.tree):
        if isinstance(node, ast.Global):
            yield f"{one.name}:{node.lineno} global {', '.join(node.names)}"


def blocking_calls(one: Source) -> Iterator[str]:
    """Calls in `async def` that hold up every other connection; a nested `def` runs elsewhere and isn't looked at."""
    for node in ast.walk(one.tree):
        if isinstance(node, ast.AsyncFunctionDef):
            for call in _own_calls(node):
                name = _dotted(call.func)
                if name in BLOCKING_NAMES or name.rpartition(".")[2] in BLOCKING_METHODS:
                    yield f"{one.name}:{call.lineno} {name}() in async {node.name}()"


def async_functions(files: list[Source]) -> int:
    """How many `async def` there are."""
    return sum(isinstance(node, ast.AsyncFunctionDef) for one in files for node in ast.walk(one.tree))


def _own_calls(function: ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Await):
            # What is awaited is a coroutine's own call: only its arguments run here.
            todo.extend(ast.iter_child_nodes(node.value))
            continue
        if isinstance(node, ast.Call):
            yield node
        todo.extend(ast.iter_child_nodes(node))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return "?"


def picture_openings(one: Source) -> Iterator[str]:
    """Places that open a picture by Pillow's own choice of formats, some of which start programs or follow paths."""
    for node in ast.walk(one.tree):
        match node:
            case ast.Attribute(attr="open", value=owner) if _dotted(owner) in ("Image", "PIL.Image"):
                yield f"{one.path}:{node.lineno}: Image.open"
            case ast.ImportFrom(module="PIL.Image", names=names) if any(name.name == "open" for name in names):
                yield f"{one.path}:{node.lineno}: open out of PIL.Image"
            case ast.ImportFrom(module="PIL.ImageFile", names=names) | ast.Import(names=names):
                if any(name.name in ("Parser", "PIL.ImageFile") for name in names):
                    yield f"{one.path}:{node.lineno}: PIL.ImageFile"


def type_ignores(path: Path, text: str) -> Iterator[tuple[str, bool]]:
    """Each comment that silences mypy, and whether it names its codes and, in a comment behind it, a reason."""
    if "type: ignore" not in text:
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and "type: ignore" in token.string:
            place = f"{path}:{token.start[0]}: {token.string}"
            yield place, re.fullmatch(r"# type: ignore\[[a-z, -]+\]  # \w.{4,}", token.string) is not None


def option_lookups(one: Source) -> Iterator[str]:
    """Places where an option is read by its key out of something called `options`, by `get` or in brackets.

    A number in brackets is a place in a list, not a key.
    """
    for node in ast.walk(one.tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=int())):
                pass
            case ast.Call(func=ast.Attribute(value=owner, attr="get")) | ast.Subscript(value=owner, ctx=ast.Load()):
                if _last_name(owner) in ("options", "_options"):
                    yield f"{one.path}:{node.lineno}: an option read by its key"


def store_lookups(one: Source) -> Iterator[str]:
    """Places where an option is read by its key from the store of options."""
    for node in ast.walk(one.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="switch" | "text" | "texts" | "whole" | "number")):
                if _last_name(owner) in ("options", "_options"):
                    yield f"{one.path}:{node.lineno}: an option read by its key from the store"


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
