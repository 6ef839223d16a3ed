"""Train the embedded demo checkpoint from an emoji font, from nothing to one SD1-layout file."""
