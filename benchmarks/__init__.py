"""Measurements, each a ratio taken side by side in one run. docs/performance.md holds the tables."""
