"""Features: scripts, units and whatever else is added to a picture, a folder each. See docs/features.md."""
