"""Which cards a person wants to see, and in which order."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal

from modules.catalogue.card_files import is_hidden
from modules.catalogue.cards import Card

SortField = Literal["path", "name", "created", "modified"]
HiddenCards = Literal["Always", "When searched", "Never"]
# A search of at least so many characters finds cards of hidden folders too ("When searched").
_SEARCHED_FROM: Final = 4

# Part of a hash: AutoV1 has 8 digits, AutoV2 10, AutoV3 12, a whole one 64.
_HASH = re.compile(r"[0-9a-f]{6,64}")

# Lists are sorted by path already, and sorting keeps that order among equals.
_SORTS: Final[Mapping[SortField, Callable[[Card], Any] | None]] = {
    "path": None,
    "name": attrgetter("order"),
    "created": attrgetter("files.model.created"),
    "modified": attrgetter("files.model.state.mtime_ns"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardQuery:
    """What is searched for: cards with all these words, in that folder ("a/b/") or below it.

    `base` is the family that they have to fit; with `unknown_fits` those of which nothing is known do.
    """

    search: str = ""
    folder: str = ""
    sort: SortField = "path"
    descending: bool = False
    base: str = ""
    unknown_fits: bool = True
    hidden: HiddenCards = "When searched"


def select_cards(
    cards: Iterable[Card], query: CardQuery, hashes_of: Callable[[Card], str] = lambda card: ""
) -> list[Card]:
    """The cards of a list that the query means, sorted. Each filter goes through the list only if it is wanted.

    `hashes_of` gives the hashes of a card's file that are known, in small letters: a word that looks like a part of one
    is looked for there too.
    """
    found = list(cards)
    searched = len(query.search.strip()) >= _SEARCHED_FROM or is_hidden(query.folder)
    if query.hidden == "Never" or (query.hidden == "When searched" and not searched):
        found = [card for card in found if not card.hidden]
    if query.folder:
        found = [card for card in found if card.name.startswith(query.folder)]
    if query.base:
        found = [card for card in found if fits(card, query.base, unknown=query.unknown_fits)]
    for word in query.search.lower().replace("\\", "/").split():
        by_hash = _HASH.fullmatch(word) is not None
        found = [card for card in found if word in card.searchable or (by_hash and word in hashes_of(card))]
    key = _SORTS[query.sort]
    if key is not None:
        return sorted(found, key=key, reverse=query.descending)
    return found[::-1] if query.descending else found


def fits(card: Card, base: str, *, unknown: bool) -> bool:
    """Whether a card is for models of the family `base` ("SD1"); with an empty `base`, any is."""
    return not base or (card.facts.base == base if card.facts.base else unknown)
