"""Text encoders: what a prompt plan says becomes the conditioning that the denoiser is given."""
