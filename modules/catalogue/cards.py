"""Cards of models: what the page shows of each textual inversion, hypernetwork, checkpoint and LoRA.

Folders are listed when they are first wanted and on `refresh`. What is inside of files is read by a thread of its own
and cached, so that whoever wants a list gets it at once, with what is known by then.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modules.catalogue.card_cache import FactsCache
from modules.catalogue.card_facts import NOTHING_KNOWN, CardFacts, read_card_facts
from modules.catalogue.card_files import (
    CARD_KINDS,
    CardFiles,
    CardKind,
    card_folders,
    folders_of,
    is_hidden,
    list_card_files,
)
from modules.catalogue.embedding_files import is_embedding_picture, that_prompts_can_name
from modules.catalogue.folders import ModelFolders
from modules.files import is_one_of

# A folder of usual size is read in this time, so that its first list is complete.
_PATIENCE: Final = 0.2
_SAVED_EVERY: Final = 15.0


@dataclass(frozen=True, slots=True)
class Card:
    """A model as the page shows it. `place` is its rank by path; `searchable` and `order` are in small letters."""

    kind: CardKind
    files: CardFiles
    facts: CardFacts
    place: int
    searchable: str = field(repr=False)
    order: str = field(repr=False)
    hidden: bool

    @property
    def name(self) -> str:
        """The path of its file from the model folder: unique among cards of a kind."""
        return self.files.model.name

    @property
    def stem(self) -> str:
        return self.files.stem

    @property
    def alias(self) -> str:
        """The name that a LoRA has for itself, or a textual inversion in a picture; else its stem."""
        return self.facts.alias or self.stem

    @property
    def title(self) -> str:
        """What it is called: as prompts mean it where they know it by one name alone, else its stem."""
        return self.alias if self.kind == "textual inversion" else self.stem


@dataclass(frozen=True, slots=True)
class CardList:
    """All cards of a kind by path. `unread` are those whose files are still being read.

    `ambiguous` are names, in small letters, that mean more than one LoRA, or none at all. `folders` are those that
    cards lie in, with those above them.
    """

    cards: Sequence[Card]
    unread: int
    ambiguous: frozenset[str]
    folders: Sequence[str]

    def prompt_name(self, card: Card, *, prefer_alias: bool) -> str:
        """The name by which a prompt means this card: its alias, unless that could mean another one."""
        return card.alias if prefer_alias and card.alias.lower() not in self.ambiguous else card.title


class Cards:
    """The cards of an installation. All methods may be called from any thread; none waits for the reading of files."""

    def __init__(
        self, folders: ModelFolders, cache_file: Path, lists_hidden: Callable[[], bool] = lambda: True
    ) -> None:
        """`lists_hidden` says whether files in folders whose name begins with a dot are listed."""
        self._folders = folders
        self._lists_hidden = lists_hidden
        self._cache = FactsCache(cache_file)
        self._lock = threading.Lock()
        self._cards: dict[CardKind, dict[str, Card]] = {}
        self._unread: dict[tuple[CardKind, str], CardFiles] = {}
        self._idle = threading.Event()
        self._idle.set()
        self._reader: threading.Thread | None = None
        self._closed = False
        self._lists: dict[CardKind, CardList] = {}
        self._visited: dict[CardKind, dict[Path, int]] = {}

    def start(self) -> None:
        """List and read everything in the background, so that nobody waits for it later."""
        threading.Thread(target=lambda: [self.of(kind) for kind in CARD_KINDS], name="cards", daemon=True).start()

    def of(self, kind: CardKind, *, newest: bool = False) -> CardList:
        """The cards of a kind, as they were listed last; the `newest`, if files have come into folders or gone since.

        Sidecars that were changed where they lie are seen at the next `refresh`.
        """
        if kind not in self._cards or (newest and self._folders_changed(kind)):
            self.refresh(kind)
        while True:
            with self._lock:
                if kind in self._cards and kind not in self._lists:
                    self._lists[kind] = self._listed(kind)
                if kind in self._lists:
                    return self._lists[kind]
            # Somebody wanted all folders listed anew in between.
            self.refresh(kind)

    def find(self, kind: CardKind, name: str) -> Card | None:
        """The card of that path, or of that title."""
        cards = self.of(kind).cards
        exact = next((card for card in cards if card.name == name), None)
        return exact or next((card for card in cards if is_one_of(name, (card.name, card.title))), None)

    def is_preview(self, path: Path) -> bool:
        """Whether a picture is the preview of a card: no other file may be shown by its path."""
        # One that has just been put there is looked for once more, where folders have changed.
        return any(
            card.files.preview is not None and card.files.preview.path == path
            for newest in (False, True)
            for kind in CARD_KINDS
            for card in self.of(kind, newest=newest).cards
        )

    def refresh(self, kind: CardKind) -> None:
        """Look at a kind's folders again; files that are new or have changed are read in the background."""
        visited = {folder: _changed_at(folder) for folder in card_folders(self._folders, kind)}
        listed = list_card_files(self._folders, kind, hidden=self._lists_hidden(), visited=visited)
        known = [(files, self._cache.get(files)) for files in listed]
        with self._lock:
            self._cards[kind] = {
                files.model.name: _card(kind, files, facts or NOTHING_KNOWN, place)
                for place, (files, facts) in enumerate(known)
            }
            self._unread = {key: files for key, files in self._unread.items() if key[0] != kind}
            self._unread |= {(kind, files.model.name): files for files, facts in known if facts is None}
            self._lists.pop(kind, None)
            self._visited[kind] = visited
            self._start_reading()
        self._idle.wait(_PATIENCE)

    def forget(self) -> None:
        """Have all folders listed anew when they are wanted next."""
        with self._lock:
            self._cards.clear()
            self._lists.clear()

    def folder(self, kind: CardKind) -> Path:
        """Where new files of a kind go."""
        return card_folders(self._folders, kind)[0]

    def wait(self, seconds: float) -> bool:
        """Wait until all files are read; False if that takes longer."""
        return self._idle.wait(seconds)

    def close(self) -> None:
        """End the reading within one file."""
        with self._lock:
            self._closed, reader = True, self._reader
        if reader is not None:
            reader.join()

    def _folders_changed(self, kind: CardKind) -> bool:
        return any(_changed_at(folder) != before for folder, before in self._visited.get(kind, {}).items())

    def _listed(self, kind: CardKind) -> CardList:
        cards = tuple(self._cards[kind].values())
        unread = sum(1 for card in cards if card.facts is NOTHING_KNOWN)
        if kind == "textual inversion":
            cards = _embeddings(cards)
        names = Counter(name for card in cards for name in {card.alias.lower(), card.stem.lower()})
        ambiguous = frozenset(name for name, count in names.items() if count > 1) | {"none"}
        return CardList(cards, unread, ambiguous, folders_of([card.name for card in cards]))

    def _start_reading(self) -> None:
        if not self._unread:
            return
        self._idle.clear()
        if self._reader is None:
            self._reader = threading.Thread(target=self._read_all, name="cards", daemon=True)
            self._reader.start()

    def _read_all(self) -> None:
        try:
            saved = time.monotonic()
            while self._has_more():
                while (following := self._following()) is not None:
                    kind, files = following
                    facts = read_card_facts(kind, files)
                    self._cache.put(files, facts)
                    self._learn(kind, files, facts)
                    if time.monotonic() - saved > _SAVED_EVERY:
                        # A large folder takes minutes: what is known by then is not read again after a crash.
                        self._cache.save()
                        saved = time.monotonic()
                self._cache.save()
        finally:
            with self._lock:
                if self._reader is threading.current_thread():
                    self._reader = None
                    self._idle.set()

    def _has_more(self) -> bool:
        with self._lock:
            if self._unread and not self._closed:
                return True
            self._reader = None
            return False

    def _following(self) -> tuple[CardKind, CardFiles] | None:
        with self._lock:
            if self._closed or not self._unread:
                self._idle.set()
                return None
            key = next(iter(self._unread))
            return key[0], self._unread.pop(key)

    def _learn(self, kind: CardKind, files: CardFiles, facts: CardFacts) -> None:
        with self._lock:
            card = self._cards.get(kind, {}).get(files.model.name)
            if card is not None and card.files is files:
                self._cards[kind][files.model.name] = _card(kind, files, facts, card.place)
                self._lists.pop(kind, None)


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _embeddings(cards: Iterable[Card]) -> tuple[Card, ...]:
    """The cards that prompts can name. A picture is one once it is known to hold vectors."""
    known = (
        card
        for card in cards
        if not card.facts.just_picture and (card.facts is not NOTHING_KNOWN or not is_embedding_picture(card.name))
    )
    return tuple(that_prompts_can_name(known, lambda card: card.title, lambda card: not card.facts.unreadable))


def _card(kind: CardKind, files: CardFiles, facts: CardFacts, place: int) -> Card:
    texts = (f"{_FOLDER_NAMES[kind]}/{files.model.name}", facts.alias, facts.description, facts.activation, facts.words)
    searchable = "\n".join(texts).lower()
    order = facts.alias if kind == "textual inversion" and facts.alias else files.stem
    return Card(kind, files, facts, place, searchable, order.lower(), is_hidden(files.model.name))


_FOLDER_NAMES: Final[Mapping[CardKind, str]] = {
    "textual inversion": "embeddings",
    "hypernetworks": "hypernetworks",
    "checkpoints": "Stable-diffusion",
    "lora": "Lora",
}
