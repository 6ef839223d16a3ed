"""Perp-Neg: parts of negative weight take away only what the prompt does not want itself."""
