"""Pictures on disk: their names, atomic saving, copies that somebody saved, and thumbnails for the page."""

from modules.gallery.gallery import ANIMATION, DETECTED_MAP, GRID_KINDS, INIT_PICTURE, Gallery
from modules.gallery.name_facts import NameFacts, name_facts
from modules.gallery.naming import apply_pattern
from modules.gallery.sanitizing import sanitize
from modules.gallery.saved_copies import SavedCopies
from modules.gallery.thumbnails import Thumbnails

__all__ = [
    "ANIMATION",
    "DETECTED_MAP",
    "GRID_KINDS",
    "INIT_PICTURE",
    "Gallery",
    "NameFacts",
    "SavedCopies",
    "Thumbnails",
    "apply_pattern",
    "name_facts",
    "sanitize",
]
