"""CFG-Zero*: guidance from the negative prompt's answer scaled to the prompt's, after a first step of nothing."""
