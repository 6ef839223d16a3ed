"""The checkpoints that one job works with, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, Self

import torch
from torch import Tensor, nn

from modules.catalogue.folders import ModelFolders
from modules.engine.job_networks import JobNetworks
from modules.engine.loaded import LoadedModel, written_hashes
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import request_size
from modules.families import EDITING, INPAINTING
from modules.features.controlnet.preprocessors.run import NETWORK
from modules.features.controlnet.seen import ENCODERS
from modules.features.controlnet.sizes import auxiliary_sizes, control_sizes, loaded_controls
from modules.features.detail.sizes import DETECTORS, detector_sizes
from modules.features.shared import SharedCache, module_of
from modules.generation.codec import Codec, vae_retries
from modules.generation.decoding import decode_within_memory
from modules.generation.pipeline import FeaturesOf, Pipeline, no_features
from modules.generation.tiling import edges_joined
from modules.hardware.budget import AuxiliarySize, ControlSize
from modules.hardware.choice import Hardware
from modules.hardware.device import has_own_memory
from modules.hardware.graphs import StepGraphs
from modules.hardware.pinned_weights import onloaded
from modules.hardware.streams import Streams, streams_for
from modules.parameters import ResolvedRequest
from modules.prompt import NetworkKind
from modules.protocol import CheckpointFile, NetworkFile
from modules.sampling.samplers import STEP_CONTROLLED_SAMPLERS
from modules.weights.model import Model
from modules.weights.tiny_autoencoder import Half

# Where infotext records that a tiny autoencoder takes the place of half a VAE.
_RECORDED: Final[dict[Half, str]] = {"encoder": "VAE Encoder", "decoder": "VAE Decoder"}

_TYPE_NAMES: Final = {torch.float32: "32 bits", torch.bfloat16: "bfloat16"}


class JobModels:
    """Loads the checkpoints that the passes of a job need. One that is replaced is cached or unloaded first.

    `refiner` may go on with passes that another checkpoint began. `networks` are the files of those that its prompts
    name, `feature_files` those that its features name, by "kind/name". `shared` has what features of the jobs before
    left in memory; they look for more in `folders`, and their networks compute on `features_device`.
    """

    def __init__(
        self,
        models: ModelKeeper,
        hardware: Hardware,
        resolved: ResolvedRequest,
        refiner: CheckpointFile | None = None,
        networks: Mapping[NetworkKind, Mapping[str, NetworkFile]] | None = None,
        feature_files: Mapping[str, str] | None = None,
        shared: SharedCache | None = None,
        folders: ModelFolders | None = None,
        features_device: torch.device | None = None,
    ) -> None:
        self.refiner = refiner
        # Set by the job: what the features of its requests do.
        self.features: FeaturesOf = no_features
        self._models = models
        self._hardware = hardware
        self._resolved = resolved
        self._settings = resolved.settings
        self._feature_files = feature_files or {}
        self._shared = SharedCache() if shared is None else shared
        self._folders = folders or ModelFolders()
        self._features_device = features_device or hardware.device
        self._networks = JobNetworks(models, networks or {}, resolved.settings.networks, self._notice)
        self._edges = ExitStack()
        self._loaded: LoadedModel | None = None
        # Pictures are encoded on another thread, which needs the facts of a checkpoint that is replaced meanwhile.
        self._lock = threading.Lock()
        self._first_facts: dict[str, object] | None = None
        # Those of the checkpoint that began what the refiner goes on with.
        self._refined_facts: dict[str, object] | None = None
        # On a CPU a batch gains nothing, and one image at a time gives the same bytes whatever else is in its batch.
        alone = hardware.device.type == "cpu" and not resolved.shares_noise
        # Samplers that control their steps run image by image, and each begins before the refiner.
        labels = {one.choice.sampler.label for one in resolved.passes}
        alone = alone or (refiner is not None and not labels.isdisjoint(STEP_CONTROLLED_SAMPLERS))
        self.together = 1 if alone else resolved.request.batch_size
        self.notices: tuple[str, ...] = ()
        self.codec = Codec()
        self._replaced: set[str] = set()
        self._embedding_hashes: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._edges.close()

    def pipeline(self, file: CheckpointFile) -> Pipeline:
        """The pipeline of `file`. The one before, where it was another, is of no use from then on."""
        if self._loaded is not None and self._loaded.file != file:
            with self._lock:
                # While it is there: to hold a replaced checkpoint is to hold what is derived from it in memory.
                if self._first_facts is None:
                    self._first_facts = self._facts_of(self._loaded)
                self._add_embedding_hashes(self._loaded)
                self._loaded = None
            self._edges.close()
        self._refined_facts = None
        if self._loaded is None:
            self._loaded = self._models.load(file)
            try:
                self._arrange(self._loaded)
            except BaseException:
                self._edges.close()
                self._loaded = None
                raise
        return self.present()

    def present(self) -> Pipeline:
        """The pipeline of the checkpoint that is loaded now: of the refiner, once that has taken over."""
        if self._loaded is None:
            raise RuntimeError("no checkpoint is loaded")
        loaded, hardware = self._loaded, self._hardware
        return Pipeline(
            loaded.model,
            loaded.encoder,
            hardware.device,
            hardware.channels_last,
            self.codec,
            self._graphs(loaded),
            partial(self._networks.applied, loaded, loaded.file is self.refiner),
            None if self.refiner is None or self.refiner.path == loaded.file.path else partial(self._refine, loaded),
            self.features,
            self._controls_take_turns(),
        )

    def _refine(self, began: LoadedModel) -> Pipeline:
        assert self.refiner is not None
        facts = self._facts_of(began)
        pipeline = self.pipeline(self.refiner)
        self._refined_facts = facts
        return pipeline

    def _arrange(self, loaded: LoadedModel) -> None:
        """Prepare a checkpoint for this job, until the job or its use of the checkpoint ends."""
        if not self._settings.prompts.persistent_cond_cache:
            loaded.encoder.forget()
        self._place()
        self._edges.enter_context(edges_joined(loaded.model, self._resolved.is_tiled))
        self.codec = self._codec()

    def _graphs(self, loaded: LoadedModel) -> StepGraphs | None:
        """What replays the steps, in the fast mode and where the device has room for that."""
        plan = self._models.placement.plan
        return loaded.fast_mode.graphs if loaded.fast_mode and plan is not None and plan.recorded else None

    def _controls_take_turns(self) -> bool:
        plan = self._models.placement.plan
        return plan is not None and plan.controls_take_turns

    def _codec(self) -> Codec:
        vae = self._settings.vae
        methods: tuple[tuple[Half, str], ...] = (("encoder", vae.encode_method), ("decoder", vae.decode_method))
        found: dict[Half, nn.Module | None] = {}
        for half, method in methods:
            if method == "TAESD":
                found[half] = self.tiny(half)
                if found[half] is None:
                    self._replaced.add(_RECORDED[half])
        return Codec(vae_retries(vae), found.get("encoder"), found.get("decoder"), on_retry=self._report_retry)

    def _report_retry(self, dtype: torch.dtype) -> None:
        """Say once a job that the VAE overflows: each picture takes twice the time to decode then."""
        self._notice(
            f"The VAE overflowed in half precision (NaN) and was tried again in {_TYPE_NAMES[dtype]}; "
            "a VAE made for half precision, or the flag --no-half-vae, spares the second try."
        )

    def tiny(self, half: Half) -> nn.Module | None:
        """The tiny autoencoder's half for the loaded checkpoint; where it is missing the job says so, once."""
        if self._loaded is None:
            return None
        found = self._models.tiny(half, self._loaded.model.family)
        if isinstance(found, str):
            self._notice(f"{found}: something else was used instead.")
            return None
        return found

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices = (*self.notices, text)

    def side_streams(self) -> Streams | None:
        """The streams on which pictures are decoded alongside the next steps, where the device has room for both."""
        device, plan = self._hardware.device, self._models.placement.plan
        return streams_for(device) if device.type == "cuda" and plan is not None and plan.decodes_alongside else None

    def may_decode_previews(self) -> bool:
        """Whether the VAE may be called between steps. Where it takes the UNet's place there, a setting decides."""
        return self._models.placement.all_at_once or self._settings.previews.full_in_low_memory

    def decoded(self, latents: Tensor) -> Tensor | None:
        """Latents under way by the VAE itself, RGB (n, 3, 8h, 8w) in 0..1; what is no number becomes black."""
        if self._loaded is None:
            return None
        model = self._loaded.model
        pictures = [decode_within_memory(model.vae, latent[None], model.latent_scaling) for latent in latents]
        return ((torch.cat(pictures) + 1.0) / 2.0).nan_to_num(0.0).clamp_(0.0, 1.0)

    def _place(self) -> None:
        """Put the checkpoint where the job's size wants it. Raises OutOfBudget when nothing makes it fit."""
        assert self._loaded is not None
        controls, auxiliaries = self._beside(self._loaded.model)
        plan = self._models.fit(
            request_size(self._resolved, together=self.together, controls=controls, auxiliaries=auxiliaries)
        )
        self.together = plan.images
        self._edges.enter_context(self._models.placement.tiles(plan.tiled))
        if plan.tiled:
            self._notice(f"The picture was decoded in tiles, since there is no room for it whole: {plan.why}.")

    def _beside(self, model: Model) -> tuple[tuple[ControlSize, ...], tuple[AuxiliarySize, ...]]:
        """The control models and the networks of features that the job has beside a checkpoint."""
        itemsize, device = model.unet.dtype.itemsize, self._hardware.device
        text_width = model.text_widths[-1]
        sizes = auxiliary_sizes(self._resolved, self._feature_files, self._folders, itemsize, text_width)
        sizes |= detector_sizes(self._resolved, self._folders)
        if has_own_memory(device):
            # Room of its own, which they have left since the job before.
            controls = control_sizes(self._resolved, self._feature_files, itemsize)
            return controls, tuple(sizes.values()) if self._features_device == device else ()
        # In main memory all of them stay, those of jobs before among them, whose room isn't free.
        controls = control_sizes(self._resolved, self._feature_files, itemsize, loaded_controls(self._shared, itemsize))
        there = self._shared.files(NETWORK, ENCODERS, DETECTORS)
        staying = [ControlSize(size.weights, False) for path, size in sizes.items() if path not in there]
        staying += [replace(control, takes_turns=False) for control in controls]
        copied = device.type != "cpu"
        return tuple(staying), tuple(replace(size, weights=size.weights * copied) for size in sizes.values())

    @contextmanager
    def on_device(self, made: object) -> Iterator[None]:
        """While open, a network of a feature computes on the device, where the plan has room for it there."""
        plan, module = self._models.placement.plan, module_of(made)
        elsewhere = self._features_device.type == "cpu" or (plan is not None and plan.auxiliaries_elsewhere)
        if module is None or elsewhere:
            yield
            return
        self._models.placement.step_aside()
        with onloaded(module, self._features_device):
            yield

    def facts(self) -> dict[str, object]:
        """What infotext says of the first checkpoint. Waits for hashes that are still being worked out.

        May be called on any thread.
        """
        with self._lock:
            if self._first_facts is not None:
                return self._first_facts
            return {} if self._loaded is None else self._facts_of(self._loaded)

    def present_facts(self) -> dict[str, object]:
        """What infotext says of the checkpoint that is loaded now, or that began what the refiner goes on with."""
        if self._refined_facts is not None:
            return self._refined_facts
        return {} if self._loaded is None else self._facts_of(self._loaded)

    def begin_picture(self) -> None:
        """Start a picture whose texts may be others than those of the job's pictures before it."""
        self._embedding_hashes = {}
        if self._loaded is not None:
            self._loaded.encoder.begin_picture()

    def picture_facts(self) -> dict[str, object]:
        """What infotext says of the textual inversions in the texts of the picture that was made last."""
        if self._loaded is not None:
            self._add_embedding_hashes(self._loaded)
        return {"TI hashes": written_hashes(self._embedding_hashes) or None}

    def _add_embedding_hashes(self, loaded: LoadedModel) -> None:
        self._embedding_hashes |= loaded.embedding_hashes(loaded.encoder.embeddings_in_picture)

    def network_facts(self, index: int) -> dict[str, object]:
        """What infotext says of the networks of image `index` of the job. May be called on any thread."""
        return self._networks.hashes(self._resolved.of_image(index))

    def preview_colours(self) -> Tensor | None:
        return None if self._loaded is None else self._loaded.preview_colours()

    def _facts_of(self, loaded: LoadedModel) -> dict[str, object]:
        channels = loaded.model.unet_channels
        shown: dict[str, object] = {} if channels == EDITING else {"Image CFG scale": None}
        guidance = loaded.model.family.guidance(self._resolved.request.distilled_cfg_scale)
        if guidance is not None:
            shown["Distilled CFG Scale"] = guidance
        if channels == INPAINTING:
            shown["Conditional mask weight"] = self._settings.img2img.mask_weight
        return loaded.facts() | shown | dict.fromkeys(self._replaced)
