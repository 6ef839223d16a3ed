"""How a value stands in an infotext line: quoting, and finding the pairs of a line in one pass."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_NEEDS_QUOTES: Final = re.compile(r"[,:\n]")
_SIZE: Final = re.compile(r"[0-9]{1,9}x[0-9]{1,9}")
# Possessive, so that a string that never ends is given up in one pass.
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_END_OF_VALUE: Final = re.compile(r"\s*(?:,|\Z)")
# Always matches where a run of key characters begins: the text is walked run by run, never from each character anew.
_KEY_RUN: Final = re.compile(r"[\w \-/]++(:?)")
_WORD: Final = re.compile(r"\w")
_SPACE: Final = re.compile(r"\s*")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_JSON: Final = json.JSONDecoder()
# Each failed attempt makes the json module count the lines of the whole text for its error.
_MOST_JSON: Final = 200


class Pair(NamedTuple):
    """A key and its value as read; `quoted` says that the value stood in quotes."""

    key: str
    value: str
    quoted: bool = False


def quote(value: object, *, prose: bool = False) -> str:
    """`value` as it stands in the line: raw, or as a JSON string when a comma, colon or line break is in it.

    A1111 leaves any other value raw. Ones that would not be read back as they are (a text in quotes, blanks at an
    end, `prose` that looks like a size) are quoted as well: its reader and ours then agree on what was meant.
    """
    text = printable(str(value))
    misread = text != text.strip() or text[:1] in {'"', "{", "["} or (prose and split_size(text) is not None)
    return json.dumps(text, ensure_ascii=False) if misread or _NEEDS_QUOTES.search(text) else text


def split_size(text: str) -> tuple[str, str] | None:
    """The two sides of `512x768`; None for anything else."""
    if not _SIZE.fullmatch(text):
        return None
    width, _, height = text.partition("x")
    return width, height


def printable(text: str) -> str:
    """`text` without lone surrogates, which no file and no database takes."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def pairs(line: str) -> Iterator[Pair]:
    """Every `key: value` of a line, in time linear in its length.

    A key is a word character followed by one or more of word characters, blanks, `-` and `/`. A value is a string in
    double quotes, a JSON object or array that stands unquoted (as Civitai writes), or what comes before the next comma.
    """
    position, json_values = 0, 0
    while run := _KEY_RUN.search(line, position):
        position = run.end()
        if not run.group(1):
            continue
        key = _key_in(run.group()[:-1])
        if key is not None:
            value, quoted, position = _value_at(line, position, read_json=json_values < _MOST_JSON)
            json_values += value.startswith(("{", "["))
            yield Pair(key, value, quoted)


def _key_in(run: str) -> str | None:
    first = _WORD.search(run)
    return run[first.start() :] if first and len(run) - first.start() >= 2 else None


def _value_at(line: str, start: int, *, read_json: bool) -> tuple[str, bool, int]:
    """The value at `start`, whether it was quoted, and where the next pair may begin."""
    begin = _skip_space(line, start)
    if line.startswith('"', begin):
        string = _QUOTED.match(line, begin)
        end = string and _END_OF_VALUE.match(line, string.end())
        if string and end:
            return unquote(string.group()), True, end.end()
    elif read_json and line.startswith(("{", "["), begin):
        stop = _json_end(line, begin)
        end = _END_OF_VALUE.match(line, stop) if stop else None
        if end:
            return line[begin:stop], False, end.end()
    comma = line.find(",", begin)
    stop = len(line) if comma < 0 else comma
    return line[begin:stop].rstrip(), False, min(stop + 1, len(line))


def _skip_space(line: str, start: int) -> int:
    blank = _SPACE.match(line, start)
    return blank.end() if blank else start


def _json_end(line: str, begin: int) -> int | None:
    try:
        return _JSON.raw_decode(line, begin)[1]
    except (ValueError, RecursionError):
        return None


def unquote(text: str) -> str:
    """The text inside a JSON string; what isn't one stays as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return printable(value) if isinstance(value, str) else text
