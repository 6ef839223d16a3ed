"""Hypernetworks of A1111 by the head of their files: which widths of text or picture they change."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.torch_layout import read_torch_layout

# The text that cross attention reads is so wide in one family only; the widths of pictures are several families'.
_BY_CONTEXT: Final = {768: "SD1", 1024: "SD2", 2048: "SDXL"}


def read_hypernetwork_widths(path: Path) -> tuple[int, ...]:
    """The widths of what a hypernetwork changes, without reading its numbers; none for a file of another kind.

    Raises:
        ModelFileError: the file is damaged or unsafe.
        OSError: it can't be read.
    """
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        return ()
    return hypernetwork_widths(read_torch_layout(path, container).content)


def hypernetwork_widths(content: object) -> tuple[int, ...]:
    """The keys under which the object of a hypernetwork file has its pairs of nets."""
    return tuple(key for key in content if _is_width(key)) if isinstance(content, dict) else ()


def hypernetwork_base(widths: Collection[int]) -> str:
    """The family that a hypernetwork for these widths is for ("SD1"); empty where they don't say."""
    found = {base for width, base in _BY_CONTEXT.items() if width in widths}
    return found.pop() if len(found) == 1 else ""


def _is_width(key: object) -> bool:
    return isinstance(key, int) and not isinstance(key, bool) and 0 < key < 1 << 16
