"""The maker of each script by its title."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from modules.features.alternative_test.run import alternative_test
from modules.features.loopback.run import loopback, loopback_grid, loops
from modules.features.outpaint.run import outpaint
from modules.features.outpainting_mk2.run import outpainting_mk2
from modules.features.poor_mans_outpainting.run import poor_mans_outpainting
from modules.features.prompt_matrix.run import matrix_grid
from modules.features.sd_upscale.run import sd_upscale
from modules.features.sequences.declare import InterpolatePicturesArguments, InterpolatePromptsArguments
from modules.features.sequences.run import animation, between_pictures
from modules.features.stage import Maker, each_from_its_own, job_grid, plainly
from modules.features.ultimate_upscale.run import saves_result, ultimate_upscale
from modules.features.xyz_plot.run import xyz_grids

# Of a job without a script whose pictures have prompts of their own.
PLAIN: Final = Maker(each_from_its_own, finale=job_grid)
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
    "Ultimate SD upscale": Maker(ultimate_upscale, saves=saves_result),
    "X/Y/Z plot": Maker(plainly, finale=xyz_grids),
}
