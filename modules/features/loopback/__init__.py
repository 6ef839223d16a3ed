"""Loopback: each result is the next pass's start."""
