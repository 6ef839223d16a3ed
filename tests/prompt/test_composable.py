from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import split_composable
from modules.prompt.composable import read_composition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat :1.2 AND a dog AND a penguin :2.2", [("a cat", 1.2), (" a dog", 1.0), (" a penguin", 2.2)]),
        ("a AND b :-1", [("a", 1.0), (" b", -1.0)]),
        ("sandAND", [("sandAND", 1.0)]),
        ("a and b", [("a and b", 1.0)]),
        ("A_AND_B", [("A_AND_B", 1.0)]),
        ("a AND", [("a", 1.0), ("", 1.0)]),
        ("AND", [("", 1.0), ("", 1.0)]),
        ("time 12:30 AND x", [("time 12", 30.0), (" x", 1.0)]),
        ("a AND [b:c:0.5]", [("a", 1.0), (" [b:c:0.5]", 1.0)]),
        ("a AND (a:1.2)", [("a", 1.0), (" (a:1.2)", 1.0)]),
        ("[a AND b:c:5]", [("[a", 1.0), (" b:c:5]", 1.0)]),
        ("a :+1. AND b:.5 \n AND c : 2", [("a", 1.0), (" b", 0.5), (" c", 2.0)]),
        ("a:1.2.3 AND b:1e3 AND c:. AND d:1.2:1.3", [("a:1.2.3", 1), (" b:1e3", 1), (" c:.", 1), (" d:1.2", 1.3)]),
        (":2 AND \n :3", [("", 2.0), ("", 3.0)]),
        ("a: 1 AND b :\n1", [("a", 1.0), (" b", 1.0)]),
        ("a,AND,b", [("a,", 1.0), (",b", 1.0)]),
        ("  \n", [("", 1.0)]),
        ("", [("", 1.0)]),
    ],
)
def test_parts(text: str, expected: Any) -> None:
    assert split_composable(text) == expected


@pytest.mark.parametrize("text", ["a:0.5", "ratio 16:9", "scene :-1"])
def test_without_and_a_number_is_text(text: str) -> None:
    reading = read_composition(text)
    assert reading.parts == ((text, 1.0),)
    assert [notice.kind for notice in reading.notices] == ["weight-without-and"]


@pytest.mark.parametrize("text", ["plain", "(a:1.2)", "a AND b:1.2", "a:b"])
def test_no_notice_where_nothing_differs(text: str) -> None:
    assert not read_composition(text).notices


@given(st.text(alphabet="AND :.0123456789+-ab\n", max_size=60))
def test_any_text_is_read(text: str) -> None:
    parts = split_composable(text)
    assert parts
    assert sum(len(part) for part, _ in parts) <= len(text)
    assert all(part == part.rstrip() for part, _ in parts)


plain = st.text(alphabet="abc ,()", min_size=1, max_size=8).filter(str.strip).map(str.rstrip)
weighted = st.tuples(plain, st.floats(-5, 5).map(lambda weight: round(weight, 3)))


@given(st.lists(weighted, min_size=2, max_size=5))
def test_parts_round_trip(parts: Any) -> None:
    text = " AND".join(f" {part} :{weight:.3f}" for part, weight in parts)
    found = split_composable(text)
    assert [part for part, _ in found] == [f" {part}" for part, _ in parts]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in parts])
