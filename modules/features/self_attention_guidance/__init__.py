"""Self-attention guidance: away from what blurring the attended parts makes."""
