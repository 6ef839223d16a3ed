"""The extra networks that prompts name: their files, and what is said about those that are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from modules.catalogue import Catalogue
from modules.catalogue.networks import NetworkList
from modules.parameters import ResolvedRequest
from modules.prompt import (
    NETWORK_KINDS,
    NETWORK_LABELS,
    NetworkKind,
    NetworkTag,
    extract_networks,
    network_uses,
    parse_presets,
)
from modules.protocol import NetworkFile
from modules.settings import OptionStore

_MOST_NAMED: Final = 20

# The networks of a kind that are here.
Listed = Callable[[NetworkKind], NetworkList]


def files_of(catalogue: Catalogue, resolved: ResolvedRequest) -> dict[NetworkKind, dict[str, NetworkFile]]:
    """The files of the networks that a job's prompts name, by kind and name; those that are not here are left out."""
    found: dict[NetworkKind, dict[str, NetworkFile]] = {}
    if resolved.request.disable_extra_networks:
        return found
    tags = [tag for prompt in dict.fromkeys(_prompts(resolved)) for tag in extract_networks(prompt)[1]]
    uses, _ = network_uses(tags, parse_presets(resolved.settings.networks.block_presets))
    lists = {kind: catalogue.networks(kind) for kind in {use.kind for use in uses}}
    for kind, name in dict.fromkeys((use.kind, use.name) for use in uses):
        if (file := lists[kind].find(name)) is not None:
            sha256 = catalogue.network_hashes.get(file.path, file.state)
            found.setdefault(kind, {})[name] = NetworkFile(path=str(file.path), sha256=sha256)
    return found


def _prompts(resolved: ResolvedRequest) -> Iterator[str]:
    """Every prompt of a job that can name networks. Negative prompts can't, as in A1111."""
    yield from (resolved.request.prompt, resolved.request.hr_prompt)
    for variant in resolved.differing:
        yield from (str(variant.fields[name]) for name in ("prompt", "hr_prompt") if name in variant.fields)


def tag_notices(prompts: Iterable[str], listed: Listed, presets: Iterable[str] = ()) -> tuple[str, ...]:
    """A sentence for each network that these prompts name in vain; `presets` are lines of block weights."""
    tags = list(dict.fromkeys(tag for prompt in prompts for tag in extract_networks(prompt)[1]))
    _, sentences = network_uses(tags, parse_presets(presets))
    named = dict.fromkeys((tag.kind, tag.name) for tag in tags if tag.name)
    # Folders are read for each list: once for each kind is enough.
    lists = {kind: listed(kind) for kind in {NETWORK_KINDS[word] for word, _ in named if word in NETWORK_KINDS}}
    missing = [sentence for word, name in named if (sentence := _missing(word, name, lists))]
    notices = dict.fromkeys((*sentences, *missing))
    more = len(notices) - _MOST_NAMED
    shown = tuple(notices)[:_MOST_NAMED]
    return shown if more <= 0 else (*shown, f"The same holds for {more} networks more that the prompt names.")


def names_missing(notice: str) -> bool:
    """Whether a notice says that a network is not here."""
    return any(notice.lower().startswith(f"{label.lower()} not found: ") for label in NETWORK_LABELS.values())


def _missing(word: str, name: str, lists: Mapping[NetworkKind, NetworkList]) -> str:
    """Why a network is not applied, empty if it is here."""
    kind, shown = NETWORK_KINDS.get(word), name[:80]
    if kind is None:
        return f"<{word[:40]}:{shown}> is no tag that is known here: it was taken off the prompt."
    if lists[kind].find(name) is not None:
        return ""
    what = NETWORK_LABELS[kind]
    return f"{what[0].upper()}{what[1:]} not found: {shown}. The picture is made without it."


def prefers_alias(options: OptionStore) -> bool:
    """Whether a LoRA goes into prompts by the name that it has for itself."""
    return options.text("lora_preferred_name") != "Filename"


def with_standing_networks(prompt: str, lora: str, hypernetwork: str, multiplier: float) -> str:
    """`prompt` with the networks that settings add to every prompt ("None" for none), unless it names them itself."""
    tags = extract_networks(prompt)[1]
    for kind, name in (("lora", lora), ("hypernet", hypernetwork)):
        if name not in ("", "None") and not any(_names(tag, kind, name) for tag in tags):
            prompt += f"<{kind}:{name}:{multiplier:g}>"
    return prompt


def _names(tag: NetworkTag, kind: str, name: str) -> bool:
    return NETWORK_KINDS.get(tag.kind) == kind and tag.name == name
