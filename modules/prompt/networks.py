"""Extra-network tags: `<lora:name:0.8>` and its kin, taken off a prompt, and what they mean."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from modules.prompt.block_weights import BlockWeights, Presets, parse_block_weights

_TAG = re.compile(r"<(\w++):([^>]+)>")

NetworkKind = Literal["lora", "hypernet"]
# Which kind a tag's first word names.
NETWORK_KINDS: Final[dict[str, NetworkKind]] = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}
_NO_PRESETS: Final[Presets] = {}
# Beyond this a multiplier times what a file holds may be infinite as float32.
_LARGEST_MULTIPLIER: Final = 1e6
# What a person calls one.
NETWORK_LABELS: Final[dict[NetworkKind, str]] = {"lora": "LoRA", "hypernet": "hypernetwork"}


@dataclass(frozen=True, slots=True)
class NetworkTag:
    """One tag `<kind:name:positional...:key=value...>`; `positional` are the arguments after the name, as written.

    What the arguments mean is the affair of the kind: for `lora` and `lyco` they are the text encoder's multiplier, the
    UNet's and the dynamic dimension, or `te=`, `unet=`, `dyn=`; for `hypernet` the multiplier.
    """

    kind: str
    name: str
    positional: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()

    def get(self, key: str) -> str | None:
        """The value of the last argument `key=value`, None without one."""
        return dict(self.named).get(key)


def extract_networks(text: str) -> tuple[str, list[NetworkTag]]:
    """The text without its tags (the spaces round them stay), and the tags in order. Any word is a kind; never raises.

    A tag needs a closing `>` and something between `:` and it; otherwise it is text.
    """
    end = text.rfind(">") + 1
    # Behind the last ">" no tag can close: not looking there keeps a text of a million "<lora:" linear.
    head, tail = text[:end], text[end:]
    tags = [_read(match) for match in _TAG.finditer(head)]
    return (_TAG.sub("", head) + tail, tags) if tags else (text, [])


def can_be_named(name: str) -> bool:
    """Whether a tag can hold this name: not with a colon or `>` in it, nor where it reads as `key=value`."""
    return extract_networks(f"<lora:{name}:1>") == ("", [NetworkTag("lora", name, ("1",))])


def _read(match: re.Match[str]) -> NetworkTag:
    positional: list[str] = []
    named: list[tuple[str, str]] = []
    for argument in match.group(2).split(":"):
        key, *values = argument.split("=")
        if len(values) == 1:
            named.append((key, values[0]))
        else:
            positional.append(argument)
    name = positional[0] if positional else ""
    return NetworkTag(match.group(1), name, tuple(positional[1:]), tuple(named))


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """A network that a prompt applies, and with which multipliers.

    `text` multiplies what a LoRA changes in text encoders, `unet` what it changes in the UNet; a hypernetwork has only
    `unet`. `dyn` cuts a LoRA down to so many of its ranks, None to all of them. `blocks` multiply it in single blocks,
    all alike if there are none. In the UNet it acts from step `first` to step `last`, counted from 1.
    """

    kind: NetworkKind
    name: str
    text: float = 1.0
    unet: float = 1.0
    dyn: int | None = None
    blocks: BlockWeights = ()
    first: int = 1
    last: int | None = None

    @property
    def has_steps(self) -> bool:
        """Whether it does not act at all steps."""
        return (self.first, self.last) != (1, None)

    def acts_at(self, step: int) -> bool:
        """Whether it acts in the UNet at this step, counted from 1."""
        return self.first <= step and (self.last is None or step <= self.last)


def network_use(tag: NetworkTag, presets: Presets = _NO_PRESETS) -> NetworkUse | None:
    """What a tag means; None for a word that names no kind. `presets` are own block weights by name.

    As in A1111: `te=` is the default of `unet`, as the first number is of the second, and named arguments go before
    positional ones.

    Raises:
        ValueError: the name is missing, or an argument is no number; one sentence.
    """
    kind = NETWORK_KINDS.get(tag.kind)
    if kind is None:
        return None
    if not tag.name:
        raise ValueError(f"A <{tag.kind}:…> in the prompt names no network: it is left out.")
    first, second, third = (_written(tag, *at) for at in (("te", 0), ("unet", 1), ("dyn", 2)))
    text = 1.0 if first is None else _number(tag, first)
    if kind == "hypernet":
        return NetworkUse(kind, tag.name, unet=text)
    unet = text if second is None else _number(tag, second)
    dyn = None if third is None else _whole(tag, third)
    return NetworkUse(kind, tag.name, text, unet, dyn, _block_weights(tag, presets), *_steps(tag))


def network_uses(
    tags: Iterable[NetworkTag], presets: Presets = _NO_PRESETS
) -> tuple[tuple[NetworkUse, ...], tuple[str, ...]]:
    """What the tags of a prompt apply, in their order, and a sentence for each that can't be understood."""
    uses: list[NetworkUse] = []
    sentences: dict[str, None] = {}
    for tag in tags:
        try:
            use = network_use(tag, presets)
        except ValueError as error:
            sentences[str(error)] = None
        else:
            uses += [] if use is None else [use]
    return tuple(uses), tuple(sentences)


def _written(tag: NetworkTag, key: str, position: int) -> str | None:
    """What stands under `key`, or else at `position` behind the name."""
    named = tag.get(key)
    return named if named is not None or position >= len(tag.positional) else tag.positional[position]


def _number(tag: NetworkTag, written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _refused(tag, written, "a number")
    if abs(number) > _LARGEST_MULTIPLIER:
        raise _refused(tag, written, f"a number of at most {_LARGEST_MULTIPLIER:.0f}")
    return number


def _block_weights(tag: NetworkTag, presets: Presets) -> BlockWeights:
    written = tag.get("lbw")
    if written is None:
        return ()
    try:
        return parse_block_weights(written, presets)
    except ValueError as error:
        raise ValueError(f"<{tag.kind}:{tag.name[:80]}>: {error}: the network is left out.") from None


def _steps(tag: NetworkTag) -> tuple[int, int | None]:
    """The first and the last step of `step=5-10`, or of `start=` and `stop=`."""
    both = tag.get("step")
    if both is not None:
        first, dash, last = both.partition("-")
        return _whole(tag, first), _whole(tag, last if dash else first)
    start, stop = tag.get("start"), tag.get("stop")
    return 1 if start is None else _whole(tag, start), None if stop is None else _whole(tag, stop)


def _whole(tag: NetworkTag, written: str) -> int:
    try:
        number = int(written)
    except ValueError:
        number = -1
    if number < 0:
        raise _refused(tag, written, "a whole number")
    return number


def _refused(tag: NetworkTag, written: str, wanted: str) -> ValueError:
    return ValueError(
        f"<{tag.kind}:{tag.name[:80]}> has {written[:40]!r} where {wanted} is needed: the network is left out."
    )
