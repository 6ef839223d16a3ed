"""Deep shrink: large pictures laid out at the size that the model knows."""
