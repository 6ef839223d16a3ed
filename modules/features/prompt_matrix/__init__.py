"""The prompt matrix: every combination of a prompt's parts."""
