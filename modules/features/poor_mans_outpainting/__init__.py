"""Poor man's outpainting as A1111 has it."""
