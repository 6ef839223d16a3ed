"""CADS: conditions that are noisy at first, for more variety."""
