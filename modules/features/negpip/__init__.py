"""NegPiP: words of negative weight push away within cross attention."""
