"""Smoothed-energy guidance: away from what blurred queries make."""
