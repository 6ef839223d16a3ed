"""A prompt that is read whole, in the place of chunks of 75 tokens."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from modules.settings.choices import Emphasis


@dataclass(frozen=True, slots=True)
class WholeText:
    """A text as it is encoded. `ids` are its tokens, cut off at the end; `cut` says how many of them that were.

    `multipliers` are what each token's vector is multiplied by, none where there are no weights; `lost_weights` says
    that there were some, which can't act.
    """

    text: str
    ids: tuple[int, ...]
    cut: int
    multipliers: tuple[float, ...] = ()
    lost_weights: bool = False


class WholeReader(ABC):
    """How an encoder reads texts whole: their tokens, of which the first `longest` count. It may weigh them."""

    longest = 512
    weighs = False

    @abstractmethod
    def read(self, text: str, emphasis: Emphasis = "Original") -> WholeText:
        """`text` as it is encoded. With the emphasis "None" everything in it is text."""


# By what a family says of its text encoder.
ReadsWhole = Literal["message", "text"]
