"""The settings of the gallery's index, as one typed group."""

from __future__ import annotations

from dataclasses import dataclass

from modules.settings.groups import option


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """`folders` are those beside the outputs; the trash is emptied by age and by size, 0 keeps everything."""

    is_on: bool = option("gallery_index")
    folders: tuple[str, ...] = option("gallery_folders")
    thumbnails: int = option("gallery_thumbnails")
    rating_in_file: bool = option("gallery_rating_in_file")
    trash_days: int = option("gallery_trash_days")
    trash_megabytes: int = option("gallery_trash_megabytes")
