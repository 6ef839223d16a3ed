"""Regions before a job is queued: what they are, and what is wrong with them."""
