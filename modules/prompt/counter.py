"""The token counter: how many tokens a prompt has at its longest, and in how much room."""

from collections.abc import Mapping, Sequence

from modules.prompt.chunks import Encoder, chunk_prompt
from modules.prompt.comments import strip_comments
from modules.prompt.composable import split_composable
from modules.prompt.networks import extract_networks
from modules.prompt.scheduling import schedule
from modules.prompt.styles import Style, merge_style
from modules.prompt.whole import WholeReader
from modules.settings.choices import Emphasis


def count_tokens(
    text: str,
    tokenizer: Encoder | WholeReader,
    steps: int,
    *,
    negative: bool = False,
    styles: Sequence[Style] = (),
    emphasis: Emphasis = "Original",
    comma_padding_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
    comments: bool = True,
) -> tuple[int, int]:
    """(tokens, room) as the counter shows them, `12/75`: the longest text of all AND parts and steps.

    `styles` are merged in (leave them out where the option to count them is off). Comments are taken out of the prompt
    before that, as A1111's counter does. In a negative prompt AND is no border between parts.
    """
    text = strip_comments(text) if comments else text
    for style in styles:
        text = merge_style(style.negative_prompt if negative else style.prompt, text)
    text, _ = extract_networks(text)
    parts = [text] if negative else [part for part, _ in split_composable(text)]
    texts = dict.fromkeys(active for part in parts for _, active in schedule(part, steps))
    if isinstance(tokenizer, WholeReader):
        read = [tokenizer.read(active, emphasis) for active in texts]
        return max(len(prompt.ids) + prompt.cut for prompt in read), tokenizer.longest
    chunked = (chunk_prompt(active, tokenizer, emphasis, comma_padding_backtrack, embeddings) for active in texts)
    longest = max(chunked, key=lambda prompt: prompt.token_count)
    return longest.token_count, longest.limit
