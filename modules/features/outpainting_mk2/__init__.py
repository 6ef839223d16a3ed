"""Outpainting mk2 as A1111 has it."""
