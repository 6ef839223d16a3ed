"""Units of ControlNet in a job: their pictures become maps, their models guide the passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.catalogue.control_kinds import ControlKind
from modules.features.controlnet.arrays import RgbArray, rgb_array
from modules.features.controlnet.control_types.declare import find_control_type
from modules.features.controlnet.declare import HIRES_OPTIONS, NO_MODEL, RESIZE_MODES, UnitArguments, units_in
from modules.features.controlnet.finish import RECOLORS, laid_over, recoloured
from modules.features.controlnet.hint import (
    ControlSource,
    control_source,
    cropped_like_init,
    fit_map,
    hint_of,
    pixel_perfect_resolution,
    region_weights,
)
from modules.features.controlnet.preprocessors.declare import REVISIONS, find_preprocessor
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.controlnet.seen import image_prompt, revision, shown_style
from modules.features.controlnet.shown import (
    COLOUR_FIXES,
    HOLDERS,
    REFERENCES,
    colour_picture,
    held_picture,
    reference_picture,
)
from modules.features.controlnet.sizes import CONTROL_MODELS
from modules.features.deep_shrink.declare import DEEP_SHRINK
from modules.features.running import FeatureJob
from modules.files import FileState, found_file
from modules.gallery import DETECTED_MAP
from modules.generation.control.held import ColourPicture, ColourPictures, HeldPicture, HeldPictures
from modules.generation.control.image_prompts import ImagePrompt, ImagePrompts
from modules.generation.control.lite import LiteControl, LiteUnit
from modules.generation.control.picture_texts import PictureTexts, Revision, ShownStyle
from modules.generation.control.reference import ReferenceControl, ReferencePicture
from modules.generation.control.residuals import ControlResiduals, ControlUnit, check_fits, residual_count
from modules.generation.finishing import Finished
from modules.generation.pipeline import InnerJob, JobFeature, PassContext, PassHook
from modules.parameters import RequestError
from modules.parameters.control import ControlMode
from modules.pictures.size import Size
from modules.sampling.control import (
    Weighting,
    feature_weights,
    is_curved,
    is_pooled,
    is_positive_only,
    residual_weights,
)
from modules.weights.control.reading import ControlModel, read_control_model

_MOST_MAPS: Final = 8


@dataclass(frozen=True, slots=True)
class _Hooks:
    """The units of a pass by what they do in it."""

    units: list[ControlUnit] = field(default_factory=list)
    prompts: list[ImagePrompt] = field(default_factory=list)
    lites: list[LiteUnit] = field(default_factory=list)
    references: list[ReferencePicture] = field(default_factory=list)
    held: list[HeldPicture] = field(default_factory=list)
    colours: list[ColourPicture] = field(default_factory=list)
    styles: list[ShownStyle] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)

    def of(self, context: PassContext, steps: int) -> tuple[PassHook, ...]:
        """One hook for each kind that there is."""
        model = context.pipeline.model
        hooks: list[PassHook] = [ControlResiduals(self.units, steps)] if self.units else []
        hooks += [ImagePrompts(self.prompts, steps)] if self.prompts else []
        if self.styles or self.revisions:
            hooks.append(PictureTexts(self.styles, self.revisions, steps, context.plan.total_calls))
        hooks += [LiteControl(self.lites, steps)] if self.lites else []
        hooks += [ColourPictures(self.colours, steps)] if self.colours else []
        hooks += [HeldPictures(self.held, steps)] if self.held else []
        hooks += [ReferenceControl(self.references, model.noise.alphas_cumprod(), steps)] if self.references else []
        return tuple(hooks)


class ControlNet(JobFeature):
    """The units of one request. Their models are read at the first pass, and stay for the next jobs."""

    def __init__(self, job: FeatureJob) -> None:
        self._job = job
        units = units_in(job.resolved.request.scripts)
        self._units = tuple(one for unit in units for one in ((unit,) if _merges(unit) else unit.apart()))
        self._maps: dict[tuple[int, bool], Image.Image] = {}
        # What units do to decoded pictures, by unit and by the size of the pass.
        self._finishes: dict[tuple[int, Size], Callable[[RgbArray], RgbArray]] = {}

    # Maps come beside the pictures.
    changes_finished = False

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        """What the units do in this pass, those of a kind together."""
        left_out = HIRES_OPTIONS[1] if context.is_hires else HIRES_OPTIONS[2]
        steps, hooks = context.plan.steps, _Hooks()
        for number, unit in enumerate(self._units):
            if unit.hr_option != left_out:
                self._add(hooks, number, unit, context)
        return hooks.of(context, steps)

    def after_decode(self, decoded: Finished, index: int, inner: InnerJob) -> Finished:
        """The picture with what units that recolour or hold on to something lay over it."""
        picture = decoded.picture
        for number in range(len(self._units)):
            finish = self._finishes.get((number, picture.size))
            if finish is not None:
                picture = Image.fromarray(finish(rgb_array(picture)), "RGB")
        return decoded if picture is decoded.picture else replace(decoded, picture=picture)

    def after_picture(self, finished: Finished, index: int) -> Finished:
        """The maps stand beside the last picture of the job, so that they come behind all of them."""
        options = self._job.resolved.settings.control
        if index != self._job.resolved.image_count - 1 or options.no_detectmap:
            return finished
        order = sorted(self._maps, key=lambda key: (key[0], not key[1]))
        maps = {
            f"{DETECTED_MAP}-{place}": self._maps[key]
            for place, key in enumerate(order)
            if self._units[key[0]].save_detected_map
        }
        return replace(finished, beside={**finished.beside, **maps})

    def _add(self, hooks: _Hooks, number: int, unit: UnitArguments, context: PassContext) -> None:
        size = context.work.spec.size
        if unit.module in REFERENCES:
            picture = fit_map(self._source(unit, context, takes_mask=False).picture, size, _mode(unit))
            hooks.references.append(reference_picture(unit, picture, context, self._region(unit, size)))
            self._maps[number, context.is_hires] = Image.fromarray(picture, "RGB")
            return
        if unit.module in REVISIONS:
            self._notice_no_region(unit)
            hooks.revisions.append(revision(self._job, unit, self._pictures(unit, context), context))
            return
        if unit.model == NO_MODEL:
            return
        model = self._model(unit, context)
        if context.is_refiner and not context.pipeline.model.family.takes_networks_for(model.family):
            # It is for the checkpoint that began; what that made is refined without it.
            self._job.notice(f"The refiner went on without {unit.model}, which is for another family.")
            return
        check_fits(model, context.pipeline.model)
        if model.kind is ControlKind.IP_ADAPTER:
            mask, pictures = self._region(unit, size), self._pictures(unit, context)
            hooks.prompts.append(image_prompt(self._job, unit, model, pictures, context, mask))
        elif model.kind is ControlKind.STYLE:
            self._notice_no_region(unit)
            hooks.styles.append(shown_style(self._job, unit, model, self._pictures(unit, context), context))
        else:
            self._add_mapped(hooks, number, unit, model, context)

    def _add_mapped(
        self, hooks: _Hooks, number: int, unit: UnitArguments, model: ControlModel, context: PassContext
    ) -> None:
        """A unit whose model reads a map."""
        size = context.work.spec.size
        found = self._map(unit, context, size)
        self._add_effects(hooks, number, unit, context, found)
        self._maps[number, context.is_hires] = Image.fromarray(np.ascontiguousarray(found[:, :, :3]), "RGB")
        hint = torch.from_numpy(hint_of(found))[None]
        if model.kind is ControlKind.LLLITE:
            positive_only = is_positive_only(ControlMode(unit.control_mode), unit.model)
            mask = self._region(unit, size)
            hooks.lites.append(LiteUnit(model, hint, unit.weight, unit.window, positive_only, mask))
            return
        if DEEP_SHRINK.title in self._job.resolved.request.scripts:
            raise RequestError(
                f"{unit.model} answers in the sizes of the whole UNet, which {DEEP_SHRINK.title} makes smaller inside: "
                "disable one of them."
            )
        weighting = self._weighting(unit, model, context, size)
        hooks.units.append(ControlUnit(model, hint, weighting, unit.window, _union_number(unit)))

    def _pictures(self, unit: UnitArguments, context: PassContext) -> list[RgbArray]:
        """What a CLIP looks at."""
        return [self._source(one, context, takes_mask=False).picture for one in unit.apart()]

    def _notice_no_region(self, unit: UnitArguments) -> None:
        if unit.effective_region_mask:
            what = unit.module if unit.model == NO_MODEL else unit.model
            self._job.notice(f"{what} acts on the whole picture: its Effective Region Mask does nothing.")

    def _add_effects(
        self, hooks: _Hooks, number: int, unit: UnitArguments, context: PassContext, found: RgbArray
    ) -> None:
        """What a unit's preprocessor does beside its map: to each step's estimate, and to the decoded picture."""
        if unit.module in COLOUR_FIXES:
            hooks.colours.append(colour_picture(unit, found, context))
        elif unit.module in RECOLORS:
            self._finishes[number, context.work.spec.size] = partial(
                recoloured, lightness=found[:, :, :3], module=unit.module
            )
        elif unit.module in HOLDERS and (context.work.source is None or context.work.source.mask is None):
            # Beside a mask of img2img, which holds on to the rest itself, the unit is one that paints everywhere.
            hooks.held.append(held_picture(unit, found, context))
            blur = self._job.resolved.settings.control.inpaint_blur
            self._finishes[number, context.work.spec.size] = partial(laid_over, masked=found, blur=blur)

    def _map(self, unit: UnitArguments, context: PassContext, size: Size) -> RgbArray:
        """The unit's map at the size of the pass, with a mask as the fourth channel where its preprocessor has one."""
        preprocessor = find_preprocessor(unit.module)
        mode = _mode(unit)
        source = self._source(unit, context, takes_mask=preprocessor.takes_mask)
        first = self._job.resolved.passes[0].size
        resolution = pixel_perfect_resolution(source.picture, first, mode) if unit.pixel_perfect else unit.processor_res
        settings = Settings(
            resolution=resolution,
            pixel_perfect=unit.pixel_perfect,
            threshold_a=unit.threshold_a,
            threshold_b=unit.threshold_b,
            seed=context.resolved.seeds[context.images.start] + context.resolved.subseeds[context.images.start],
        )
        preprocessors = Preprocessors(self._job.folders.annotators, self._job.shared, self._job.on_device)

        def make() -> RgbArray:
            return preprocessors.run(preprocessor, source.picture, settings, source.mask)

        if context.work.source is not None and context.work.source.paste_to is not None:
            # A part of a picture, which does not come again.
            return fit_map(make(), size, mode)
        # The same picture may be drawn with many times.
        key = preprocessors.key(preprocessor, source.picture, settings, source.mask)
        return fit_map(self._job.shared.get("maps", key, make, _MOST_MAPS), size, mode)

    def _source(self, unit: UnitArguments, context: PassContext, *, takes_mask: bool) -> ControlSource:
        """The unit's picture, or where it has none the one that the pass starts from."""
        init = context.work.source
        if not unit.image:
            if init is None:
                raise RequestError("A ControlNet unit has no picture, and the pass starts from none: give it one.")
            return control_source(init.picture, init.mask if takes_mask else None, takes_mask=takes_mask)
        picture = self._job.picture(unit.image)
        mask = self._job.picture(unit.mask) if unit.mask else None
        if mask is None and takes_mask and init is not None:
            mask = init.overlay_mask or init.mask
        source = control_source(picture, mask, takes_mask=takes_mask)
        if init is None or init.paste_to is None or init.overlay_mask is None or not unit.inpaint_crop_input_image:
            return source
        mode = _mode(unit)
        return cropped_like_init(source, init.overlay_mask.size, init.paste_to, context.work.spec.size, mode)

    def _weighting(self, unit: UnitArguments, model: ControlModel, context: PassContext, size: Size) -> Weighting:
        mode = ControlMode(unit.control_mode)
        count = residual_count(model)
        curved = is_curved(mode, unit.module, hires=context.is_hires)
        by_default = feature_weights if model.kind is ControlKind.T2I_ADAPTER else residual_weights
        weights = tuple(weight * unit.weight for weight in unit.weights)
        weights = weights or by_default(count, unit.weight, curved=curved)
        if len(weights) < count:
            raise RequestError(
                f"ControlNet: advanced_weighting has {len(weights)} numbers, and {unit.model} needs {count}."
            )
        mask = self._region(unit, size)
        return Weighting(weights, is_positive_only(mode, unit.model), is_pooled(unit.model), mask)

    def _region(self, unit: UnitArguments, size: Size) -> Tensor | None:
        """Where the unit acts, (1, 1, height, width) from 0 to 1; None for everywhere."""
        if not unit.effective_region_mask:
            return None
        region = self._job.picture(unit.effective_region_mask)
        return torch.from_numpy(region_weights(region, size, _mode(unit)))[None, None]

    def _model(self, unit: UnitArguments, context: PassContext) -> ControlModel:
        """The unit's model: on the device if it may stay there beside the checkpoint, by the plan and by the unit."""
        path = self._job.files.get(f"control/{unit.model}")
        if path is None:
            raise RequestError(f"The control model {unit.model} is not here any more: press refresh.")
        pipeline = context.pipeline
        checkpoint, dtype = pipeline.model.path, pipeline.model.unet.dtype
        found = found_file(Path(path))
        state = found.state if found else FileState(0, 0)
        shared, most = self._job.shared, self._job.resolved.settings.control.model_cache_size

        def read() -> ControlModel:
            return read_control_model(Path(path), checkpoint=checkpoint, dtype=dtype)

        control = shared.get(CONTROL_MODELS, (path, state, dtype), read, most)
        if control.checkpoint is not None and control.checkpoint != checkpoint:
            # Part of it are the weights of another checkpoint.
            control = shared.get(CONTROL_MODELS, (path, state, dtype, checkpoint), read, most)
        away = unit.low_vram or pipeline.controls_take_turns
        control.module.to(torch.device("cpu") if away else pipeline.device)
        return control


def _merges(unit: UnitArguments) -> bool:
    """Whether the unit shows all of its pictures at once; else each is a unit of its own."""
    return find_preprocessor(unit.module).seen_by_clip


def _mode(unit: UnitArguments) -> int:
    return RESIZE_MODES.index(unit.resize_mode)


def _union_number(unit: UnitArguments) -> int:
    tag = unit.union_control_type if find_control_type(unit.union_control_type).union is not None else unit.control_type
    return find_control_type(tag).union or 0
