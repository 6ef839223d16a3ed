"""FreeU: the decoder's own features stronger, those of its skips weaker."""
