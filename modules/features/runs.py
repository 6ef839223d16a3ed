"""How each always-on feature runs, by its title."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from modules.features.controlnet.declare import CONTROLNET
from modules.features.controlnet.run import ControlNet
from modules.features.detail.declare import DETAIL
from modules.features.detail.run import DetailFeature
from modules.features.detail_daemon.declare import DETAIL_DAEMON
from modules.features.detail_daemon.run import DetailDaemonFeature
from modules.features.guidance_runs import GUIDANCE_RUNS
from modules.features.postprocessing.declare import POSTPROCESSING
from modules.features.postprocessing.run import Postprocessing
from modules.features.regions.plan.layouts import REGION_SCRIPTS
from modules.features.regions.run import Regions
from modules.features.running import FeatureJob
from modules.features.soft_inpainting.declare import SOFT_INPAINTING
from modules.features.soft_inpainting.run import SoftInpaintingFeature
from modules.features.tiled_diffusion.declare import TILED_DIFFUSION
from modules.features.tiled_diffusion.run import TiledDiffusionFeature
from modules.generation.pipeline import JobFeature

# Makes a feature for one job. Raises RequestError for what it can't do.
FeatureRun = Callable[[FeatureJob], JobFeature]

# In the order in which they act. Titles with one way of running are several parts of one feature.
RUNS: Final[Mapping[str, FeatureRun]] = {
    SOFT_INPAINTING.title: SoftInpaintingFeature,
    # Before whatever else stands in the UNet's place: that sees the whole picture.
    TILED_DIFFUSION.title: TiledDiffusionFeature,
    CONTROLNET.title: ControlNet,
    **dict.fromkeys(REGION_SCRIPTS, Regions),
    DETAIL.title: DetailFeature,
    DETAIL_DAEMON.title: DetailDaemonFeature,
    **GUIDANCE_RUNS,
    **{script.title: Postprocessing for script in POSTPROCESSING},
}


def features_for(job: FeatureJob) -> tuple[JobFeature, ...]:
    """The features of the job's request, each made once."""
    runs = dict.fromkeys(run for title, run in RUNS.items() if title in job.resolved.request.scripts)
    return tuple(run(job) for run in runs)
