"""Guided estimates brought back to the spread of the prompt's own."""
