"""Colours of the page that can be read: every text of our style sheets against what it stands on, by WCAG's formula.

tests/browser/test_accessibility.py measures the page itself; this test needs no browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import pytest

from modules.page.page import ASSETS
from modules.page.theme import create_theme

Colour = tuple[float, float, float]

TEXT: Final = 4.5  # WCAG 2.2, 1.4.3: the least for text of any size
THEMES: Final = ("light", "dark")
# A text whose rule names no background stands on one of these.
GROUNDS: Final = ("body-background-fill", "block-background-fill", "background-fill-secondary")
# Of the theme: texts that Gradio draws, and what it draws them on.
PAIRS: Final = [
    *((text, ground) for text in ("body-text-color", "body-text-color-subdued") for ground in GROUNDS),
    *((text, "block-background-fill") for text in ("block-title-text-color", "block-info-text-color", "color-accent")),
    ("color-accent", "body-background-fill"),
    ("link-text-color", "body-background-fill"),
    ("link-text-color-hover", "body-background-fill"),
    ("input-placeholder-color", "input-background-fill"),
    ("button-primary-text-color", "button-primary-background-fill"),
    ("button-primary-text-color", "button-primary-background-fill-hover"),
    ("button-secondary-text-color", "button-secondary-background-fill"),
    ("button-secondary-text-color", "button-secondary-background-fill-hover"),
]
# What is paler than its colour says: pictures, what is switched off, and what is not there to be read.
PALE: Final = re.compile(r":disabled|\.frozen|\.paint|\.busy|\.drop input|^50%")
RULE: Final = re.compile(r"([^{}]+)\{([^{}]*)\}")
NAMES: Final = {"white": "#ffffff", "black": "#000000"}


def rules(css: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Selector and declarations of each rule, those inside of media queries too."""
    for selector, body in RULE.findall(re.sub(r"/\*.*?\*/", "", css, flags=re.S)):
        parts = (part.partition(":") for part in body.split(";") if ":" in part)
        yield selector.strip(), {name.strip(): value.strip() for name, _, value in parts}


@cache
def sheets() -> dict[str, str]:
    # The empty page before Gradio's, which has no text, goes by variables of its document.
    own = (path for path in sorted(ASSETS.glob("*.css")) if path.name != "early.css")
    return {path.name: path.read_text("utf-8") for path in own}


@cache
def variables(theme: str) -> dict[str, str]:
    """The variables of Gradio's theme, and those of our sheets, in one of the two themes."""
    found: dict[str, str] = {}
    theme_of_page: Any = create_theme()
    for css in (theme_of_page._get_theme_css(), *sheets().values()):
        for selector, declarations in rules(css):
            scopes = {part.strip() for part in selector.split(",")}
            if ":root" in scopes or (theme == "dark" and any(".dark" in part and " #" not in part for part in scopes)):
                found |= {name: value for name, value in declarations.items() if name.startswith("--")}
    return found


def resolved(value: str, theme: str) -> str:
    while found := re.search(r"var\(--([\w-]+)\)", value):
        value = value.replace(found[0], variables(theme)[f"--{found[1]}"])
    return value.removesuffix("!important").strip()


def colours(value: str, theme: str) -> list[Colour]:
    """The plain colours that a value names: one, or each of a gradient or a mixture; none for anything else."""
    plain = resolved(value, theme)
    for name, code in NAMES.items():
        plain = re.sub(rf"\b{name}\b", code, plain)
    return [channels(code) for code in re.findall(r"#[0-9a-fA-F]{3,6}\b", plain)]


def channels(code: str) -> Colour:
    digits = code[1:] if len(code) == 7 else "".join(digit * 2 for digit in code[1:])
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """WCAG 2.2's relative luminance of an sRGB colour, 0 to 1."""
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(value: str, theme: str) -> list[Colour]:
    """Like `colours`; `color-mix(in srgb, A p%, B)` is one colour."""
    parts = re.search(r"color-mix\(in srgb, (.+?) (\d+)%, (.+)\)$", resolved(value, theme))
    if not parts:
        return colours(value, theme)
    [front], [back], share = colours(parts[1], theme), colours(parts[3], theme), int(parts[2]) / 100
    red, green, blue = (a * share + b * (1 - share) for a, b in zip(front, back, strict=True))
    return [(red, green, blue)]


def test_the_formula_is_wcags() -> None:
    assert contrast(channels("#000"), channels("#ffffff")) == pytest.approx(21)
    # As WebAIM's checker gives it.
    assert contrast(channels("#777777"), channels("#fff")) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_of_the_theme_can_be_read(theme: str) -> None:
    pale = {
        f"{text} on {ground}": round(ratio, 2)
        for text, ground in PAIRS
        for front in colours(f"var(--{text})", theme)
        for back in colours(f"var(--{ground})", theme)
        if (ratio := contrast(front, back)) < TEXT
    }
    assert not pale


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sheet", sorted(sheets()))
def test_texts_of_our_style_sheets_can_be_read(sheet: str, theme: str) -> None:
    pale = {}
    for selector, declared in rules(sheets()[sheet]):
        ground = declared.get("background", declared.get("background-color", ""))
        # White on a half-clear black is for a picture's whole window, which is black itself.
        if "color" not in declared or ".lightbox" in selector:
            continue
        backs = mixed(ground, theme) or [back for name in GROUNDS for back in colours(f"var(--{name})", theme)]
        ratios = [contrast(front, back) for front in colours(declared["color"], theme) for back in backs]
        assert ratios or declared["color"] in ("inherit", "transparent"), f"{selector}: {declared['color']}"
        if ratios and min(ratios) < TEXT:
            pale[selector] = round(min(ratios), 2)
    assert not pale


@pytest.mark.parametrize("sheet", sorted(sheets()))
def test_no_text_is_made_paler_than_its_colour(sheet: str) -> None:
    pale = [
        selector
        for selector, declared in rules(sheets()[sheet])
        if float(declared.get("opacity", 1)) < 1 and not PALE.search(selector)
    ]
    assert not pale


@pytest.mark.parametrize("theme", THEMES)
def test_what_a_progress_bar_says_can_be_read_on_its_full_and_its_empty_part(theme: str) -> None:
    [front] = colours("var(--body-text-color)", theme)
    fills = [
        declared["background"]
        for css in sheets().values()
        for selector, declared in rules(css)
        if selector.endswith((".fill", ".bar")) and "background" in declared
    ]
    assert len(fills) >= 4
    assert min(contrast(front, back) for fill in fills for back in colours(fill, theme)) >= TEXT
