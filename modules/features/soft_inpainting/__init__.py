"""Soft inpainting: a mask of many greys."""
