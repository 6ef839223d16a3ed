"""The detail pass: what a detector finds in a finished picture is painted over, thing by thing.

Behaviour reproduced: ADetailer 25.3.0, which is AGPL and from which nothing is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.catalogue.upscalers import NO_UPSCALER
from modules.features.controlnet.arrays import Grey
from modules.features.controlnet.declare import CONTROLNET
from modules.features.detail.declare import PASSTHROUGH, TITLE, DetailArguments, DetailTab, ordinal
from modules.features.detail.detectors.detect import open_detector
from modules.features.detail.detectors.plan import Detector, list_detectors, named_detector
from modules.features.detail.masks import MadeMask, free_size, masks_of, meets, trained_size, weaker
from modules.features.detail.plan import MaskPrompts, detector_folders, parts_of
from modules.features.detail.sizes import DETECTORS
from modules.features.running import FeatureJob
from modules.files import found_file
from modules.generation.finishing import Finished
from modules.generation.init_picture import InitPicture, prepare_init_picture
from modules.generation.masking import whole_picture_overlay_mask
from modules.generation.pipeline import InnerJob, JobFeature
from modules.parameters import RequestError, ResolvedRequest
from modules.pictures.masks import blur_mask
from modules.pictures.size import Size
from modules.sampling import Interrupted

BEFORE: Final = "ad-before"
PREVIEW: Final = "ad-preview"
# Detectors that stay in memory for the next pictures and jobs.
_MOST_DETECTORS: Final = 3
_MARK: Final = (255, 64, 64)


@dataclass(frozen=True, slots=True)
class _Tab:
    """A tab, its place among those that act, and the passes that are planned for it: from `first`, one a part."""

    number: int
    arguments: DetailTab
    detector: Detector
    parts: Sequence[MaskPrompts]
    first: int


class DetailFeature(JobFeature):
    """The detail pass over the pictures of one request."""

    apart = False

    def __init__(self, job: FeatureJob) -> None:
        """Raises RequestError for a detector that is not here."""
        self._job = job
        self._resolved = job.resolved
        self._options = job.resolved.settings.detail
        arguments = DetailArguments.of(job.resolved.request.scripts)
        self.skips_passes = arguments.skip_img2img and job.resolved.request.mode == "img2img"
        self._tabs = self._with_detectors(arguments.tabs)
        self._own_masks: dict[int, Grey] = {}
        if arguments.ignored:
            job.notice(f"{TITLE}: {', '.join(arguments.ignored)} means nothing here and was ignored.")

    def _with_detectors(self, tabs: Sequence[DetailTab]) -> list[_Tab]:
        folders = detector_folders(self._job.folders, self._options.extra_models_dir)
        detectors = list_detectors(folders)
        found, first = [], 0
        for number, tab in enumerate(tabs):
            parts = parts_of(tab)
            try:
                found.append(_Tab(number, tab, named_detector(tab.ad_model, detectors), parts, first))
            except (ModelFileError, ModelNotFoundError) as error:
                raise RequestError(f"{TITLE}: {error}") from error
            first += len(parts)
            self._check_control(tab)
        return found

    def _check_control(self, tab: DetailTab) -> None:
        if tab.ad_controlnet_model == PASSTHROUGH and CONTROLNET.title not in self._resolved.request.scripts:
            self._job.notice(f"{TITLE}: there are no units of ControlNet to pass through.")

    def after_decode(self, decoded: Finished, index: int, inner: InnerJob) -> Finished:
        """The picture after all tabs. Where the job is interrupted it stays as far as it has come."""
        picture, beside = decoded.picture, dict(decoded.beside)
        for tab in self._tabs:
            if self._job.leave():
                break
            masks = self._masks(tab, picture, index)
            if masks and self._options.save_images_before:
                beside.setdefault(BEFORE, decoded.picture)
            if masks and self._options.save_previews:
                kind = PREVIEW if tab.number == 0 else f"{PREVIEW}-{ordinal(tab.number)}"
                beside[kind] = shown_masks(picture, masks)
            for place, mask in enumerate(masks):
                try:
                    picture = self._painted(tab, picture, mask, place, index, inner)
                except Interrupted:
                    return replace(decoded, picture=picture, beside=beside)
        return replace(decoded, picture=picture, beside=beside)

    def _masks(self, tab: _Tab, picture: Image.Image, index: int) -> list[MadeMask]:
        """What this tab paints over in a picture. Raises RequestError for a detector that can't be used."""
        name = tab.detector.name
        try:
            detect = self._job.shared.get(
                DETECTORS, _key(tab.detector), partial(open_detector, tab.detector), _MOST_DETECTORS
            )
            with self._job.on_device(detect):
                found = detect(np.asarray(picture.convert("RGB"), dtype=np.uint8), tab.arguments.ad_confidence)
        except (ModelFileError, ModelNotFoundError) as error:
            raise RequestError(f"{TITLE}: {error}") from error
        masks = masks_of(found, tab.arguments, picture.size, self._options.sort_by)
        masks = self._within_own_mask(masks, picture.size, index)
        if not masks:
            self._job.notice(f"{TITLE}: {name} found nothing to paint over in at least one picture.")
        return masks

    def _within_own_mask(self, masks: list[MadeMask], size: Size, index: int) -> list[MadeMask]:
        """Of an img2img with a mask over the whole picture those that meet this mask."""
        request = self._resolved.request
        if request.mode != "img2img" or request.mask is None or request.inpaint_full_res or not request.init_images:
            return masks
        place = index % len(request.init_images)
        if place not in self._own_masks:
            start = self._job.picture(request.init_images[place])
            prepared = prepare_init_picture(self._resolved, start, self._job.picture(request.mask))
            assert prepared.mask is not None
            self._own_masks[place] = np.asarray(prepared.mask, dtype=np.uint8)
        own = Image.fromarray(self._own_masks[place]).resize(size, Image.Resampling.NEAREST)
        return [one for one in masks if meets(one.pixels, np.asarray(own, dtype=np.uint8))]

    def _painted(
        self, tab: _Tab, picture: Image.Image, mask: MadeMask, place: int, index: int, inner: InnerJob
    ) -> Image.Image:
        """The picture with one mask painted over, the `place`-th of its tab. Raises Interrupted."""
        part = min(place, len(tab.parts) - 1)
        if tab.parts[part].is_skipped:
            return picture
        seed = 0 if self._options.same_seed else place
        resolved = self._resolved.inner_job(TITLE, tab.first + part, index, seed=seed)
        changes = self._fitting(tab.arguments, resolved, picture.size, mask, inner)
        if changes:
            resolved = resolved.model_copy(update={"request": resolved.request.model_copy(update=changes)})
        return inner(resolved, self._source(resolved, picture, Image.fromarray(mask.pixels)))

    def _fitting(
        self, tab: DetailTab, resolved: ResolvedRequest, size: Size, mask: MadeMask, inner: InnerJob
    ) -> Mapping[str, object]:
        """What a pass changes of its request by what it works on."""
        request, changes = resolved.request, dict[str, object]()
        if power := self._options.dynamic_denoise_power:
            changes["denoising_strength"] = weaker(request.denoising_strength, mask.box, size, power)
        sides = request.width, request.height
        if not tab.ad_inpaint_only_masked:
            # Painted at its own size, nothing outside of the mask is enlarged or made smaller.
            sides = sides if tab.ad_use_inpaint_width_height else (_whole_cells(size[0]), _whole_cells(size[1]))
        elif self._options.match_size == "Free":
            sides = free_size(mask.pixels, tab.ad_inpaint_only_masked_padding, sides)
        elif self._options.match_size.startswith("Strict") and inner.family(resolved).follows_sdxl_settings:
            sides = trained_size(mask.pixels, tab.ad_inpaint_only_masked_padding)
        return {**changes, "width": sides[0], "height": sides[1]}

    def _source(self, resolved: ResolvedRequest, picture: Image.Image, mask: Image.Image) -> InitPicture:
        request = resolved.request
        resize = self._job.resampler(resolved.settings.img2img.upscaler or NO_UPSCALER)
        source = prepare_init_picture(resolved, picture, mask, resize)
        if request.inpaint_full_res or source.picture.size == picture.size:
            return source
        over = whole_picture_overlay_mask(blur_mask(mask, request.mask_blur_x, request.mask_blur_y))
        return replace(source, original=picture, overlay_mask=over, paste_to=(0, 0, *picture.size))


def _key(detector: Detector) -> tuple[str, object]:
    """What a detector that was read is good for: a file that changes is read again."""
    found = None if detector.path is None else found_file(detector.path)
    return detector.name, found and (found.path, found.state)


def shown_masks(picture: Image.Image, masks: Sequence[MadeMask]) -> Image.Image:
    """The picture with what will be painted over tinted, and the boxes numbered in their order."""
    shown = picture.convert("RGB")
    for one in masks:
        tinted = Image.blend(shown, Image.new("RGB", shown.size, _MARK), 0.35)
        shown.paste(tinted, mask=Image.fromarray(one.pixels))
    pen = ImageDraw.Draw(shown)
    for number, one in enumerate(masks):
        pen.rectangle(one.box, outline=_MARK, width=2)
        pen.text((one.box[0] + 4, one.box[1] + 2), str(number + 1), fill="white", stroke_width=1, stroke_fill="black")
    return shown


def _whole_cells(side: int) -> int:
    return max(64, round(side / 8) * 8)
