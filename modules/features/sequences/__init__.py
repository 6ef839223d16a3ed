"""Interpolation between prompts and between pictures."""
