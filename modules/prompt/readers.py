"""Which reader reads texts whole, by what a family says of its text encoder."""

from modules.prompt.chat import ChatReader
from modules.prompt.qwen import qwen_tokenizer
from modules.prompt.t5 import T5Reader, t5_tokenizer
from modules.prompt.whole import ReadsWhole, WholeReader


def whole_reader(reads: ReadsWhole, *, empty_thought: bool = False) -> WholeReader:
    """The reader of a message to a language model, whose answer may begin with an empty thought, or of a plain text."""
    if reads == "message":
        return ChatReader(qwen_tokenizer(), empty_thought)
    return T5Reader(t5_tokenizer())
