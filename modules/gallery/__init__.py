"""Pictures on disk: their names, atomic saving, grids, the metadata inside them, and small copies for the page."""

from modules.gallery.encode import encode_animation, encode_picture, shareable_copy
from modules.gallery.gallery import ANIMATION, GRID_KINDS, INIT_PICTURE, Gallery
from modules.gallery.grids import grid_shape, image_grid
from modules.gallery.kept import KeptPictures
from modules.gallery.metadata import ImageMetadata, PictureError, read_metadata
from modules.gallery.name_facts import NameFacts, name_facts
from modules.gallery.naming import apply_pattern
from modules.gallery.sanitizing import sanitize
from modules.gallery.thumbnails import Thumbnails
from modules.settings.atomic import SaveError, remove_stale_temporaries, write_atomic

__all__ = [
    "ANIMATION",
    "GRID_KINDS",
    "INIT_PICTURE",
    "Gallery",
    "ImageMetadata",
    "KeptPictures",
    "NameFacts",
    "PictureError",
    "SaveError",
    "Thumbnails",
    "apply_pattern",
    "encode_animation",
    "encode_picture",
    "grid_shape",
    "image_grid",
    "name_facts",
    "read_metadata",
    "remove_stale_temporaries",
    "sanitize",
    "shareable_copy",
    "write_atomic",
]
