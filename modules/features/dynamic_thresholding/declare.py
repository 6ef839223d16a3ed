"""The controls of Dynamic thresholding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

MODES: Final = (
    *("Constant", "Linear Down", "Cosine Down", "Half Cosine Down", "Linear Up", "Cosine Up", "Half Cosine Up"),
    *("Power Up", "Power Down", "Linear Repeating", "Cosine Repeating", "Sawtooth"),
)
DYNAMIC_THRESHOLDING: Final = Script(
    "Dynamic thresholding",
    arguments=(
        Argument(
            "enabled",
            "Enable",
            False,
            "checkbox",
            infotext="dynthres_enabled",
            other_keys=(("Dynamic thresholding enabled", 1.0),),
        ),
        Argument(
            "mimic_scale",
            "Mimic scale",
            7,
            minimum=0,
            maximum=30,
            step=0.5,
            most=100,
            infotext="dynthres_mimic_scale",
            other_keys=(("Mimic scale", 1.0),),
        ),
        Argument(
            "threshold_percentile",
            "Threshold percentile",
            1,
            minimum=0,
            maximum=1,
            step=0.01,
            infotext="dynthres_threshold_percentile",
            other_keys=(("Threshold percentile", 0.01),),
        ),
        Argument(
            "mimic_mode",
            "Mimic mode",
            "Constant",
            "dropdown",
            choices=MODES,
            infotext="dynthres_mimic_mode",
            other_keys=(("Mimic mode", 1.0),),
        ),
        Argument(
            "mimic_scale_min",
            "Mimic scale minimum",
            0,
            minimum=0,
            maximum=30,
            step=0.5,
            most=100,
            infotext="dynthres_mimic_scale_min",
            other_keys=(("Mimic scale minimum", 1.0),),
        ),
        Argument(
            "cfg_mode",
            "CFG mode",
            "Constant",
            "dropdown",
            choices=MODES,
            infotext="dynthres_cfg_mode",
            other_keys=(("CFG mode", 1.0),),
        ),
        Argument(
            "cfg_scale_min",
            "CFG scale minimum",
            0,
            minimum=0,
            maximum=30,
            step=0.5,
            most=100,
            infotext="dynthres_cfg_scale_min",
            other_keys=(("CFG scale minimum", 1.0),),
        ),
        Argument(
            "sched_val",
            "Scheduler value",
            1,
            minimum=0,
            maximum=40,
            step=0.5,
            most=100,
            infotext="dynthres_sched_val",
            other_keys=(("Scheduler value", 1.0),),
        ),
        Argument(
            "separate_feature_channels",
            "Separate feature channels",
            "enable",
            "radio",
            choices=("enable", "disable"),
            infotext="dynthres_separate_feature_channels",
        ),
        Argument(
            "scaling_startpoint",
            "Scaling startpoint",
            "MEAN",
            "radio",
            choices=("MEAN", "ZERO"),
            infotext="dynthres_scaling_startpoint",
        ),
        Argument(
            "variability_measure",
            "Variability measure",
            "AD",
            "radio",
            choices=("AD", "STD"),
            infotext="dynthres_variability_measure",
        ),
        Argument(
            "interpolate_phi",
            "Interpolate phi",
            1,
            minimum=0,
            maximum=1,
            step=0.01,
            infotext="dynthres_interpolate_phi",
        ),
    ),
    always_on=True,
    file="dynamic_thresholding.py",
    aliases=(
        "Dynamic Thresholding (CFG Scale Fix)",
        "DynamicThresholding (CFG-Fix) Integrated",
        "DynamicThresholding (CFG-Fix) Integrated (SD 1.x, SD 2.x, SDXL)",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class DynamicThresholdingArguments(ScriptArguments):
    """The scale whose range is kept to, both scales' schedules, and how values are compared."""

    script: ClassVar[Script] = DYNAMIC_THRESHOLDING
    mimic_scale: float
    threshold_percentile: float
    mimic_mode: str
    mimic_scale_min: float
    cfg_mode: str
    cfg_scale_min: float
    sched_val: float
    separate_feature_channels: str
    scaling_startpoint: str
    variability_measure: str
    interpolate_phi: float
