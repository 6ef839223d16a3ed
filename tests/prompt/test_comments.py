import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import strip_comments
from modules.prompt.comments import read_comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a # b", "a \n"),
        ("# x\na", "\na"),
        ("a\n# c\nb", "a\nb"),
        ("a\n# c", "a\n"),
        ("a # b\nc # d\ne", "a \nc \ne"),
        ("a\n  # c\nb", "a\n  \nb"),
        ("a #add more", "a \n"),
        ("a #1girl", "a \n"),
        ("#add\na", "\na"),
        ("#123 hidden\na", "\na"),
        ("#fff000x\na", "\na"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_comments_are_taken_out(text: str, expected: str) -> None:
    assert strip_comments(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("color #ff0000, red", "color #ff0000, red"),
        ("#ff0000 dress", "#ff0000 dress"),
        ("hair #f00, eyes #FFF # note", "hair #f00, eyes #FFF \n"),
        ("#AABBCCDD", "#AABBCCDD"),
        ("(#1a2b3c:1.2)", "(#1a2b3c:1.2)"),
    ],
)
def test_hex_colours_are_no_comments(text: str, expected: str) -> None:
    reading = read_comments(text)
    assert reading.text == expected
    assert {notice.kind for notice in reading.notices} == {"colour"}


def test_what_was_taken_out_is_reported() -> None:
    reading = read_comments("# first\na # second\nb")
    assert reading.comments == ("first", "second")
    assert not reading.notices


@given(st.text(alphabet="#ab1f \n", max_size=60))
def test_nothing_else_is_lost(text: str) -> None:
    left = strip_comments(text)
    assert left == text if "#" not in text else len(left) <= len(text) + 1
    assert strip_comments(left) == left
