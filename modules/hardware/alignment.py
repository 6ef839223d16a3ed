"""Places in a buffer that hold several tensors: each begins at a multiple of what its reader likes."""


def aligned(size: int, alignment: int) -> int:
    """The next multiple of `alignment` that is not below `size`, both in bytes."""
    return -(-size // alignment) * alignment
