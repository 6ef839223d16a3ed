"""The composition root: every service that page and API share is made here, from the flags, and wired together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from modules.catalogue import BackgroundHashing, Catalogue, Checkpoint, ModelFolders, ModelNotFoundError
from modules.catalogue.cards import Cards
from modules.catalogue.upscalers import Upscaler
from modules.downloads import GetModels
from modules.downloads.arrival import ModelPlaces
from modules.downloads.uploads import Uploads
from modules.files import remove_stale_temporaries
from modules.gallery import Gallery
from modules.gallery.allowed_folders import AllowedFolders
from modules.gallery.index.service import PictureIndex
from modules.intake.checkpoints import CheckpointChooser, current_checkpoint
from modules.intake.detectors import detector_names
from modules.intake.feature_files import feature_files_of
from modules.intake.intake import Intake
from modules.intake.merger import MergerChooser
from modules.intake.networks import files_of
from modules.intake.script_choices import Lists, machine_lists
from modules.intake.styles import SavedStyles
from modules.jobs.access import sharing_of
from modules.jobs.clip_eyes import ClipEyes
from modules.jobs.collaborators import Collaborators, Limits
from modules.jobs.database import prepare
from modules.jobs.engine_command import engine_launch
from modules.jobs.engine_log import EngineLog
from modules.jobs.inputs import InputStore
from modules.jobs.job import Job
from modules.jobs.lock import FolderLock
from modules.jobs.picture_files import PictureFiles
from modules.jobs.service import JobService
from modules.jobs.store import JobStore
from modules.parameters import RequestError
from modules.prompt.comments import strip_comments
from modules.prompt.dynamic import WildcardFiles
from modules.settings import Flags, OptionError, OptionStore, Paths, frozen_keys, unknown_frozen
from modules.settings.logins import logins
from modules.settings.other_programs import remembered_programs
from modules.settings.paths import make_checkpoint_folder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What page and API work with. `notices` are sentences about the start: a file set aside, a flag without effect."""

    flags: Flags
    paths: Paths
    options: OptionStore
    catalogue: Catalogue
    cards: Cards
    hashing: BackgroundHashing
    styles: SavedStyles
    gallery: Gallery
    index: PictureIndex
    folders: AllowedFolders
    jobs: JobService
    engine_log: EngineLog
    lock: FolderLock
    get_models: GetModels | None
    """Fetches models; None with --offline."""
    uploads: Uploads
    notices: tuple[str, ...] = ()

    def upscalers(self) -> tuple[Upscaler, ...]:
        """The upscalers that page and API offer, read from disk now."""
        return self.catalogue.upscalers(
            real_esrgan=self.options.texts("realesrgan_enabled_models"), dat=self.options.texts("dat_enabled_models")
        )

    @property
    def lists(self) -> Lists:
        """What arguments of scripts may be chosen from, by the names of these lists."""
        return machine_lists(self.catalogue, self.upscalers, self.detectors)

    def detectors(self) -> list[str]:
        """The detectors that page and API offer, read from disk now."""
        return detector_names(self.catalogue.folders, self.options)

    def current_checkpoint(self) -> Checkpoint | None:
        """The checkpoint that the next job uses: that of the settings, else the first there is."""
        return current_checkpoint(self.catalogue, self.options.text("sd_model_checkpoint"))

    def refresh_models(self) -> None:
        """Look at the model folders again, and hash what is new."""
        self.catalogue.refresh()
        self.cards.forget()
        if not self.flags.no_hashing:
            self.hashing.wake()

    def close(self) -> None:
        """End the engine and release the data folder. Jobs that wait or run go on at the next start."""
        if self.get_models is not None:
            self.get_models.close()
        self.hashing.stop()
        self.cards.close()
        self.jobs.close()
        self.index.close()
        self.engine_log.close()
        self.lock.release()


def open_services(flags: Flags) -> Services:
    """Open the data folder, start the engine, and go on with the jobs that are left from last time.

    Raises FolderUnusable, DatabaseError, QueueFileError or FlagError, each one sentence for who starts the server.
    """
    remembered = remembered_programs(Paths.from_flags(flags).data_dir)
    flags = replace(flags, other_models=tuple(dict.fromkeys([*flags.other_models, *remembered])))
    paths = Paths.from_flags(flags)
    lock = FolderLock(paths.data_dir / "webui.lock")
    notices = prepare(paths.database)
    # The page names it as the place for checkpoints.
    make_checkpoint_folder(paths)
    options = OptionStore(paths.config_file, frozen=frozen_keys(flags))
    catalogue = Catalogue(
        ModelFolders.from_paths(paths),
        paths.cache_dir / "hashes.json",
        lambda: options.switch("list_hidden_files"),
        lambda: options.text("control_net_models_path"),
    )
    styles = SavedStyles.of(paths.styles_files, paths.data_dir)
    wildcards = WildcardFiles(lambda: _wildcard_folders(paths, options))
    gallery = Gallery(paths, options)
    index = PictureIndex(paths, options)
    engine_log = EngineLog(paths.log_dir)
    users = frozenset(user for user, _ in logins(flags))
    checkpoints = CheckpointChooser(catalogue, options, paths.vae_file)
    if paths.checkpoint_file is not None:
        _prefer(paths.checkpoint_file, catalogue, options)
    hashing = BackgroundHashing(catalogue)
    merger = MergerChooser(catalogue, new_checkpoints=flags.ckpt_dir or paths.checkpoint_dirs[0])
    jobs = JobService(
        JobStore(paths.database),
        InputStore(paths.cache_dir / "inputs"),
        Collaborators(
            resolve=Intake(
                options=options,
                checkpoints=checkpoints,
                merge_styles=styles.merge,
                style_names=styles.names,
                strip_comments=strip_comments,
                networks=catalogue.networks,
                control=catalogue.find_control,
                annotators=catalogue.folders.annotators,
                detectors=lambda: detector_names(catalogue.folders, options),
                merger=merger,
                wildcards=wildcards.snapshot,
            ).resolve,
            checkpoint_of=checkpoints.of,
            hires_checkpoint_of=checkpoints.of_hires,
            refiner_of=checkpoints.of_refiner,
            networks_of=partial(files_of, catalogue),
            feature_files=partial(feature_files_of, catalogue),
            merger_files=merger.files_of,
            after_run=lambda job: _after_run(job, merger, catalogue, None if flags.no_hashing else hashing),
            checkpoint_named=checkpoints.named,
            title_now=lambda title: _title_now(catalogue, title),
            sharing=lambda: sharing_of(users, exposed=flags.exposed, setting=options.text("queue_sharing")),
            keeps_pictures=lambda: options.switch("samples_save"),
            picture_store=PictureFiles(
                gallery, paths.cache_dir / "jobs", keep_params=not flags.no_prompt_history, on_saved=index.saved
            ),
            launch=engine_launch(flags, engine_log),
            engine_tail=engine_log.tail,
        ),
        limits=lambda: Limits(waiting=options.whole("queue_waiting_limit"), ended=options.whole("queue_ended_kept")),
    )
    cards = Cards(catalogue.folders, paths.cache_dir / "cards.json", lambda: options.switch("list_hidden_files"))
    places, arrived = (
        ModelPlaces(catalogue.folders, paths.vae_approx_dir),
        _arrived(catalogue, cards, None if flags.no_hashing else hashing),
    )
    services = Services(
        flags=flags,
        paths=paths,
        options=options,
        catalogue=catalogue,
        cards=cards,
        hashing=hashing,
        styles=styles,
        gallery=gallery,
        index=index,
        folders=AllowedFolders.at_start(paths, options, flags.gradio_allowed_path, extensible=flags.alone),
        jobs=jobs,
        engine_log=engine_log,
        lock=lock,
        get_models=None if flags.offline else GetModels(paths.data_dir, places, arrived),
        uploads=Uploads(places, arrived),
        notices=(*notices, *index.notices, *unknown_frozen(flags), *options.notices),
    )
    _start(services)
    return services


def _arrived(catalogue: Catalogue, cards: Cards, hashing: BackgroundHashing | None) -> Callable[[Path, str], None]:
    """Lists a model file that has come."""

    def arrived(path: Path, kind: str) -> None:
        catalogue.refresh()
        cards.forget()
        if hashing is not None:
            hashing.wake()

    return arrived


def _wildcard_folders(paths: Paths, options: OptionStore) -> list[Path]:
    named = options.text("wildcard_dir").strip()
    return [*([paths.data_dir / named] if named else []), *paths.wildcard_dirs]


def _start(services: Services) -> None:
    services.jobs.start()
    services.cards.start()
    services.index.start()
    services.index.open_eyes(
        ClipEyes(services.catalogue, services.jobs.ask, lambda: services.options.switch("gallery_meaning"))
    )
    if not services.flags.skip_load_model_at_start:
        try:
            services.jobs.load_checkpoint(None)
        except RequestError as error:
            _log.warning("%s", error)
    if not services.flags.no_hashing:
        services.hashing.start()
    # Walking large folders takes a while, and nobody waits for their leftovers to go.
    threading.Thread(target=_clean, args=(services,), name="clean", daemon=True).start()


def _clean(services: Services) -> None:
    services.gallery.clean()
    services.uploads.clean()
    folders = services.catalogue.folders
    for folder in {*folders.checkpoints, *folders.loras} - {*folders.foreign}:
        remove_stale_temporaries(folder)


def _after_run(job: Job, merger: MergerChooser, catalogue: Catalogue, hashing: BackgroundHashing | None) -> None:
    """Remove what a merge left half written, and list what it made."""
    if job.request.merger is None:
        return
    merger.remove_temporary(job.id)
    catalogue.refresh()
    if hashing is not None:
        hashing.wake()


def _prefer(file: Path, catalogue: Catalogue, options: OptionStore) -> None:
    """Make --ckpt's file the chosen checkpoint, as A1111 does."""
    title = next((entry.title for entry in catalogue.checkpoints() if entry.path == file), None)
    if title is None:
        _log.warning("The checkpoint of --ckpt is not there: %s.", file)
        return
    try:
        options.update({"sd_model_checkpoint": title})
    except OptionError as error:
        _log.warning("%s", error)


def _title_now(catalogue: Catalogue, title: str) -> str:
    """A title as the lists have it now: a hash may have been worked out since."""
    try:
        return catalogue.find_checkpoint(title).title
    except ModelNotFoundError:
        return title
