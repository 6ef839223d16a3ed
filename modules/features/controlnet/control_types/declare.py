"""Control types: which preprocessors and models belong together, and what is chosen first.

Tags, aliases and defaults are those of sd-webui-controlnet 1.1.455. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from modules.features.controlnet.preprocessors.declare import PREPROCESSORS, Preprocessor

ALL: Final = "All"
NO_MODEL: Final = "None"
# Of a version 1.1 control model's name: chosen first.
_PREFERRED: Final = "11"
_UNION: Final = "union"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlType:
    """One control type. `union` is its number in models that were trained for all of them (Union, ProMax)."""

    tag: str
    default_preprocessor: str = "none"
    model_aliases: tuple[str, ...] = ()
    union: int | None = None

    @property
    def model_words(self) -> tuple[str, ...]:
        """What a model's name has to contain one of, in lower case."""
        return (self.tag.lower(), *self.model_aliases)


CONTROL_TYPES: Final = (
    ControlType(tag=ALL),
    ControlType(tag="Canny", default_preprocessor="canny", union=3),
    ControlType(tag="Depth", default_preprocessor="depth", union=1),
    ControlType(tag="IP-Adapter", default_preprocessor="ip-adapter-auto", model_aliases=("ip_adapter", "ipadapter")),
    ControlType(tag="Inpaint", default_preprocessor="inpaint_only", union=7),
    ControlType(tag="Instant-ID", model_aliases=("instant_id", "instantid")),
    ControlType(tag="InstructP2P", model_aliases=("ip2p",)),
    ControlType(tag="Lineart", default_preprocessor="lineart_standard", union=3),
    ControlType(tag="MLSD", default_preprocessor="mlsd", union=3),
    ControlType(tag="NormalMap", default_preprocessor="normal_bae", model_aliases=("normal",), union=4),
    ControlType(tag="OpenPose", default_preprocessor="openpose_full", model_aliases=("densepose",), union=0),
    ControlType(tag="Recolor", default_preprocessor="recolor_luminance"),
    ControlType(tag="Reference", default_preprocessor="reference_only"),
    ControlType(tag="Revision", default_preprocessor="revision_clipvision"),
    ControlType(tag="Scribble", default_preprocessor="pidinet_scribble", model_aliases=("sketch",), union=2),
    ControlType(tag="Segmentation", default_preprocessor="oneformer_ade20k", model_aliases=("seg",), union=5),
    ControlType(tag="Shuffle", default_preprocessor="shuffle"),
    ControlType(tag="SoftEdge", default_preprocessor="pidinet", union=2),
    ControlType(tag="SparseCtrl"),
    ControlType(tag="T2I-Adapter", model_aliases=("t2i_adapter", "t2iadapter", "t2ia")),
    ControlType(tag="Tile", default_preprocessor="tile_resample", model_aliases=("blur",), union=6),
)
_BY_TAG: Final = {one.tag.lower(): one for one in CONTROL_TYPES}


def find_control_type(tag: str) -> ControlType:
    """The control type of a tag in any case; "All" for what is none."""
    return _BY_TAG.get(tag.strip().lower(), CONTROL_TYPES[0])


def preprocessors_of(control: ControlType) -> tuple[Preprocessor, ...]:
    """The preprocessors that the type's list shows: "none" first, all of them for "All"."""
    if control.tag == ALL:
        return PREPROCESSORS
    return (PREPROCESSORS[0], *(one for one in PREPROCESSORS if control.tag in one.control_types))


def default_preprocessor(control: ControlType) -> Preprocessor:
    """What is chosen with the type: its own default where that is among its list, else the first that does anything."""
    listed = preprocessors_of(control)
    wanted = [one for one in listed if one.name == control.default_preprocessor]
    return (wanted or [*listed[1:], *listed])[0] if control.tag != ALL else listed[0]


def models_of(control: ControlType, names: Sequence[str], unions: Collection[str] = ()) -> tuple[str, ...]:
    """Of model names as lists show them, those of the type; `unions` are names of models that serve many types."""
    if control.tag == ALL:
        return tuple(names)
    return tuple(
        name
        for name in names
        if any(word in name.lower() for word in control.model_words) or (control.union is not None and name in unions)
    )


def default_model(control: ControlType, names: Sequence[str], unions: Collection[str] = ()) -> str:
    """The model chosen with the type: the first of version 1.1, else the first; "None" without any, and for "All"."""
    if control.tag == ALL:
        return NO_MODEL
    fitting = models_of(control, names, unions)
    preferred = [name for name in fitting if _PREFERRED in name.partition("[")[0]]
    return next(iter(preferred or fitting), NO_MODEL)


class Offered(NamedTuple):
    """What the lists of a control type offer, by names, and what is chosen with it."""

    modules: list[str]
    models: list[str]
    module: str
    model: str


def offered_by(control: ControlType, names: Sequence[str]) -> Offered:
    """By the titles of the control models that are here; those that serve many types say "union" in their names."""
    unions = [name for name in names if _UNION in name.lower()]
    return Offered(
        [module.name for module in preprocessors_of(control)],
        list(models_of(control, names, unions)),
        default_preprocessor(control).name,
        default_model(control, names, unions),
    )
