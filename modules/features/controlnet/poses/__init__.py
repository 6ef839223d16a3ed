"""Poses of persons and animals: `declare` reads and writes them, `drawing` draws them."""
