"""What lies on disk: checkpoints, VAEs, networks and upscalers, with their titles, headers, metadata and hashes."""
