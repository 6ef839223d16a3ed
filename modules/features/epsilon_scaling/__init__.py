"""Epsilon scaling: a little less noise taken for granted."""
