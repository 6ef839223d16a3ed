"""Extra-network tags: `<lora:name:0.8>` and its kin, taken off a prompt."""

import re
from dataclasses import dataclass

_TAG = re.compile(r"<(\w++):([^>]+)>")


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
