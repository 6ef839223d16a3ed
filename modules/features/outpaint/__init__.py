"""Outpaint: a picture grown window by window."""
