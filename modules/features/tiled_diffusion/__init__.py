"""Tiled Diffusion: each step is made of overlapping tiles of the latent."""
