"""The index of every picture there is: found by words and fields, marked, and thrown away with a way back."""
