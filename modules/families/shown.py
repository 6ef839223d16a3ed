"""What a UNet is shown beside the noisy latent, known by how many channels it takes."""

from typing import Final

INPAINTING: Final = 9
"""A mask and the latent of the picture behind it."""
EDITING: Final = 8
"""The latent of a picture to edit (instruct-pix2pix, CosXL Edit)."""
DEPTH: Final = 5
"""How near everything in a picture is."""
