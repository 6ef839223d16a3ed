"""Latent Couple: parts of a prompt joined with AND, each weighed by a rectangle of the picture."""
