"""Normalized attention guidance: away from the negative prompt within cross attention."""
