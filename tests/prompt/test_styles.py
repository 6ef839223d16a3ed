from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import Style, apply_styles, extract_styles, merge_style


@pytest.mark.parametrize(
    ("prompt", "style", "expected"),
    [
        ("a cat", "masterpiece", "a cat, masterpiece"),
        ("a cat", "oil of {prompt}, hq", "oil of a cat, hq"),
        ("", "x", "x"),
        ("a cat", "", "a cat"),
        ("a cat, ", "x", "a cat,, x"),
        ("cat", "{prompt} and {prompt}", "cat and cat"),
        (" cat ", "{prompt}", " cat "),
        ("", "", ""),
    ],
)
def test_merge(prompt: str, style: str, expected: str) -> None:
    assert merge_style(style, prompt) == expected


def test_styles_are_merged_one_after_the_other() -> None:
    styles = [Style("1", "A", "bad"), Style("2", "B {prompt}"), Style("3", "C", "worse")]
    assert apply_styles("cat", "ugly", styles) == ("B cat, A, C", "ugly, bad, worse")


STYLES = [
    Style("oil", "oil of {prompt}, hq", "photo"),
    Style("hq", "masterpiece", ""),
    Style("neg", "", "blurry"),
    Style("empty"),
]


@pytest.mark.parametrize(
    ("prompt", "negative", "expected"),
    [
        ("a cat, masterpiece", "", ("a cat", "", ["hq"])),
        ("masterpiece", "", ("", "", ["hq"])),
        ("oil of a cat, hq", "ugly, photo", ("a cat", "ugly", ["oil"])),
        ("oil of a cat, hq", "ugly", ("oil of a cat, hq", "ugly", [])),
        ("oil of a cat, hq, masterpiece", "photo, blurry", ("a cat", "", ["oil", "neg", "hq"])),
        ("oil of hq", "photo", ("oil of hq", "photo", [])),
        ("a cat", "b", ("a cat", "b", [])),
    ],
)
def test_extract(prompt: str, negative: str, expected: Any) -> None:
    left, left_negative, names = extract_styles(prompt, negative, STYLES)
    assert (left, left_negative, sorted(names)) == (*expected[:2], sorted(expected[2]))


texts = st.text(alphabet="ab ,", max_size=8).map(lambda text: text.strip(" ,"))


@given(texts, texts, st.lists(st.sampled_from(STYLES), max_size=3, unique=True))
def test_merged_styles_are_found_again(prompt: Any, negative: Any, styles: Any) -> None:
    merged = apply_styles(prompt, negative, styles)
    left, left_negative, names = extract_styles(*merged, STYLES)
    chosen = {style.name: style for style in STYLES}
    assert apply_styles(left, left_negative, [chosen[name] for name in names]) == merged
    assert {style.name for style in styles} - {"empty"} <= set(names)


@pytest.mark.parametrize("text", ["{prompt}", " {prompt} ", "{prompt}{prompt}"])
def test_a_style_without_a_text_of_its_own_is_found_nowhere(text: str) -> None:
    styles = [Style("Nothing", text, text), Style("Oil", "oil painting")]
    assert extract_styles("a cat, oil painting", "bad", styles) == ("a cat", "bad", ["Oil"])
