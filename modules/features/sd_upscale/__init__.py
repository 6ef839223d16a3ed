"""SD upscale: enlarged, and gone over tile by tile."""
