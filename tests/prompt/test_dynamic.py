"""Dynamic prompts: the syntax, what is drawn of it, and wildcards in files."""

from __future__ import annotations

import json
import random
import time
import unicodedata
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt.dynamic import DynamicPromptError, WildcardFiles, draw, every_product, is_dynamic, parse
from modules.prompt.dynamic.drawing import Wildcards
from modules.prompt.dynamic.wildcards import Lines
from tests.amounts import amount

FILES = {
    "colours/warm.txt": "red\norange # between the two\n# a comment\n\nyellow\nred\n#ff0000\n",
    "colours/cold.txt": "blue\ngreen\n",
    "weights.txt": "0::never\n3::often\n",
    "own.txt": "{a|b} __colours/cold__\n",
    "circle.txt": "x __circle__\n",
    "trees.yaml": "animals:\n  pets: [cat, '3::dog']\n  wild:\n    - lion\n    - {text: yes, weight: 2}\n",
    "trees.json": json.dumps({"animals": {"pets": ["cat", "fish"]}, "sizes": ["small", 1.5]}),
}


@pytest.fixture
def files(tmp_path: Path) -> WildcardFiles:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return WildcardFiles(lambda: [tmp_path])


def none(_: str) -> Lines:
    return Lines()


def products(template: str, wildcards: Wildcards = none) -> list[str]:
    found = every_product([parse(template)], wildcards, random.Random(1))
    return [drawn.texts[0] for drawn in islice(found, 1000)]


def drawn(template: str, seed: int = 0, wildcards: Wildcards = none, turn: int = 0) -> str:
    return draw([parse(template)], wildcards, random.Random(seed), turn).texts[0]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{a|b} {c|d}", ["a c", "a d", "b c", "b d"]),
        ("a {b|{c|d}}", ["a b", "a c", "a d"]),
        ("{a}{|b}{}", ["a", "ab"]),
        ("{0.5::a|2::b}", ["a", "b"]),
        ("{2$$a|b|c}", ["a,b", "a,c", "b,a", "b,c", "c,a", "c,b"]),
        ("{2$$ and $$a|b}", ["a and b", "b and a"]),
        ("{2$$ | $$a|b}", ["a | b", "b | a"]),
        ("{1-2$$a|b}", ["a", "b", "a,b", "b,a"]),
        ("{-2$$a|b}", ["a", "b", "a,b", "b,a"]),
        ("{2-$$a|b}", ["a,b", "b,a"]),
        ("{9$$a|b}", ["a,b", "b,a"]),
        ("${v={a|b}}${v} ${v}", ["a a", "a b", "b a", "b b"]),
        ("${v=!{a|b}}${v} ${v}", ["a a", "b b"]),
        ("${v=a}${v?=b}${v} ${w?=c}${w}", ["a c"]),
        ("${v:{a|b}} ${none}", ["a ${none}", "b ${none}"]),
        ("%{A ... on {fire|ice}$$cat}", ["A cat on fire", "A cat on ice"]),
        # What the syntax of prompts is stays.
        ("(a:1.2) [a:b:.5] [a|b] <lora:x:1>", ["(a:1.2) [a:b:.5] [a|b] <lora:x:1>"]),
        ("{[a|b]|(c:1.1)}", ["[a|b]", "(c:1.1)"]),
        # What has no other half, and what is no syntax at all.
        ("50% off {a|b", ["50% off {a|b"]),
        ("a} b ${ %{x}", ["a} b ${ %{x}"]),
        (r"\{x|y\} {a\|b|c}", ["{x|y} a|b", "{x|y} c"]),
        ("a # c $5", ["a # c $5"]),
        ("__not here__", ["__not here__"]),
    ],
)
def test_every_combination_in_the_order_of_the_options(template: str, expected: list[str]) -> None:
    assert products(template) == expected
    assert all(drawn(template, seed) in expected for seed in range(20))


def test_wildcards_are_lines_of_files_and_lists_in_trees(files: WildcardFiles) -> None:
    options = files.snapshot()
    in_trees, in_texts = ["animals/pets", "animals/wild", "sizes"], ["circle", "own", "weights"]
    assert files.names() == sorted([*in_trees, *in_texts, "colours/cold", "colours/warm"])
    assert products("__colours/warm__", options) == ["#ff0000", "orange", "red", "yellow"]
    assert products("__colours/*__", options) == ["#ff0000", "blue", "green", "orange", "red", "yellow"]
    assert products("__**/cold__", options) == ["blue", "green"]
    assert products("__Animals/Pets__ __animals/wild__", options)[:3] == ["cat lion", "cat yes", "dog lion"]
    assert products("__sizes__", options) == ["1.5", "small"]
    assert products("__own__", options) == ["a blue", "a green", "b blue", "b green"]
    assert products("{2$$__colours/cold__}", options) == ["blue,green", "green,blue"]
    assert products("__colours\\cold(x=1)__", options) == ["blue", "green"]
    assert {drawn("__weights__", seed, options) for seed in range(30)} == {"often"}


def test_a_wildcard_is_found_in_either_normal_form(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "été.txt")).write_text("sun")
    files = WildcardFiles(lambda: [tmp_path])
    for form in ("NFC", "NFD"):
        assert products(unicodedata.normalize(form, "__Été__"), files.snapshot()) == ["sun"]


def test_what_a_wildcard_is_given_it_knows_and_nothing_behind_it(tmp_path: Path) -> None:
    (tmp_path / "cat.txt").write_text("a ${size:small} cat")
    files = WildcardFiles(lambda: [tmp_path])
    assert products("__cat(size=big)__, __cat__", files.snapshot()) == ["a big cat, a small cat"]


def test_circles_and_what_grows_without_end_are_sentences(files: WildcardFiles) -> None:
    found = draw([parse("__circle__ ${a=${b}}${b=${a}}${a}")], files.snapshot(), random.Random(0))
    assert found.texts[0].startswith("x x x") and found.texts[0].endswith("${a}")
    assert ["leads back to itself" in notice for notice in found.notices] == [True, True]
    doubling = "".join(f"${{v{n + 1}=${{v{n}}}${{v{n}}}}}" for n in range(30))
    with pytest.raises(DynamicPromptError, match="200,000 characters"):
        draw([parse("${v0=aaaaaaaaaa}" + doubling + "${v30}")], none, random.Random(0))
    assert draw([parse("__a__ __a__")], none, random.Random(0)).notices == (
        "There is no wildcard 'a': it was left as it stands.",
    )


def test_in_turn_and_all_of_them(files: WildcardFiles) -> None:
    assert [drawn("{@a|b|c} {@d|e}", turn=turn) for turn in range(4)] == ["a d", "b e", "c d", "a e"]
    assert [drawn("{!a|b} {!c|d}", turn=turn) for turn in range(4)] == ["a c", "b c", "a d", "b d"]
    found = products("{~a|b|c} {d|e|f}")
    assert [text[-1] for text in found] == ["d", "e", "f"]
    assert [drawn("__@colours/cold__", turn=turn, wildcards=files.snapshot()) for turn in range(3)] == [
        *("blue", "green", "blue")
    ]


def test_weights_are_shares(files: WildcardFiles) -> None:
    found = [drawn("{1::a|3::b}", seed) for seed in range(400)]
    assert 250 < found.count("b") < 350
    assert {drawn("{0::a|0::b}", seed) for seed in range(20)} == {"a", "b"}


@pytest.mark.long
def test_files_that_change_are_read_anew_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    files = WildcardFiles(lambda: [tmp_path, tmp_path / "absent"])
    before = files.snapshot()
    path.write_bytes(b"\xff\xfet\x00w\x00o\x00\n\x00")
    (tmp_path / "bad.yaml").write_text("a: [b\n")
    (tmp_path / "bad.json").write_bytes(b"\x00{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    lists = (f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n" for before, key in pairwise("abcdefghi"))
    (tmp_path / "bomb.yaml").write_text("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(lists))
    assert (products("__a__", before), products("__a__", files.snapshot())) == (["one"], ["two"])
    assert files.names() == ["a"]


PARTS = st.sampled_from(
    [*"{}|$_[]()\\:,%@!~# ", "$$", "${", "%{", "__", "...", "a", "b c", "2$$", "1-3$$", "0.5::", "x=", "=!", "é", "\n"]
)


@given(st.lists(PARTS, max_size=60).map("".join), st.integers(0, 99))
def test_no_template_fails_and_one_seed_gives_one_text(text: str, seed: int) -> None:
    try:
        first = draw([parse(text)], none, random.Random(seed))
    except DynamicPromptError:
        return
    assert first == draw([parse(text)], none, random.Random(seed))
    if not is_dynamic(parse(text)):
        assert first.texts[0].count("{") == text.count("{")


@pytest.mark.parametrize(
    "piece", ["{", "}", "{a|", "${a=", "%{...", "__a", "[{", "{2$$", "\\", "a|$$", "{a|b}", "__a(", "${   "]
)
def test_reading_takes_linear_time(piece: str) -> None:
    def seconds(count: int) -> float:
        started = time.process_time()
        parse(piece * count)
        return time.process_time() - started

    short, long = amount(2_000, 20_000), amount(20_000, 200_000)
    # The best of a few: a worker's collection of garbage, which may fall into one of them, takes longer.
    assert min(seconds(long) for _ in range(3)) < 60 * max(seconds(short), 0.005)
