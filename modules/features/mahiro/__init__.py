"""Mahiro: guidance that leans towards the prompt where it pulls elsewhere."""
