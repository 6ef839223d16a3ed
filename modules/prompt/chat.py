"""A prompt as language models read it: one message of a conversation, whole, whose words have no weights."""

import re
from dataclasses import dataclass
from typing import Final

from modules.prompt.qwen import QwenTokenizer
from modules.prompt.whole import WholeReader, WholeText
from modules.settings.choices import Emphasis

_BEFORE: Final = "<|im_start|>user\n"
_BEHIND: Final = "<|im_end|>\n<|im_start|>assistant\n"
_EMPTY_THOUGHT: Final = "<think>\n\n</think>\n\n"
# A weight that somebody wrote, below 10. Brackets without one are what they are in any sentence, and so are times of
# day and ratios.
_WEIGHTED: Final = re.compile(r"(?<!\\)\((?!\s*\d+\s*:)([^()]*):\s*[+-]?(?:\d(?:\.\d*)?|\.\d+)\s*\)")
_ESCAPED: Final = re.compile(r"\\([()\[\]])")


@dataclass(frozen=True, slots=True)
class ChatReader(WholeReader):
    """How a language model reads a text: its tokens, and what stands around a message, which counts too.

    With `empty_thought` the answer that follows begins with one.
    """

    words: QwenTokenizer
    empty_thought: bool = False

    def read(self, text: str, emphasis: Emphasis = "Original") -> WholeText:
        """`text` as a user's message, without the weights that are written in it."""
        plain, weights = (text, False) if emphasis == "None" else without_weights(text)
        ids = self.words.encode(f"{_BEFORE}{plain}{_BEHIND}{_EMPTY_THOUGHT * self.empty_thought}")
        cut = max(0, len(ids) - self.longest)
        return WholeText(plain, tuple(ids[: self.longest]), cut, lost_weights=weights)


def without_weights(text: str) -> tuple[str, bool]:
    """`(word:1.2)` as `word`, `\\(` as `(`, and whether there was a weight."""
    found = False
    while True:
        text, count = _WEIGHTED.subn(r"\1", text)
        if not count:
            return _ESCAPED.sub(r"\1", text), found
        found = True
