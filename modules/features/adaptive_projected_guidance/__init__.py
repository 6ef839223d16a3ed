"""Adaptive projected guidance: the part of guidance that oversaturates left out."""
