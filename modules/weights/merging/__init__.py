"""Checkpoints merged into new files, and LoRAs extracted from their differences, tensor by tensor."""
