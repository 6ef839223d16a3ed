"""Tests of features: scripts, units, and the hooks that they work through."""
