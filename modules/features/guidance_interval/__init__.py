"""Guidance in a part of the steps only."""
