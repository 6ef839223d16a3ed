"""What the index answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Sort = Literal["newest", "oldest", "name", "rating", "size"]


@dataclass(frozen=True, slots=True)
class Looker:
    """Who looks: with `own_only`, the pictures of other logins are not theirs to see."""

    login: str | None = None
    own_only: bool = False


@dataclass(frozen=True, slots=True)
class IndexedPicture:
    """One row of the index; `path` is where the file lies now, `folder` is as shown, `created` in seconds since 1970.

    `stack` counts the pictures that stand behind this one where a search was stacked. `stack_key` finds them.
    """

    row: int
    folder: str
    folder_row: int
    name: str
    path: Path
    home: Path
    width: int
    height: int
    size: int
    mtime_ns: int
    created: float
    rating: int
    favourite: bool
    tags: tuple[str, ...]
    stack: int
    stack_key: str
    trashed: bool
    program: str
    content: bytes
    owner: str | None
    prompts: int | None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A stretch of a search; `cursor` names the next one."""

    total: int
    pictures: Sequence[IndexedPicture]
    cursor: str | None
    explained: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """A folder, model, tag or board with the number of its pictures."""

    id: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """What a search's pictures can be narrowed by."""

    folders: Sequence[Counted]
    models: Sequence[Counted]
    tags: Sequence[Counted]
    boards: Sequence[Counted]


@dataclass(frozen=True, slots=True)
class Completion:
    """One thing that may stand where somebody types: `text` goes in place of what stands from `start` to `end`."""

    text: str
    label: str
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """A prompt of the history; `last` is when its newest picture was made, None where it has none any more."""

    id: str
    prompt: str
    negative: str
    count: int
    last: float | None
    favourite: bool
    pictures: Sequence[IndexedPicture]


@dataclass(frozen=True, slots=True)
class Indexing:
    """How far reading is: of `total` files of this pass, `done` were looked at; `skipped` can't be read at all.

    `problem` is why nothing is read for a while, as one sentence: a full disk, say.
    """

    running: bool = False
    done: int = 0
    total: int = 0
    skipped: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change of several pictures did: those it was done to, and the sentence for each of the others."""

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
