"""What is said about the tags of extra networks in a prompt: which are here, which are not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from modules.catalogue import Catalogue, ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.prompt.networks import NetworkTag, extract_networks

_log = logging.getLogger(__name__)

_LORA_KINDS: Final = ("lora", "lyco")

# The names under which networks of a kind ("lora", "hypernet") are here.
NetworkNames = Callable[[str], frozenset[str]]


def names_in(catalogue: Catalogue) -> NetworkNames:
    """Names by kind, from the folders as they are when asked: file stems, and what LoRAs call themselves."""

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
    """A sentence for each network that these prompts name. None is applied yet, so each is told."""
    tags = [tag for prompt in prompts for tag in extract_networks(prompt)[1]]
    return tuple(dict.fromkeys(_sentence(tag, names) for tag in tags))


def _sentence(tag: NetworkTag, names: NetworkNames) -> str:
    what = {"lora": "LoRA", "lyco": "LoRA", "hypernet": "hypernetwork"}.get(tag.kind)
    name = tag.name[:80]
    if what is None:
        return f"<{tag.kind[:40]}:{name}> is no tag that is known here: it was taken off the prompt."
    if tag.name not in names(tag.kind):
        return f"{what[0].upper()}{what[1:]} not found: {name}. The picture is made without it."
    return f"The {what} {name} is here, but it is not applied yet: the picture is made without it."
