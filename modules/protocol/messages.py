"""The messages. Commands go from the server to an engine, events come back; each is frozen and serialisable."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from modules.parameters import ResolvedRequest
from modules.parameters.load_options import LoadOptions
from modules.prompt import NetworkKind


class Message(BaseModel):
    """A frozen message. `blobs` travel beside the JSON as bytes: pictures never become base64 on the way."""

    model_config = ConfigDict(frozen=True)

    blobs: tuple[bytes, ...] = Field(default=(), exclude=True)


class CheckpointFile(BaseModel):
    """A checkpoint as the engine needs it: where it lies, what is written into pictures about it, how it is loaded."""

    model_config = ConfigDict(frozen=True)

    path: str
    title: str
    name: str
    sha256: str | None = None
    vae_path: str | None = None
    text_paths: tuple[str, ...] = ()
    load_options: LoadOptions = LoadOptions()


class NetworkFile(BaseModel):
    """The file of a network that a prompt names; `sha256` is that of a LoRA's tensors, if it is known."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str | None = None


class LoadCheckpoint(Message):
    type: Literal["load_checkpoint"] = "load_checkpoint"
    checkpoint: CheckpointFile


class UnloadCheckpoint(Message):
    type: Literal["unload_checkpoint"] = "unload_checkpoint"


class RunJob(Message):
    """Run one job. `done` are the image indexes an earlier engine already delivered: they are not made again.

    `blobs` holds the pictures that `init_images` and `mask` refer to, named in `inputs`. `pictures` are the files of
    delivered pictures, by index: the engine reads them one after the other if it makes a grid of all.
    `hires_checkpoint` is set where the hires pass runs with another checkpoint, `others` holds the checkpoints of
    images that are made with another than `checkpoint`. `refiner_checkpoint` may go on with what these begin;
    `other_refiners` is set for images that have another refiner than that, or none. `inner_checkpoints` holds those of
    features' inner jobs that have another one, by `inner_key`. `networks` are the files of the
    extra networks that its prompts name, by kind and name; what is not on this machine is not among them. So are
    `feature_files`, the model files that features name, by "kind/name".
    """

    type: Literal["run_job"] = "run_job"
    job_id: str
    resolved: ResolvedRequest
    checkpoint: CheckpointFile
    hires_checkpoint: CheckpointFile | None = None
    others: dict[int, CheckpointFile] = Field(default_factory=dict)
    refiner_checkpoint: CheckpointFile | None = None
    other_refiners: dict[int, CheckpointFile | None] = Field(default_factory=dict)
    inner_checkpoints: dict[str, CheckpointFile] = Field(default_factory=dict)
    networks: dict[NetworkKind, dict[str, NetworkFile]] = Field(default_factory=dict)
    feature_files: dict[str, str] = Field(default_factory=dict)
    done: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    pictures: dict[int, str] = Field(default_factory=dict)


def inner_key(checkpoint: str | None, vae: str | None) -> str:
    """The key of a checkpoint with a VAE in `RunJob.inner_checkpoints`; no `vae` is the checkpoint's own."""
    return f"{checkpoint}\n{vae or ''}"


class RunExtras(Message):
    """Work on finished pictures. No checkpoint is needed.

    `files` are read by the engine one after the other, for there may be a thousand; `done` are the indexes of those
    whose results an earlier engine already delivered.
    """

    type: Literal["run_extras"] = "run_extras"
    job_id: str
    resolved: ResolvedRequest
    files: tuple[str, ...]
    done: tuple[int, ...] = ()


class SourceCheckpoint(BaseModel):
    """A checkpoint that a merge reads. `name` is what recipes call it; hashes are None where they are not known yet."""

    model_config = ConfigDict(frozen=True)

    path: str
    name: str
    sha256: str | None = None
    legacy_hash: str | None = None


class MergerFiles(BaseModel):
    """What the Checkpoint Merger reads, and where its result goes: `name` is the new file's without suffix.

    `checkpoints` are in the order of the request's `models`, `loras` in that of its `loras`.
    """

    model_config = ConfigDict(frozen=True)

    checkpoints: tuple[SourceCheckpoint, ...]
    folder: str
    name: str
    vae: str | None = None
    loras: tuple[str, ...] = ()


class RunMerger(Message):
    """Make a model file of others. No checkpoint is loaded for it."""

    type: Literal["run_merger"] = "run_merger"
    job_id: str
    resolved: ResolvedRequest
    files: MergerFiles


JobCommand = RunJob | RunExtras | RunMerger
"""The command that a job goes to an engine with."""


class EncodePictures(Message):
    """What a CLIP sees in picture files, for searches by meaning: beside everything else, while no job is there.

    The answer is a `Meanings`, and soon: whatever could not be looked at because a job came is left out of it.
    """

    type: Literal["encode_pictures"] = "encode_pictures"
    request: int
    encoder: str
    files: tuple[str, ...]


class EncodeText(Message):
    """What a text means to the CLIP in `encoder`, for searches by meaning: beside everything else, a job too."""

    type: Literal["encode_text"] = "encode_text"
    request: int
    encoder: str
    text: str


class Interrupt(Message):
    """Stop the job after the current step; with `after_image`, after the batch that is being made."""

    type: Literal["interrupt"] = "interrupt"
    job_id: str
    after_image: bool = False


class Skip(Message):
    """Leave the batch that is being made and go on with the next one of the job."""

    type: Literal["skip"] = "skip"
    job_id: str


class Shutdown(Message):
    type: Literal["shutdown"] = "shutdown"


class EngineReady(Message):
    """The engine has imported torch and chosen its device. `hardware` is a sentence for the page."""

    type: Literal["engine_ready"] = "engine_ready"
    pid: int
    device: str
    hardware: str


class CachedModel(BaseModel):
    """What stays in memory beside the checkpoint in use; `size` in bytes, `on_device` false for main memory."""

    model_config = ConfigDict(frozen=True)

    name: str
    part: Literal["checkpoint", "VAE"] = "checkpoint"
    size: int
    on_device: bool = False


class MachineFacts(Message):
    """What the engine makes of its machine, each choice with its reason, for the page: sent when the engine is ready
    and whenever something of it changed. Memory is in bytes, the device's own or a CPU's main memory.

    `memory_mode` is None while no checkpoint is loaded; `weights` are the bytes of the one that is, `cached` what stays
    in memory beside it, the last used first.
    """

    type: Literal["machine_facts"] = "machine_facts"
    device: str
    device_name: str
    unet_dtype: str
    vae_dtype: str
    text_dtype: str
    dtype_why: str
    attention: str
    attention_why: str
    channels_last: bool
    threads: int
    memory_mode: str | None = None
    memory_why: str = ""
    fast_mode: str = ""
    free_memory: int | None = None
    total_memory: int | None = None
    weights: int = 0
    cached: tuple[CachedModel, ...] = ()


class CheckpointLoading(Message):
    type: Literal["checkpoint_loading"] = "checkpoint_loading"
    title: str


class CheckpointLoaded(Message):
    """`width` and `height` are the checkpoint's native size in pixels, where it states one. `read` says whether its
    file was read; one that was cached in memory comes back without.
    """

    type: Literal["checkpoint_loaded"] = "checkpoint_loaded"
    title: str
    seconds: float
    read: bool = True
    width: int | None = None
    height: int | None = None


class CheckpointFailed(Message):
    type: Literal["checkpoint_failed"] = "checkpoint_failed"
    title: str
    cause: str


class JobStarted(Message):
    type: Literal["job_started"] = "job_started"
    job_id: str
    images: int


class StepDone(Message):
    """`step` of `steps` of the current batch is done; `fraction` is the share of the whole job, 0..1."""

    type: Literal["step_done"] = "step_done"
    job_id: str
    batch: int
    step: int
    steps: int
    fraction: float


class Preview(Message):
    """A small picture of the latents under way in `blobs[0]`, encoded as `mime`."""

    type: Literal["preview"] = "preview"
    job_id: str
    batch: int
    step: int
    mime: str


class ImageReady(Message):
    """One encoded picture in `blobs[0]`, its infotext already inside. `index` counts images over the whole job.

    `kind` is `image`, `grid`, or the suffix of an extra picture (`mask`, `before-highres-fix`, ...);
    grids and extras carry the index of the image they belong to. `save` is false for pictures only to be returned.
    """

    type: Literal["image_ready"] = "image_ready"
    job_id: str
    index: int
    kind: str = "image"
    extension: str
    infotext: str
    seed: int
    subseed: int
    width: int
    height: int
    save: bool = True


class MemoryPeak(BaseModel):
    """The most memory that a job took, in bytes: `used` of the `total` of its device, or of main memory where it shares
    that, whoever took it. Of it `allocated` by this engine, and `reserved` by torch on a device of its own.
    """

    model_config = ConfigDict(frozen=True)

    used: int
    total: int
    allocated: int
    reserved: int | None = None


class Meanings(Message):
    """The answer to `EncodePictures` and `EncodeText`: in each blob a vector of length 1 as 32-bit floats; an empty one
    for a picture that can't be opened. `failure` is the sentence for why the encoder's file is of no use.
    """

    type: Literal["meanings"] = "meanings"
    request: int
    failure: str = ""


class JobFinished(Message):
    type: Literal["job_finished"] = "job_finished"
    job_id: str
    seconds: float
    interrupted: bool = False
    notices: tuple[str, ...] = ()
    memory: MemoryPeak | None = None


class JobFailed(Message):
    """`cause` is one sentence for the person; `retry` says whether the same request could work another time."""

    type: Literal["job_failed"] = "job_failed"
    job_id: str
    cause: str
    retry: bool = False


class Notice(Message):
    type: Literal["notice"] = "notice"
    text: str
    level: Literal["info", "warning", "error"] = "info"


Command = Annotated[
    LoadCheckpoint | UnloadCheckpoint | JobCommand | EncodePictures | EncodeText | Interrupt | Skip | Shutdown,
    Field(discriminator="type"),
]
Event = Annotated[
    EngineReady
    | MachineFacts
    | CheckpointLoading
    | CheckpointLoaded
    | CheckpointFailed
    | JobStarted
    | StepDone
    | Preview
    | ImageReady
    | Meanings
    | JobFinished
    | JobFailed
    | Notice,
    Field(discriminator="type"),
]
