"""The X/Y/Z plot: a picture for every combination of values."""
