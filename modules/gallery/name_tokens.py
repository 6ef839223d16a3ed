"""The tokens of file name patterns: what A1111's users write between square brackets."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modules.gallery.name_facts import NameFacts
from modules.gallery.sanitizing import sanitize

_NOT_IN_WORDS: Final = re.compile(rf"[\s{re.escape(string.punctuation)}]+")
_DATETIME: Final = "%Y%m%d%H%M%S"


class Vanish(Enum):
    """The answer of a token that says nothing here: the text before it goes too."""

    TOKEN_AND_TEXT = "token and text"


TokenValue = str | Vanish | None
Token = Callable[[NameFacts, Sequence[str]], TokenValue]


def _plain(get: Callable[[NameFacts], object]) -> Token:
    """A token whose value is shown as it is, without arguments."""

    def token(facts: NameFacts, _: Sequence[str]) -> TokenValue:
        value = get(facts)
        if isinstance(value, Vanish) or value is None:
            return value
        return sanitize(_number(value))

    return token


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _hash(get: Callable[[NameFacts], str | None], default: int) -> Token:
    def token(facts: NameFacts, arguments: Sequence[str]) -> TokenValue:
        text = get(facts)
        return None if text is None else text[: _length(arguments, default)]

    return token


def _length(arguments: Sequence[str], default: int) -> int:
    text = arguments[0].strip() if arguments else ""
    return int(text) if text.isdecimal() and len(text) < 4 else default


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _datetime(facts: NameFacts, arguments: Sequence[str]) -> str:
    form, zone = (*arguments, "", "")[:2]
    return sanitize(_formatted(_in_zone(facts.now, zone), form or _DATETIME))


def _in_zone(moment: datetime, zone: str) -> datetime:
    try:
        return moment.astimezone(ZoneInfo(zone)) if zone else moment
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return moment


def _formatted(moment: datetime, form: str) -> str:
    try:
        return moment.strftime(form)
    except (ValueError, UnicodeError):
        return moment.strftime(_DATETIME)


def _has_prompt(facts: NameFacts, arguments: Sequence[str]) -> TokenValue:
    """`[hasprompt<girl|no girl><boy>]`: each text that occurs in the prompt, or else its default."""
    prompt = facts.prompt.lower()
    chosen = []
    for argument in arguments:
        text, _, default = argument.partition("|")
        chosen.append(text.lower() if text.lower() in prompt else default.partition("|")[0])
    return sanitize("".join(chosen), replace_spaces=True) if arguments else None


def _words(facts: NameFacts, _: Sequence[str]) -> str:
    words = [word for word in _NOT_IN_WORDS.split(facts.prompt) if word] or ["empty"]
    return sanitize(" ".join(words[: facts.most_words]))


def _without_styles(facts: NameFacts, _: Sequence[str]) -> str:
    prompt = facts.prompt
    for style in facts.style_prompts:
        for part in filter(None, (part.strip(", ") for part in style.split("{prompt}"))):
            prompt = prompt.replace(part, "").replace(", ,", ",").strip().strip(",")
    return sanitize(prompt)


def _vae(facts: NameFacts) -> str:
    if facts.vae is None:
        return "NoneType"  # what A1111 writes, so that folders of old and new pictures stay one
    parts = PurePath(facts.vae).name.split(".")
    return parts[1] if len(parts) > 1 and not parts[0] else parts[0]


def _sampler_and_schedule(facts: NameFacts) -> str:
    return facts.sampler if facts.scheduler == "Automatic" else f"{facts.sampler} {facts.scheduler}"


def _in_batch(get: Callable[[NameFacts], object]) -> Token:
    return _plain(lambda facts: Vanish.TOKEN_AND_TEXT if facts.batch_size == 1 else get(facts))


def _generation_number(facts: NameFacts) -> object:
    return Vanish.TOKEN_AND_TEXT if facts.batch_size * facts.batch_count == 1 else facts.index + 1


TOKENS: Final[Mapping[str, Token]] = {
    "seed": _plain(lambda facts: facts.seed),
    "seed_first": _plain(lambda facts: facts.seed if facts.batch_size == 1 else facts.seeds[0]),
    "seed_last": _in_batch(lambda facts: facts.seeds[-1]),
    "steps": _plain(lambda facts: facts.steps),
    "cfg": _plain(lambda facts: facts.cfg_scale),
    "width": _plain(lambda facts: facts.width),
    "height": _plain(lambda facts: facts.height),
    "styles": _plain(lambda facts: ", ".join(style for style in facts.styles if style != "None") or "None"),
    "sampler": _plain(lambda facts: facts.sampler),
    "scheduler": _plain(lambda facts: facts.scheduler),
    "sampler_scheduler": _plain(_sampler_and_schedule),
    "model_hash": _plain(lambda facts: facts.model_hash),
    "model_name": _plain(lambda facts: facts.model_name),
    "vae_filename": _plain(_vae),
    "date": _plain(lambda facts: facts.now.strftime("%Y-%m-%d")),
    "datetime": _datetime,
    "job_timestamp": _plain(lambda facts: (facts.started or facts.now).strftime(_DATETIME)),
    "prompt": lambda facts, _: sanitize(facts.prompt, replace_spaces=True),
    "prompt_no_styles": _without_styles,
    "prompt_spaces": _plain(lambda facts: facts.prompt),
    "prompt_words": _words,
    "prompt_hash": _hash(lambda facts: _sha256(facts.prompt), 8),
    "negative_prompt_hash": _hash(lambda facts: _sha256(facts.negative_prompt), 8),
    "full_prompt_hash": _hash(lambda facts: _sha256(f"{facts.prompt} {facts.negative_prompt}"), 8),
    "image_hash": _hash(lambda facts: facts.pixels_hash() if facts.pixels_hash else None, 64),
    "batch_number": _in_batch(lambda facts: facts.index % facts.batch_size + 1),
    "batch_size": _plain(lambda facts: facts.batch_size),
    "generation_number": _plain(_generation_number),
    "hasprompt": _has_prompt,
    "clip_skip": _plain(lambda facts: facts.clip_skip),
    "denoising": _plain(lambda facts: Vanish.TOKEN_AND_TEXT if facts.denoising is None else facts.denoising),
    "user": _plain(lambda facts: facts.user),
    "basename": _plain(lambda facts: facts.basename),
    "none": _plain(lambda facts: ""),
}
