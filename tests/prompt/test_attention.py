from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import BREAK, parse_attention
from modules.prompt.attention import _weights, _weights_by_logarithm, read_attention

# Outputs recorded from AUTOMATIC1111 v1.10.1, run as a black box.
RECORDED = [
    ("normal text", [("normal text", 1)]),
    ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    ("[unbalanced", [("unbalanced", 0.9090909)]),
    ("unbalanced)", [("unbalanced)", 1)]),
    (r"\(literal\]", [("(literal]", 1)]),
    (r"a \\ b", [("a \\ b", 1)]),
    (r"trailing \ slash", [("trailing  slash", 1)]),
    (r"(a\)", [("a)", 1.1)]),
    ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        [
            ("a ", 1),
            ("house", 1.573),
            (" ", 1.1),
            ("on", 1),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.4641),
            (".", 1.1),
        ],
    ),
    ("(a:1.5", [("a:1.5", 1.1)]),
    ("a:1.5)", [("a:1.5)", 1)]),
    ("(a:1.5))", [("a", 1.5), (")", 1)]),
    ("(a :1.5)", [("a ", 1.5)]),
    ("(a: 1.5)", [("a", 1.5)]),
    ("(a:1.5 )", [("a", 1.5)]),
    ("(a:-1)", [("a", -1)]),
    ("(a:+1.2)", [("a", 1.2)]),
    ("(a:.5)", [("a", 0.5)]),
    ("(a:0)", [("a", 0)]),
    ("(a:1.5:1.2)", [("a:1.5", 1.2)]),
    ("[a:1.5]", [("a:1.5", 0.9090909)]),
    ("([a:1.2])", [("a:1.2", 1)]),
    ("(a, b:1.3), c", [("a, b", 1.3), (", c", 1)]),
    ("((a:1.2):1.3)", [("a", 1.56)]),
    ("([a])", [("a", 1)]),
    ("", [("", 1)]),
    ("()", [("", 1)]),
    ("[]", [("", 1)]),
    ("(:1.2)", [("", 1)]),
    ("(a:1e3)", [("a:1e3", 1.1)]),
    ("(a|b:1.2)", [("a|b", 1.2)]),
    ("{a}", [("{a}", 1)]),
    ("a BREAK b", [("a", 1), BREAK, ("b", 1)]),
    ("aBREAKb", [("aBREAKb", 1)]),
    ("a, BREAK, b", [("a,", 1), BREAK, (", b", 1)]),
    ("a\nBREAK\nb", [("a", 1), BREAK, ("b", 1)]),
]
# Recorded too, of prompts that are not in the project's notes.
RECORDED += [
    ("BREAK a", [("", 1), BREAK, ("a", 1)]),
    ("a BREAK", [("a", 1), BREAK, ("", 1)]),
    ("a BREAK BREAK b", [("a", 1), BREAK, ("", 1), BREAK, ("b", 1)]),
    ("a:BREAK", [("a:", 1), BREAK, ("", 1)]),
    ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", 0.9090909)]),
    ("(a:1.2) (b:1.2)", [("a", 1.2), (" ", 1), ("b", 1.2)]),
    ("x\\", [("x", 1)]),
    ("(a:\n1.2\n)", [("a", 1.2)]),
]


@pytest.mark.parametrize(("text", "expected"), RECORDED)
def test_recorded(text: Any, expected: Any) -> None:
    parts = parse_attention(text)
    assert [part for part, _ in parts] == [part for part, _ in expected]
    assert [weight for _, weight in parts] == pytest.approx([weight for _, weight in expected], abs=1e-6)


def test_a_weight_that_is_no_number_stays_text() -> None:
    reading = read_attention("(a:1.2.3) and (b:.)")
    assert reading.parts == (("a:1.2.3", 1.1), (" and ", 1.0), ("b:.", 1.1))
    assert [notice.kind for notice in reading.notices] == ["weight", "weight"]
    assert "1.2.3" in reading.notices[0].message


def test_break_inside_brackets_breaks() -> None:
    reading = read_attention("(a BREAK b:1.2)")
    assert reading.parts == (("a", 1.2), BREAK, ("b", 1.2))
    assert [notice.kind for notice in reading.notices] == ["break-in-brackets"]
    assert not read_attention("a BREAK (b)").notices


def test_weights_round_as_factor_by_factor() -> None:
    assert parse_attention("(((a)))") == [("a", 1.1 * 1.1 * 1.1)]
    assert parse_attention("([a])b") == [("ab", 1.0)]


@given(st.text(alphabet="()[]\\:.-+0123456789 aBREAK\n", max_size=60))
def test_any_text_is_read(text: str) -> None:
    parts = parse_attention(text)
    assert parts
    joined = "".join(part for part, _ in parts)
    assert len(joined) <= len(text)
    assert all(first[1] != second[1] for first, second in pairwise(parts) if BREAK not in (first, second))


@given(st.text(max_size=40))
def test_escaped_text_round_trips(text: str) -> None:
    escaped = "".join("\\" + char if char in "()[]\\" else char for char in text)
    parts = parse_attention(escaped)
    if BREAK not in parts:
        assert parts == [(text, 1.0)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from([1.1, 1 / 1.1, 0.0, -2.0, 3.5]))))
def test_both_ways_to_multiply_agree(ranges: Any) -> None:
    factors = [(min(a, b), max(a, b), factor) for a, b, factor in ranges]
    assert _weights_by_logarithm(8, factors) == pytest.approx(_weights(8, factors))
