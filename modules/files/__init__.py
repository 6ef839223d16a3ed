"""Files for every room: writing all of a file or nothing, text in any encoding, comparing names, walking folders."""

from modules.files.atomic import (
    SaveError,
    copy_unless_taken,
    move_to_own_name,
    move_unless_taken,
    remove_stale_temporaries,
    save_error,
    temporary_of,
    write_atomic,
    write_atomic_with,
    write_text_atomic,
)
from modules.files.decoding import decoded, is_plain
from modules.files.names import comparable, is_one_of
from modules.files.walk import FileState, FoundFile, found_file, is_text, natural_key, walk_folders

__all__ = [
    "FileState",
    "FoundFile",
    "SaveError",
    "comparable",
    "copy_unless_taken",
    "decoded",
    "found_file",
    "is_one_of",
    "is_plain",
    "is_text",
    "move_to_own_name",
    "move_unless_taken",
    "natural_key",
    "remove_stale_temporaries",
    "save_error",
    "temporary_of",
    "walk_folders",
    "write_atomic",
    "write_atomic_with",
    "write_text_atomic",
]
