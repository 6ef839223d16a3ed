"""Prompts from a file or a textbox, one a line."""
