"""Pictures as Pillow knows them: opening within limits, masks, cropping, enlarging, grids, and everybody's metadata."""

from modules.pictures.encode import encode_animation, encode_picture, shareable_copy
from modules.pictures.grids import grid_shape, image_grid
from modules.pictures.metadata import ImageMetadata, read_metadata
from modules.pictures.opening import PictureError

__all__ = [
    "ImageMetadata",
    "PictureError",
    "encode_animation",
    "encode_picture",
    "grid_shape",
    "image_grid",
    "read_metadata",
    "shareable_copy",
]
