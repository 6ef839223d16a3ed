"""Which checkpoint and VAE a job runs with: its override, else the setting, else the first one there is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.catalogue import Catalogue, Checkpoint, ModelNotFoundError
from modules.catalogue.architecture import Architecture
from modules.catalogue.hints import read_sidecar
from modules.catalogue.model_parts import ChosenParts, MissingPartError
from modules.catalogue.refusals import (
    hires_refusal,
    refiner_refusal,
    sampler_refusal,
    size_refusal,
    text_to_image_refusal,
)
from modules.catalogue.user_metadata import PREDICTION_KEY, text_of
from modules.families import Family
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest
from modules.parameters.job_options import RefinerOptions
from modules.parameters.load_options import CheckpointChoice, LoadOptions, VaeChoice, chosen_prediction
from modules.parameters.pass_samplers import Samplers
from modules.parameters.request import NO_REFINER
from modules.parameters.samplers import SamplerChoice
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.protocol import CheckpointFile
from modules.settings import OptionError, OptionStore
from modules.settings.groups import read_options


def current_checkpoint(catalogue: Catalogue, setting: str) -> Checkpoint | None:
    """The checkpoint that jobs use: that of the option `sd_model_checkpoint`, else, as in A1111, the first there is."""
    if setting:
        with suppress(ModelNotFoundError):
            return catalogue.find_checkpoint(setting)
    return next(iter(catalogue.checkpoints()), None)


def options_in_force(catalogue: Catalogue, options: OptionStore) -> dict[str, Any]:
    """Every option as JSON, and as `sd_model_checkpoint` the title of the checkpoint that the next job uses.

    The option itself is empty until somebody chooses, and may hold the title that the file had before it was hashed.
    """
    checkpoint = current_checkpoint(catalogue, options.text("sd_model_checkpoint"))
    return options.as_dict() | {"sd_model_checkpoint": checkpoint.title if checkpoint else ""}


@dataclass(frozen=True, slots=True)
class Choice:
    """A checkpoint by title, and its VAE by file name where it is not the checkpoint's own.

    `hires_title` is the hires pass's checkpoint, None where it has none of its own.
    """

    title: str
    vae_name: str | None
    hires_title: str | None = None


class CheckpointChooser:
    """Finds checkpoints and VAEs in the catalogue. `vae_file` is the VAE that a flag prescribes for everything."""

    def __init__(self, catalogue: Catalogue, options: OptionStore, vae_file: Path | None = None) -> None:
        self._catalogue = catalogue
        self._options = options
        self._vae_file = vae_file

    def choose(self, options: Mapping[str, Any], hires_name: str | None = None) -> tuple[Choice, tuple[str, ...]]:
        """The checkpoint for these option values and that of the hires pass, and what should be said about them.

        A title that the request itself named must be there; a setting that points to a file which is gone falls back
        to the first checkpoint, as in A1111. Raises RequestError with one sentence.
        """
        override = read_options(CheckpointChoice, options).title
        stored = self._options.text("sd_model_checkpoint")
        notices: tuple[str, ...] = ()
        if override and override != stored:
            checkpoint = self._find(override)
        else:
            checkpoint, notices = self._current(stored)
        vae, notice = self._vae(checkpoint, options)
        # What is missing is said now, and not when the job's turn comes.
        self._parts(checkpoint, options, vae)
        if notice:
            notices = (*notices, notice)
        hires = checkpoint if hires_name is None else self._find(hires_name)
        hires_title = None if hires.title == checkpoint.title else hires.title
        return Choice(checkpoint.title, vae.name if vae else None, hires_title), notices

    def current(self) -> CheckpointFile:
        """The file of the checkpoint that the setting names. Raises RequestError when there is none at all."""
        return self.named(None)

    def named(self, title: str | None) -> CheckpointFile:
        """The file behind a title, or behind the present setting. Raises RequestError with one sentence."""
        checkpoint = self._find(title) if title else self._current(self._options.text("sd_model_checkpoint"))[0]
        options = self._options.as_dict()
        return self._file(checkpoint, options)

    def of(self, resolved: ResolvedRequest) -> CheckpointFile:
        """The files a job runs with, as they lie on disk now. Raises RequestError when they are gone."""
        checkpoint = self._find(resolved.checkpoint or "")
        return self._file(checkpoint, resolved.options)

    def of_hires(self, resolved: ResolvedRequest) -> CheckpointFile | None:
        """The files of a job's hires pass, where they are others than the first pass's. Raises RequestError."""
        title = resolved.request.hires_checkpoint
        if title is None:
            return None
        checkpoint = self._find(title)
        return self._file(checkpoint, resolved.options)

    def of_refiner(self, resolved: ResolvedRequest) -> CheckpointFile | None:
        """The files of a job's refiner, where it has one. Raises RequestError."""
        if not resolved.request.has_refiner:
            return None
        checkpoint = self._find(resolved.request.refiner_checkpoint)
        return self._file(checkpoint, resolved.options)

    def refiner(self, name: str, refined: Collection[str]) -> str:
        """The title of the refiner of this name, "" for none.

        `refined` are the titles of the checkpoints that it takes over from. Raises RequestError with one sentence for
        one that is not there, and for one whose latents are seen to differ.
        """
        if name in NO_REFINER:
            return ""
        refiner = self._find(name)
        family = self._family(refiner)
        for title in refined:
            began = self._family(self._find(title))
            if family is not None and began is not None:
                _refuse(refiner_refusal(began, family))
        return refiner.title

    def check_passes(
        self, request: GenerationRequest, samplers: Samplers, title: str, options: Mapping[str, Any]
    ) -> None:
        """Refuse what the checkpoint of this title, its refiner and that of the hires pass can't do, together or with
        `samplers`.

        Of checkpoints of which `options` or their cards say what they predict the engine decides. Raises RequestError
        with one sentence.
        """
        first = self._find(title)
        hires = first if request.hires_checkpoint is None else self._find(request.hires_checkpoint)
        if request.mode == "txt2img":
            known = ((one, self._catalogue.architecture(one)) for one in (first, hires))
            for checkpoint, architecture in known:
                _refuse(None if architecture is None else text_to_image_refusal(architecture, checkpoint.name))
        if (family := self._family(first)) is not None:
            _refuse(size_refusal(family, (request.width, request.height), first.name))
        sampled = [*zip((first, hires), samplers, strict=False), *self._refined(request, samplers, options)]
        for checkpoint, choice in sampled:
            family = self._family(checkpoint)
            if family is None:
                continue
            if family.flow is not None or not self._says_prediction(checkpoint, options):
                _refuse(sampler_refusal(choice, family.prediction_type, checkpoint.name))
        if hires != first and request.hr_upscaler in LATENT_UPSCALE_MODES:
            began, goes_on = self._family(first), self._family(hires)
            if began is not None and goes_on is not None:
                _refuse(hires_refusal(began, goes_on))

    def pass_checkpoints(self, request: GenerationRequest, title: str) -> tuple[tuple[str, Architecture | None], ...]:
        """The file name and architecture of the checkpoint of the first pass, of this title, and of the hires pass if
        there is one; None for an architecture that the head of the file doesn't tell.
        """
        first = self._find(title)
        hires = first if request.hires_checkpoint is None else self._find(request.hires_checkpoint)
        passes = (first, hires) if request.has_hires_pass else (first,)
        return tuple((one.name, self._catalogue.architecture(one)) for one in passes)

    def _refined(
        self, request: GenerationRequest, samplers: Samplers, options: Mapping[str, Any]
    ) -> list[tuple[Checkpoint, SamplerChoice]]:
        """The refiner, with each sampler that it goes on with."""
        if not request.has_refiner:
            return []
        refiner, works = self._find(request.refiner_checkpoint), read_options(RefinerOptions, options)
        two_passes = request.has_hires_pass
        return [
            (refiner, choice)
            for hires, choice in zip((False, True), samplers, strict=False)
            if works.works_in(hires=hires, two_passes=two_passes)
        ]

    def _says_prediction(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> bool:
        """Whether a person says what the checkpoint predicts, instead of its file and family."""
        return chosen_prediction(_load_options(checkpoint, options), _names(checkpoint)) is not None

    def _family(self, checkpoint: Checkpoint) -> Family | None:
        """The family of a checkpoint, as far as the head of its file says."""
        architecture = self._catalogue.architecture(checkpoint)
        return None if architecture is None else architecture.family

    def _find(self, title: str) -> Checkpoint:
        try:
            return self._catalogue.find_checkpoint(title)
        except ModelNotFoundError as error:
            raise RequestError(str(error)) from error

    def _current(self, title: str) -> tuple[Checkpoint, tuple[str, ...]]:
        checkpoint = current_checkpoint(self._catalogue, title) or self._find("")
        if not title or self._is(checkpoint, title):
            return checkpoint, ()
        return checkpoint, (f"The checkpoint {title[:80]!r} of the settings is gone: {checkpoint.title} was used.",)

    def _is(self, checkpoint: Checkpoint, title: str) -> bool:
        try:
            return self._catalogue.find_checkpoint(title) == checkpoint
        except ModelNotFoundError:
            return False

    def _file(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> CheckpointFile:
        """A checkpoint with the files beside it. Raises RequestError where one is missing."""
        vae = self._vae(checkpoint, options)[0]
        parts = self._parts(checkpoint, options, vae)
        if parts.vae is not None:
            vae = parts.vae.path
        return CheckpointFile(
            path=str(checkpoint.path),
            title=checkpoint.title,
            name=checkpoint.name,
            sha256=checkpoint.sha256,
            vae_path=str(vae) if vae else None,
            text_paths=tuple(str(text.path) for text in parts.texts),
            load_options=_load_options(checkpoint, options),
        )

    def _parts(self, checkpoint: Checkpoint, options: Mapping[str, Any], vae: Path | None) -> ChosenParts:
        """The text encoders and the VAE that the checkpoint lacks. Raises RequestError where none fits."""
        names = read_options(VaeChoice, options).modules
        try:
            return self._catalogue.parts_for(checkpoint, names, vae)
        except MissingPartError as error:
            raise RequestError(str(error)) from error

    def _vae(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> tuple[Path | None, str]:
        """The VAE's file where it is not the checkpoint's own, and what should be said about it."""
        if self._vae_file is not None:
            return self._vae_file, ""
        choice = read_options(VaeChoice, options)
        setting = choice.sd_vae or VaeChoice().sd_vae
        found = self._catalogue.vae_for(checkpoint, setting, overrides=choice.overrides_preferences)
        return found.file.path if found.file else None, found.notice


def _refuse(why: str | None) -> None:
    if why is not None:
        raise RequestError(why)


def _names(checkpoint: Checkpoint) -> tuple[str, ...]:
    return checkpoint.name, checkpoint.title, checkpoint.path.name


def _load_options(checkpoint: Checkpoint, options: Mapping[str, Any]) -> LoadOptions:
    """The options, and behind their entries what the checkpoint's card says that it predicts."""
    try:
        read = read_options(LoadOptions, options)
    except OptionError as error:
        raise RequestError(str(error)) from error
    said = text_of(read_sidecar(checkpoint.path.with_suffix(".json")), PREDICTION_KEY)
    entries = (*read.checkpoint_prediction, f"{checkpoint.name}: {said}") if said else read.checkpoint_prediction
    return replace(read, checkpoint_prediction=entries)
