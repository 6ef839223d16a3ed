"""The web UI: each folder here is a room with one job (docs/architecture.md shows how they stand)."""
