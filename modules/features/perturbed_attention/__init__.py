"""Perturbed-attention guidance: away from what the middle block makes without attention."""
