"""Styles: named pieces of prompt that are merged into what the user typed, and found again when a prompt is pasted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PLACE = "{prompt}"
"""Where in a style's text the user's prompt goes; without it the style is appended."""


@dataclass(frozen=True, slots=True)
class Style:
    """One style; `path` is the file it came from."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    path: Path | None = None


def merge_style(style: str, prompt: str) -> str:
    """One style's text and a prompt as one prompt: around it at every `{prompt}`, or behind it with a comma."""
    if PLACE in style:
        return style.replace(PLACE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Both prompts with the styles merged in, one after the other."""
    for style in styles:
        prompt = merge_style(style.prompt, prompt)
        negative_prompt = merge_style(style.negative_prompt, negative_prompt)
    return prompt, negative_prompt


def extract_styles(prompt: str, negative_prompt: str, styles: Sequence[Style]) -> tuple[str, str, list[str]]:
    """What the user typed before styles were merged, and the names of those styles in an order that merges back.

    A style is found only if both its texts are there: at the end, or around everything where it has a `{prompt}`.
    """
    # A style without a text of its own, `{prompt}` alone for one, would be found in everything.
    left = [style for style in styles if _own_text(style.prompt) or _own_text(style.negative_prompt)]
    names: list[str] = []
    while True:
        for style in left:
            bare = _unmerge(style.prompt, prompt)
            bare_negative = _unmerge(style.negative_prompt, negative_prompt)
            if bare is not None and bare_negative is not None:
                prompt, negative_prompt = bare, bare_negative
                left.remove(style)
                names.append(style.name)
                break
        else:
            return prompt, negative_prompt, names[::-1]


def _own_text(style: str) -> str:
    return style.replace(PLACE, "").strip()


def _unmerge(style: str, prompt: str) -> str | None:
    """The prompt that was merged with the style to give this one; None if there is none."""
    style, stripped = style.strip(), prompt.strip()
    if not style:
        return prompt
    before, place, after = style.partition(PLACE)
    if not place:
        return stripped.removesuffix(style).removesuffix(", ") if stripped.endswith(style) else None
    if len(stripped) < len(before) + len(after) or not (stripped.startswith(before) and stripped.endswith(after)):
        return None
    return stripped[len(before) : len(stripped) - len(after)]
