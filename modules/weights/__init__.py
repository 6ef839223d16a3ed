"""Files to modules: the family from tensor shapes, and a checkpoint's UNet, VAE and text encoder on their device."""
