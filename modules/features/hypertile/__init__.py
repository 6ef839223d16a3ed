"""HyperTile: self-attention within tiles."""
