"""Tests of modules/downloads/."""
