"""Ultimate SD upscale: enlarged, redrawn tile by tile, and the seams between the tiles redrawn after that."""
