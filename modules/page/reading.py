"""How the prompts were read: the token counters, and the folded view of parts, steps, chunks and weights."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modules.parameters.samplers import find_sampler
from modules.prompt import (
    NETWORK_KINDS,
    ChunkReading,
    NetworkTag,
    PartReading,
    PromptReading,
    ReadingOptions,
    Style,
    StyleFileError,
    TextReading,
    Tokenizer,
    WholeReader,
    apply_styles,
    clip_tokenizer,
    count_tokens,
    read_prompt,
    whole_reader,
)
from modules.settings import OptionStore

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Longer prompts are made like any other; only showing them at every keystroke is too much for a browser.
LONGEST_COUNTED: Final = 200_000
LONGEST_READ: Final = 20_000
TEXTS_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the prompt boxes and decides how they are read."""

    prompt: str
    negative_prompt: str
    styles: tuple[str, ...]
    steps: int
    sampler: str

    @property
    def calls(self) -> int:
        """Calls of the model: prompt editing counts these, and samplers of second order make two a step."""
        return self.steps * (2 if self.twice else 1)

    @property
    def twice(self) -> bool:
        """Whether each step is two calls."""
        sampler = find_sampler(self.sampler)
        return sampler is not None and sampler.second_order


def counters(services: Services, typed: Typed) -> tuple[str, str]:
    """The two token counters as HTML."""
    options, tokenizer = services.options, _tokenizer(services)
    if options.switch("disable_token_counters"):
        return "", ""
    styles = chosen_styles(services, typed.styles) if options.switch("include_styles_into_token_counters") else []
    return (
        _counter(options, tokenizer, typed.prompt, typed.calls, styles, negative=False),
        _counter(options, tokenizer, typed.negative_prompt, typed.calls, styles, negative=True),
    )


def _tokenizer(services: Services) -> Tokenizer | WholeReader:
    """What reads the prompts of the checkpoint in use."""
    checkpoint = services.current_checkpoint()
    architecture = None if checkpoint is None else services.catalogue.architecture(checkpoint)
    for facts in () if architecture is None else architecture.family.text_encoders:
        if facts.reads != "chunks":
            return whole_reader(facts.reads, empty_thought=facts.empty_thought)
    return clip_tokenizer()


def chosen_styles(services: Services, names: Sequence[str]) -> list[Style]:
    """The styles of these names; none when a styles file can't be read."""
    try:
        return services.styles.choose(names)
    except StyleFileError:
        return []


def counter_html(count: int, limit: int, *, whole: bool = False) -> str:
    """The token counter over a prompt, A1111's `n/75`; with `whole` for checkpoints that read no chunks."""
    title = "Tokens in this prompt, and the room they need: multiples of 75"
    if whole:
        title = "Tokens in this prompt, and how many of them count"
    return f'<span title="{title}">{count}/{limit}</span>'


def _counter(
    options: OptionStore,
    tokenizer: Tokenizer | WholeReader,
    text: str,
    calls: int,
    styles: Sequence[Style],
    *,
    negative: bool,
) -> str:
    if len(text) > LONGEST_COUNTED:
        return f"<span>{len(text):,} characters</span>"
    count, limit = count_tokens(text, tokenizer, calls, negative=negative, styles=styles, **_shared(options))
    return counter_html(count, limit, whole=isinstance(tokenizer, WholeReader))


def _shared(options: OptionStore) -> dict[str, Any]:
    return {
        "emphasis": options.text("emphasis"),
        "comma_padding_backtrack": options.whole("comma_padding_backtrack"),
        "comments": options.switch("enable_prompt_comments"),
    }


def reading_html(services: Services, typed: Typed) -> str:
    """Both prompts as they will be read, styles merged in."""
    if len(typed.prompt) + len(typed.negative_prompt) > LONGEST_READ:
        return "<p>These prompts are too long to be shown here; they are used in full.</p>"
    options, tokenizer = services.options, _tokenizer(services)
    reading_options = ReadingOptions(steps=typed.calls, old=options.switch("use_old_scheduling"), **_shared(options))
    styles = chosen_styles(services, typed.styles)
    texts = apply_styles(typed.prompt, typed.negative_prompt, styles)
    sections = []
    for title, text, negative in zip(("Prompt", "Negative prompt"), texts, (False, True), strict=True):
        if text.strip():
            reading = read_prompt(text, tokenizer, reading_options, negative=negative)
            here = _names_here(services, reading.tags)
            unit = "calls (two a step)" if typed.twice else "steps"
            sections.append(f"<h2>{title}</h2>{prompt_html(reading, here, unit)}")
    return "".join(sections) or "<p>Nothing to read yet.</p>"


def _names_here(services: Services, tags: Sequence[NetworkTag]) -> Mapping[str, frozenset[str]]:
    """The names of extra networks on this machine, of the kinds that the tags ask for."""
    words = {tag.kind for tag in tags}
    return {word: services.catalogue.networks(NETWORK_KINDS[word]).names for word in words if word in NETWORK_KINDS}


def prompt_html(reading: PromptReading, here: Mapping[str, frozenset[str]], unit: str = "steps") -> str:
    """One prompt's reading; `here` has the networks on this machine, by kind. User text never becomes markup."""
    several = len(reading.parts) > 1
    parts = "".join(_part(part, number if several else 0, unit) for number, part in enumerate(reading.parts, start=1))
    tags = "".join(_tag(tag, here.get(tag.kind, frozenset())) for tag in reading.tags)
    comments = "".join(f"<li>Comment, left out: {html.escape(text)}</li>" for text in reading.comments)
    notices = "".join(f'<li class="notice">{html.escape(notice.message)}</li>' for notice in reading.notices)
    listed = tags + comments + notices
    return parts + (f"<ul>{listed}</ul>" if listed else "")


def _tag(tag: NetworkTag, here: frozenset[str]) -> str:
    arguments = (*tag.positional, *(f"{key}={value}" for key, value in tag.named))
    words = f"Extra network {tag.kind}: {tag.name}" + (f" ({', '.join(arguments)})" if arguments else "")
    if tag.name in here:
        return f"<li>{html.escape(words)}</li>"
    return f'<li class="notice">{html.escape(words)}: not found here</li>'


def _part(part: PartReading, number: int, unit: str) -> str:
    head = f'<p class="part">Part {number}, weight {part.weight:g}</p>' if number else ""
    texts = [text for text in part.texts if text.calls] or list(part.texts)
    shown = "".join(_text(text, unit if len(texts) > 1 else "") for text in texts[:TEXTS_SHOWN])
    left = len(texts) - TEXTS_SHOWN
    return head + shown + (f"<p>… and {left} more texts</p>" if left > 0 else "")


def _text(text: TextReading, unit: str) -> str:
    calls = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in text.calls)
    when = f'<span class="when">{unit} {calls}</span>' if unit else ""
    return f'<div class="text">{when}{"".join(_chunks(text.chunks)) or _message(text)}</div>'


def _message(text: TextReading) -> str:
    """A text that is read whole, with its room."""
    label = f'<span class="when">{text.token_count}/{text.limit}</span>'
    return f'<div class="chunk">{label}<span class="run">{html.escape(text.message) or "<i>empty</i>"}</span></div>'


def _chunks(chunks: Sequence[ChunkReading]) -> Iterator[str]:
    for number, chunk in enumerate(chunks, start=1):
        runs = " ".join(_run(run.text, run.weight, embedding=run.embedding) for run in chunk.runs)
        label = f'<span class="when">chunk {number}, {chunk.length}/75</span>'
        yield f'<div class="chunk">{label}{runs or "<i>empty</i>"}</div>'


def _run(text: str, weight: float, *, embedding: bool) -> str:
    kind = "run embedding" if embedding else "run"
    if weight == 1:
        return f'<span class="{kind}">{html.escape(text)}</span>'
    # Half a unit of weight is the strongest tint.
    strength = min(100, round(abs(weight - 1) * 200))
    side = "up" if weight > 1 else "down"
    return (
        f'<span class="{kind} {side}" style="--strength:{strength}%">{html.escape(text)}<sub>{weight:.4g}</sub></span>'
    )
