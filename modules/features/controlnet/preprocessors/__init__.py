"""Preprocessors: a picture becomes edges, depth, a pose; `declare` says which there are, `run` computes them."""
