"""The img2img alternative test: the noise that would make a picture, and that picture changed."""
