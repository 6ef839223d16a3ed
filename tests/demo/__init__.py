"""What the shipped demo checkpoint draws: the pictures themselves are looked at."""
