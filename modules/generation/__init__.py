"""The passes: prompt to conditioning, noise to latents, latents to pictures."""
