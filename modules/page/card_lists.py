"""Cards as the page's scripts get them: one stretch of a list, searched and sorted as the person wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, cast
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from modules.catalogue.card_details import file_table, metadata_text, model_metadata, tag_frequency
from modules.catalogue.card_facts import trained_words
from modules.catalogue.card_files import CardKind, is_hidden
from modules.catalogue.card_query import CardQuery, HiddenCards, SortField, select_cards
from modules.catalogue.cards import Card, CardList
from modules.catalogue.networks import NetworkLabel
from modules.catalogue.user_metadata import TEXT_KEYS, SidecarError, read_json_sidecar, text_of, weight_of
from modules.intake.networks import prefers_alias
from modules.parameters.load_options import PREDICTION_CHOICES
from modules.prompt import can_be_named

if TYPE_CHECKING:
    from modules.jobs.services import Services

_LONGEST_NAME: Final = 1000
MOST_AT_ONCE: Final = 200
# The setting's words for what cards are sorted by.
_ORDERS: Final[Mapping[str, SortField]] = {
    "Path": "path",
    "Name": "name",
    "Date Created": "created",
    "Date Modified": "modified",
}
_OF_NETWORKS: Final[frozenset[CardKind]] = frozenset({"lora", "textual inversion", "hypernetworks"})


class WantedCards(BaseModel):
    """Which cards, from the query of an address. What is None is as the settings have it.

    `fitting` leaves out what is for another family than the loaded checkpoint; `newest` looks for files that have come.
    """

    kind: CardKind
    search: Annotated[str, Field(max_length=_LONGEST_NAME)] = ""
    folder: Annotated[str, Field(max_length=_LONGEST_NAME)] = ""
    sort: SortField | None = None
    descending: bool | None = None
    fitting: bool | None = None
    newest: bool = False
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 60


@dataclass(frozen=True, slots=True)
class _Words:
    """What the cards of a list have in common."""

    all: CardList
    titles: Mapping[str, str]
    prefers_alias: bool
    multiplier: float
    describes: bool


def card_page(services: Services, wanted: WantedCards) -> dict[str, Any]:
    """One stretch of the cards, how many there are, the folders, and the settings of the page by which they are drawn.

    `unread` says of how many cards the files are still being read: those may not be found by what is in them yet.
    """
    options = services.options
    kind, found = wanted.kind, services.cards.of(wanted.kind, newest=wanted.newest)
    base = _base(services) if kind in _OF_NETWORKS else ""
    fitting = not options.switch("lora_show_all") if wanted.fitting is None else wanted.fitting
    sort = wanted.sort or _ORDERS[options.text("extra_networks_card_order_field")]
    ascending = options.text("extra_networks_card_order") == "Ascending"
    descending = not ascending if wanted.descending is None else wanted.descending
    query = CardQuery(
        search=wanted.search,
        folder=wanted.folder,
        sort=sort,
        descending=descending,
        base=base if fitting else "",
        unknown_fits=kind != "lora" or base not in options.texts("lora_hide_unknown_for_versions"),
        hidden=cast(HiddenCards, options.text("extra_networks_hidden_models")),
    )
    selected = select_cards(found.cards, query, lambda card: _known_hashes(services, card))
    words = _words(services, found)
    shown = selected[wanted.offset : wanted.offset + wanted.limit]
    return {
        "total": len(selected),
        "all": len(found.cards),
        "unread": found.unread,
        "offset": wanted.offset,
        "base": base,
        "query": {"sort": sort, "descending": descending, "fitting": bool(fitting)},
        "folders": [
            folder
            for folder in found.folders
            if options.switch("extra_networks_show_hidden_directories") or not is_hidden(folder)
        ],
        "current": _current_title(services),
        "where": str(services.cards.folder(kind)),
        "cards": [_as_json(card, words) for card in shown],
        "look": _look(services),
    }


def _current_title(services: Services) -> str:
    checkpoint = services.current_checkpoint()
    return "" if checkpoint is None else checkpoint.title


def _base(services: Services) -> str:
    """The family of the checkpoint that the next job uses; empty where that isn't known."""
    checkpoint = services.current_checkpoint()
    architecture = None if checkpoint is None else services.catalogue.architecture(checkpoint)
    return "" if architecture is None else architecture.family.name


def _look(services: Services) -> dict[str, Any]:
    """The settings of how cards look; a width or height of 0 is the style sheet's."""
    options = services.options
    return {
        "width": options.whole("extra_networks_card_width"),
        "height": options.whole("extra_networks_card_height"),
        "scale": options.number("extra_networks_card_text_scale"),
        "tree": options.text("extra_networks_tree_view_style") == "Tree",
        "tree_width": options.whole("extra_networks_tree_view_default_width"),
        "separator": options.text("extra_networks_add_text_separator"),
    }


def _words(services: Services, found: CardList) -> _Words:
    options = services.options
    return _Words(
        all=found,
        titles={str(one.path): one.title for one in services.catalogue.checkpoints()},
        prefers_alias=prefers_alias(options),
        multiplier=options.number("extra_networks_default_multiplier"),
        describes=options.switch("extra_networks_card_show_desc"),
    )


def _as_json(card: Card, words: _Words) -> dict[str, Any]:
    path = str(card.files.model.path)
    return {
        "name": card.name,
        "title": card.title,
        "description": card.facts.description if words.describes else "",
        "prompt_name": _prompt_name(card, words),
        "names": list(dict.fromkeys((card.title, card.alias))),
        "weight": card.facts.weight or words.multiplier,
        "activation": card.facts.activation,
        "negative": card.facts.negative,
        "base": card.facts.base,
        "picture": picture_address(card),
        "metadata": card.facts.has_metadata,
        "problem": card.facts.problem,
        "path": path,
        "checkpoint": words.titles.get(path, ""),
    }


def _prompt_name(card: Card, words: _Words) -> str:
    """The name that a click inserts: the preferred one, unless a tag can't hold it."""
    prefers_alias = words.prefers_alias or not can_be_named(card.title)
    return words.all.prompt_name(card, prefer_alias=prefers_alias and can_be_named(card.alias))


def picture_address(card: Card) -> str:
    """Where the page finds the card's picture; another one whenever the picture has changed. Empty without one."""
    shown = card.files.preview or (card.files.model if card.facts.picture_inside else None)
    if shown is None:
        return ""
    return "cards/picture?" + urlencode({"kind": card.kind, "name": card.name, "state": shown.state.mtime_ns})


def card_details(services: Services, card: Card) -> dict[str, Any]:
    """What the editor and the metadata view of one card show, read from its files now."""
    metadata = model_metadata(card)
    problem = ""
    try:
        noted = read_json_sidecar(card.files.sidecar_path(".json"))
    except SidecarError as error:
        noted, problem = {}, str(error)
    of_checkpoint = card.kind == "checkpoints"
    vaes = ["Automatic", "None", *(vae.name for vae in services.catalogue.vaes())] if of_checkpoint else []
    return {
        "values": {key: text_of(noted, key) for key in TEXT_KEYS} | {"preferred weight": weight_of(noted)},
        "description": card.facts.description,
        "table": file_table(card, metadata, _known_hash(services, card, metadata)),
        "tags": tag_frequency(metadata),
        "words": trained_words(card.files),
        "metadata": metadata_text(metadata),
        "vaes": vaes,
        "predictions": ["Automatic", *PREDICTION_CHOICES] if of_checkpoint else [],
        "base": card.facts.base,
        "picture": picture_address(card),
        "problem": problem,
    }


def _known_hashes(services: Services, card: Card) -> str:
    """Of the whole file, and of a LoRA's tensors, as far as they have been worked out before."""
    model, catalogue = card.files.model, services.catalogue
    found = [catalogue.hashes.get(model.path, model.state)]
    if card.kind == "lora":
        found.append(catalogue.network_hashes.get(model.path, model.state))
    return " ".join(one for one in found if one)


def _known_hash(services: Services, card: Card, metadata: Mapping[str, str]) -> str:
    """As A1111 shows it, if it has been worked out before: nobody waits for that here."""
    model, catalogue = card.files.model, services.catalogue
    if card.kind == "lora":
        known = NetworkLabel.of(metadata).sha256 or catalogue.network_hashes.get(model.path, model.state)
        return (known or "")[:12]
    return (catalogue.hashes.get(model.path, model.state) or "")[:10]
