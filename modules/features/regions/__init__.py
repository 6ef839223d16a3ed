"""Prompts for parts of a picture: where each one guides, and how."""
