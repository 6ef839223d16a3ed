"""Preprocessors of other programs that can't be used here."""
