"""Pixel upscalers and face restorers: a file becomes a model, and a picture larger, tile by tile."""
