"""The maker of each script by its title."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from modules.generation.scripts.alternative_test import alternative_test
from modules.generation.scripts.loopback import loopback, loopback_grid, loops
from modules.generation.scripts.outpaint import outpaint
from modules.generation.scripts.outpainting_mk2 import outpainting_mk2
from modules.generation.scripts.poor_mans_outpainting import poor_mans_outpainting
from modules.generation.scripts.prompt_matrix import matrix_grid
from modules.generation.scripts.sd_upscale import sd_upscale
from modules.generation.scripts.sequences import animation, between_pictures
from modules.generation.scripts.stage import Maker, job_grid, plainly
from modules.generation.scripts.xyz import xyz_grids
from modules.parameters.scripts.arguments import InterpolatePicturesArguments, InterpolatePromptsArguments

MAKERS: Final[Mapping[str, Maker]] = {
    "img2img alternative test": Maker(alternative_test, finale=job_grid),
    "Interpolate pictures": Maker(between_pictures, finale=partial(animation, InterpolatePicturesArguments)),
    "Interpolate prompts": Maker(plainly, finale=partial(animation, InterpolatePromptsArguments)),
    "Loopback": Maker(loopback, together=loops, finale=loopback_grid),
    "Outpaint": Maker(outpaint, finale=job_grid),
    "Outpainting mk2": Maker(outpainting_mk2, finale=job_grid),
    "Poor man's outpainting": Maker(poor_mans_outpainting),
    "Prompt matrix": Maker(plainly, finale=matrix_grid),
    "Prompts from file or textbox": Maker(plainly),
    "SD upscale": Maker(sd_upscale),
    "X/Y/Z plot": Maker(plainly, finale=xyz_grids),
}
