"""The size of a picture."""

# Width and height in pixels.
Size = tuple[int, int]
