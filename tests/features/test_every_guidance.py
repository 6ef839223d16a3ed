"""What every feature of guidance has, found by the registry: axes, its keys in pictures both ways, names for programs,
a short formula with its source. That it acts, and is exactly nothing when neutral, is in test_guidance_passes.py.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from modules.features.declaration import Argument, Script
from modules.features.plans import plan_of
from modules.features.runs import RUNS
from modules.features.table import ALWAYS_ON, IN_GUIDANCE, find_script
from modules.parameters import parse_infotext, parse_request, request_from_infotext
from modules.settings.choices import BOTH
from tests.features.test_guidance_arguments import by_program, infotext_of, other_than_default

# Those that are always on and are of another kind: a new feature is one or the other.
OF_ANOTHER_KIND = {
    *("ControlNet", "Regional Prompter", "Forge Couple", "Latent Couple extension", "Tiled Diffusion"),
    *("Dynamic Prompts", "ADetailer", "Soft Inpainting"),
}
MOST_LINES = 60
# What they do is said in words: no numbers are added up.
WITHOUT_FORMULA = {"Guidance interval", "Kohya HRFix", "HyperTile"}
IDS = [script.title for script in IN_GUIDANCE]


def test_a_feature_that_is_always_on_is_of_guidance_or_of_another_known_kind() -> None:
    others = {one.title for one in ALWAYS_ON if one not in IN_GUIDANCE and not one.postprocesses}
    assert others == OF_ANOTHER_KIND


def arguments_of(script: Script) -> tuple[Argument, ...]:
    """Its arguments, or those of its units."""
    return script.arguments[0].record or script.valued


def values_of(script: Script) -> dict[str, JsonValue]:
    """On, and every other argument at another value than its default."""
    own = {one.name: other_than_default(one) for one in arguments_of(script)}
    return {script.arguments[0].name: [own]} if script.arguments[0].record else own


@pytest.mark.parametrize("script", IN_GUIDANCE, ids=IDS)
def test_it_comes_from_a_program_into_pictures_and_back(script: Script) -> None:
    assert script.tabs == BOTH and script.title in RUNS
    own = [other_than_default(one) for one in arguments_of(script)]
    sent = by_program(script.title.upper(), [True, *own] if script.arguments[0].record else own)
    wanted = parse_request({"scripts": {script.title: values_of(script)}}).scripts
    assert parse_request({"scripts": sent}).scripts == wanted
    text = infotext_of(dict(wanted))
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.notices == () and pasted.fields["scripts"] == wanted
    assert all(find_script(name) is script for name in script.aliases)


def scripts_along(label: str, values: str) -> list[dict[str, Any]]:
    """The scripts of each picture of a plot along one axis."""
    plot = {"x_type": label, "x_values": values}
    pictures = plan_of(parse_request({"scripts": {"X/Y/Z plot": plot}})) or ()
    return [dict(parse_request({"scripts": picture.fields["scripts"]}).scripts) for picture in pictures]


@pytest.mark.parametrize("script", IN_GUIDANCE, ids=IDS)
def test_each_of_its_arguments_is_an_axis_that_turns_it_on(script: Script) -> None:
    for number, argument in enumerate(arguments_of(script)):
        values: list[JsonValue] = [
            "word" if argument.look == "textbox" else argument.default,
            other_than_default(argument),
        ]
        if argument.look == "checkbox":
            values = [True, False]
        found = scripts_along(f"[{script.title}] {argument.label}", ", ".join(map(str, values)))
        if number == 0:
            assert [script.title in one for one in found] == values
            continue
        own = [one[script.title].get("units", [one[script.title]])[0][argument.name] for one in found]
        assert own == pytest.approx(values)


def code_lines(path: Path) -> int:
    """Lines of code, without imports, docstrings, comments and what is empty."""
    source = path.read_text("utf-8")
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    used = {line for one in tokens if one.type not in empty for line in range(one.start[0], one.end[0] + 1)}
    return len(used - left_out)


@pytest.mark.parametrize("script", IN_GUIDANCE, ids=IDS)
def test_its_formula_is_short_and_says_where_it_is_from(script: Script) -> None:
    module = import_module(f"modules.features.{Path(script.file).stem}.run")
    assert code_lines(Path(str(module.__file__))) <= MOST_LINES
    said = str(module.__doc__)
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|By [\w-]+ \(20\d\d", said), "the paper, or who found it"
    assert " = " in said or script.title in WITHOUT_FORMULA, "the formula"
