"""What is said about the tags of extra networks in a prompt: which are here, which are not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from modules.catalogue import Catalogue, ModelFileError
from modules.catalogue.names import is_one_of
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.prompt.networks import extract_networks

_log = logging.getLogger(__name__)

_LORA_KINDS: Final = ("lora", "lyco")
_WORDS: Final = {"lora": "LoRA", "lyco": "LoRA", "hypernet": "hypernetwork"}
_MOST_NAMED: Final = 20

# The names under which networks of a kind ("lora", "hypernet") are here.
NetworkNames = Callable[[str], frozenset[str]]


def names_in(catalogue: Catalogue) -> NetworkNames:
    """Names by kind, from the folders as they are at the call: file stems, and what LoRAs call themselves."""

    def names(kind: str) -> frozenset[str]:
        if kind in _LORA_KINDS:
            return frozenset(_lora_names(catalogue))
        return frozenset(file.stem for file in catalogue.hypernetworks()) if kind == "hypernet" else frozenset()

    return names


def _lora_names(catalogue: Catalogue) -> Iterator[str]:
    for file in catalogue.loras():
        yield file.stem
        try:
            alias = read_safetensors_metadata(file.path).get("ss_output_name")
        except (ModelFileError, OSError) as error:
            _log.info("%s", error)
        else:
            if alias:
                yield alias


def tag_notices(prompts: Iterable[str], names: NetworkNames) -> tuple[str, ...]:
    """A sentence for each network that these prompts name. None is applied yet, so each gets one."""
    tags = [tag for prompt in prompts for tag in extract_networks(prompt)[1]]
    named = list(dict.fromkeys((tag.kind, tag.name) for tag in tags))
    # Asking for names looks at folders: once for each kind is enough.
    here = {kind: names(kind) for kind in {kind for kind, _ in named} if kind in _WORDS}
    sentences = tuple(dict.fromkeys(_sentence(kind, name, here) for kind, name in named[:_MOST_NAMED]))
    more = len(named) - _MOST_NAMED
    return (
        sentences if more <= 0 else (*sentences, f"The prompt names {more} networks more; none of them is applied yet.")
    )


def _sentence(kind: str, name: str, here: Mapping[str, frozenset[str]]) -> str:
    what, shown = _WORDS.get(kind), name[:80]
    if what is None:
        return f"<{kind[:40]}:{shown}> is no tag that is known here: it was taken off the prompt."
    if not is_one_of(name, here[kind]):
        return f"{what[0].upper()}{what[1:]} not found: {shown}. The picture is made without it."
    return f"The {what} {shown} is here, but it is not applied yet: the picture is made without it."
