"""Which cards a person wants to see, and in which order."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from modules.catalogue.card_files import is_hidden
from modules.catalogue.cards import Card

SortField = Literal["path", "name", "created", "modified"]
HiddenCards = Literal["Always", "When searched", "Never"]
# A search of at least so many characters finds cards of hidden folders too ("When searched").
_SEARCHED_FROM: Final = 4

_SORTS: Final[Mapping[SortField, Callable[[Card], Any]]] = {
    "path": lambda card: card.place,
    "name": lambda card: (card.order, card.place),
    "created": lambda card: (card.files.model.created, card.place),
    "modified": lambda card: (card.files.model.state.mtime_ns, card.place),
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


def select_cards(cards: Iterable[Card], query: CardQuery) -> list[Card]:
    """The cards that the query means, sorted."""
    words = query.search.lower().replace("\\", "/").split()
    searched = len(query.search.strip()) >= _SEARCHED_FROM or is_hidden(query.folder)
    shows_hidden = query.hidden == "Always" or (query.hidden == "When searched" and searched)
    found = [
        card
        for card in cards
        if all(word in card.searchable for word in words)
        and card.name.startswith(query.folder)
        and (shows_hidden or not card.hidden)
        and fits(card, query.base, unknown=query.unknown_fits)
    ]
    return sorted(found, key=_SORTS[query.sort], reverse=query.descending)


def fits(card: Card, base: str, *, unknown: bool) -> bool:
    """Whether a card is for models of the family `base` ("SD1"); with an empty `base`, any is."""
    return not base or (card.facts.base == base if card.facts.base else unknown)
