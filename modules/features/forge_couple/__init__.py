"""Forge Couple: a line of the prompt for each part of the picture."""
