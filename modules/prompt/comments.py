"""Comments: `#` and what follows it on its line, taken out of a prompt before its brackets are read.

Behaviour reproduced: AUTOMATIC1111 v1.10.1, line ends included. Kinder in one place: the `#` of a hex colour
(`#ff0000`, `#f00`) begins no comment.
"""

import re
from dataclasses import dataclass

from modules.prompt.notices import PromptNotice, quote

# Three digits are a colour only inside a line, and only where they spell no word ("#add", "#bad").
_COLOUR = (
    r"(?:[0-9a-fA-F]{6}(?:[0-9a-fA-F]{2})?"
    r"|(?<!^#)(?<!\n#)(?=[a-fA-F]{0,2}[0-9]|(?P<letter>[a-fA-F])(?P=letter){2})[0-9a-fA-F]{3})\b"
)
_COLOUR_MARK = re.compile(rf"#{_COLOUR}")
_WHOLE_LINE = re.compile(rf"(?:^|\n)#(?!{_COLOUR})(?P<comment>.*)\n?")
_REST_OF_LINE = re.compile(rf"#(?!{_COLOUR})(?P<comment>.*)\n?")


@dataclass(frozen=True, slots=True)
class Commented:
    """A prompt without its comments, the comments in the order they were found, and what was read kindly."""

    text: str
    comments: tuple[str, ...]
    notices: tuple[PromptNotice, ...]


def strip_comments(text: str) -> str:
    """The prompt without its comments. A line that is nothing but a comment goes with one of its line ends."""
    return read_comments(text).text


def read_comments(text: str) -> Commented:
    """As `strip_comments`, with the comments and the notices about readings that differ from A1111's."""
    comments: list[str] = []

    def take(match: re.Match[str]) -> str:
        comments.append(match.group("comment").strip())
        return "\n"

    if "#" not in text:
        return Commented(text, (), ())
    left = _REST_OF_LINE.sub(take, _WHOLE_LINE.sub(take, text))
    colours = dict.fromkeys(match.group() for match in _COLOUR_MARK.finditer(left))
    notices = (PromptNotice("colour", f"{quote(colour)} was read as a colour, not as a comment.") for colour in colours)
    return Commented(left, tuple(comments), tuple(notices))
