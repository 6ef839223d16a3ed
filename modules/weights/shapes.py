"""The shapes of a file's tensors."""

from collections.abc import Mapping

# The shape of each tensor, by its name in the file.
Shapes = Mapping[str, tuple[int, ...]]
