"""What the index wants to know of one picture file, from its header alone: no pixel is decoded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.parameters.infotext import said_parameters
from modules.parameters.infotext_values import Pair, printable
from modules.pictures.metadata import read_metadata
from modules.pictures.opening import PictureError, unreadable
from modules.pictures.programs import program_of

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})
SEED: Final = "Seed"
# A key that no infotext has: each network that the prompt names.
LORA: Final = "Lora"
_NETWORK: Final = re.compile(r"<(?:lora|lyco):([^:<>]{1,300})")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_SAMPLE: Final = 4096
_MOST_FACTS: Final = 300
_LONGEST_VALUE: Final = 2000
_LONGEST_PROMPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """One file as read: `facts` are the infotext's pairs in its order, without the seed, which has a place of its own.

    `content` is a digest that two files share only where they are copies. `stack` is the same for pictures whose prompt
    and settings differ in seeds alone. `rating` is what the file itself says, 0 for nothing. `problem` is the sentence
    for a file that is no picture; all else is empty then.
    """

    content: str = ""
    width: int = 0
    height: int = 0
    prompt: str = ""
    negative: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    stack: int = 0
    program: str = ""
    rating: int = 0
    problem: str = ""


def read_picture(path: Path) -> ReadPicture:
    """Read the header of the file at `path`. Never raises for what is in it, nor where it is gone."""
    try:
        content = content_digest(path)
        metadata = read_metadata(path)
    except OSError as error:
        return ReadPicture(problem=f"{printable(path.name)} can't be read: {error.strerror or error}.")
    except PictureError:
        return ReadPicture(problem=str(unreadable(printable(path.name))))
    prompt, negative, pairs = said_parameters(metadata.infotext)
    prompt, negative = prompt[:_LONGEST_PROMPT], negative[:_LONGEST_PROMPT]
    seed, facts = _facts(pairs)
    facts = (*facts, *((LORA, name) for name in dict.fromkeys(_NETWORK.findall(prompt))))
    return ReadPicture(
        content=content,
        width=metadata.width,
        height=metadata.height,
        prompt=prompt,
        negative=negative,
        facts=facts,
        seed=seed,
        stack=_stack(prompt, negative, facts) if metadata.infotext else int(content[:15], 16),
        program=program_of(metadata, dict(facts)),
        rating=metadata.rating,
    )


def content_digest(path: Path) -> str:
    """A digest of a file's length and of three samples of it: beginning, middle and end. Raises OSError.

    Infotext stands at the beginning or the end, and compressed pixels differ everywhere: no two pictures share one.
    """
    with path.open("rb", buffering=0) as file:
        length = file.seek(0, 2)
        digest = hashlib.blake2b(str(length).encode(), digest_size=16)
        for place in dict.fromkeys((0, max(0, length // 2 - _SAMPLE // 2), max(0, length - _SAMPLE))):
            file.seek(place)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _facts(pairs: Iterable[Pair]) -> tuple[int | None, tuple[tuple[str, str], ...]]:
    seed: int | None = None
    facts: dict[str, str] = {}
    for pair in pairs:
        key, value = pair.key.strip(), pair.value[:_LONGEST_VALUE]
        if key == SEED and _WHOLE.fullmatch(value):
            seed = int(value)
        elif len(facts) < _MOST_FACTS and value:
            facts[key[:200]] = value
    return seed, tuple(facts.items())


def _stack(prompt: str, negative: str, facts: Iterable[tuple[str, str]]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for text in (prompt, negative, *_without_seeds(facts)):
        digest.update(text.encode("utf-8", "replace"))
        digest.update(b"\0")
    # SQLite's integers have a sign.
    return int.from_bytes(digest.digest(), "big") >> 1


def _without_seeds(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"{key}: {value}" for key, value in facts if not key.lower().endswith("seed"))
