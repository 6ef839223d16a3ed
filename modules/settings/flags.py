"""The command line's values: one field per flag, which is also its declaration (default, kind, meaning, group)."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypedDict, Unpack

DEFAULT_PORT = 7860
DEFAULT_API_PORT = 7861


class FlagError(ValueError):
    """The command line can't be understood; the message is one sentence for the person who typed it."""


@dataclass(frozen=True, slots=True)
class FlagAbout:
    """What the parser and docs/flags.md need beyond a field's name, type and default."""

    group: str
    meaning: str
    choices: tuple[str, ...] = ()
    repeated: bool = False
    minimum: int | None = None
    maximum: int | None = None
    secret: bool = False


class FlagExtras(TypedDict, total=False):
    """What a declaration may add to group and meaning; see `FlagAbout`."""

    choices: tuple[str, ...]
    repeated: bool
    minimum: int
    maximum: int
    secret: bool


def about(group: str, meaning: str, **more: Unpack[FlagExtras]) -> dict[str, FlagAbout]:
    """Metadata of one field of `Flags`."""
    return {"about": FlagAbout(group, meaning, **more)}


FILES, LAUNCH, MEMORY, ATTENTION = "Files and folders", "Launcher", "Precision and memory", "Attention"
NETWORK, API, PAGE = "Network", "API", "Page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Everything the command line said. Names are A1111's; a field's type is the flag's kind."""

    data_dir: Path | None = field(default=None, metadata=about(FILES, "where models, outputs and settings live"))
    models_dir: Path | None = field(
        default=None, metadata=about(FILES, "the models folder, instead of models/ in the data folder")
    )
    ckpt: Path | None = field(default=None, metadata=about(FILES, "checkpoint to load at start; it is listed too"))
    ckpt_dir: Path | None = field(default=None, metadata=about(FILES, "one more folder with checkpoints"))
    vae_dir: Path | None = field(default=None, metadata=about(FILES, "one more folder with VAE files"))
    vae_path: Path | None = field(
        default=None, metadata=about(FILES, "VAE file used for everything; the VAE setting is then without effect")
    )
    lora_dir: Path | None = field(
        default=None, metadata=about(FILES, "the LoRA folder, instead of Lora in the models folder")
    )
    lyco_dir_backcompat: Path | None = field(
        default=None, metadata=about(FILES, "a second LoRA folder, instead of LyCORIS in the models folder")
    )
    embeddings_dir: Path | None = field(
        default=None, metadata=about(FILES, "the textual inversion folder, instead of embeddings/ in the data folder")
    )
    hypernetwork_dir: Path | None = field(
        default=None, metadata=about(FILES, "the hypernetwork folder, instead of hypernetworks in the models folder")
    )
    controlnet_dir: Path | None = field(
        default=None, metadata=about(FILES, "another folder of ControlNets and their like, beside ControlNet in models")
    )
    other_models: tuple[str, ...] = field(
        default=(),
        metadata=about(
            FILES,
            "folder of A1111, Forge, ComfyUI, InvokeAI, StabilityMatrix or SwarmUI whose models are used where they "
            "are; may be given more than once",
            repeated=True,
        ),
    )
    esrgan_models_path: Path | None = field(default=None, metadata=about(FILES, "the ESRGAN folder"))
    bsrgan_models_path: Path | None = field(default=None, metadata=about(FILES, "the BSRGAN folder"))
    realesrgan_models_path: Path | None = field(default=None, metadata=about(FILES, "the RealESRGAN folder"))
    dat_models_path: Path | None = field(default=None, metadata=about(FILES, "the DAT folder"))
    scunet_models_path: Path | None = field(default=None, metadata=about(FILES, "the ScuNET folder"))
    swinir_models_path: Path | None = field(default=None, metadata=about(FILES, "the SwinIR folder"))
    gfpgan_models_path: Path | None = field(default=None, metadata=about(FILES, "the GFPGAN folder"))
    codeformer_models_path: Path | None = field(default=None, metadata=about(FILES, "the CodeFormer folder"))
    localizations_dir: Path | None = field(default=None, metadata=about(FILES, "the folder with translations"))
    styles_file: tuple[str, ...] = field(
        default=(), metadata=about(FILES, "styles file, may hold wildcards; may be given more than once", repeated=True)
    )
    ui_config_file: Path | None = field(default=None, metadata=about(FILES, "where the page's defaults are kept"))
    ui_settings_file: Path | None = field(default=None, metadata=about(FILES, "where the settings are kept"))

    skip_python_version_check: bool = field(
        default=False, metadata=about(LAUNCH, "start with a Python that is too old or too new, at your own risk")
    )
    skip_torch_cuda_test: bool = field(
        default=False, metadata=about(LAUNCH, "don't check that torch can use the NVIDIA card")
    )
    skip_prepare_environment: bool = field(
        default=False, metadata=about(LAUNCH, "check and install nothing, just start")
    )
    skip_install: bool = field(default=False, metadata=about(LAUNCH, "install nothing; the checks are still made"))
    reinstall_torch: bool = field(default=False, metadata=about(LAUNCH, "install torch again"))
    reinstall_xformers: bool = field(default=False, metadata=about(LAUNCH, "install xformers again"))
    exit: bool = field(default=False, metadata=about(LAUNCH, "stop when everything is installed"))
    loglevel: str = field(
        default="INFO",
        metadata=about(LAUNCH, "how much is logged", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    )
    log_startup: bool = field(default=False, metadata=about(LAUNCH, "log every step of the start with its time"))
    dump_sysinfo: bool = field(
        default=False, metadata=about(LAUNCH, "write versions and hardware to a file, without secrets, and stop")
    )
    no_hashing: bool = field(default=False, metadata=about(LAUNCH, "never compute a model's sha256"))

    no_half: bool = field(default=False, metadata=about(MEMORY, "compute everything in 32 bits"))
    no_half_vae: bool = field(default=False, metadata=about(MEMORY, "compute the VAE in 32 bits"))
    precision: str = field(
        default="autocast",
        metadata=about(
            MEMORY,
            "full: 32 bits; half and autocast: what the hardware is good at",
            choices=("full", "half", "autocast"),
        ),
    )
    upcast_sampling: bool = field(default=False, metadata=about(MEMORY, "16-bit weights, attention in 32 bits"))
    medvram: bool = field(
        default=False, metadata=about(MEMORY, "keep one of text encoder, UNet and VAE on the card at a time")
    )
    medvram_sdxl: bool = field(default=False, metadata=about(MEMORY, "as --medvram, for SDXL models only"))
    lowvram: bool = field(
        default=False, metadata=about(MEMORY, "stream the UNet block by block; slowest, least memory")
    )
    opt_channelslast: bool = field(
        default=False, metadata=about(MEMORY, "channels-last memory layout, also where it isn't the default")
    )
    use_cpu: tuple[str, ...] = field(
        default=(),
        metadata=about(MEMORY, "parts that run on the CPU: all, sd, esrgan, gfpgan, codeformer, swinir, dat"),
    )
    device_id: int | None = field(default=None, metadata=about(MEMORY, "number of the card to use", minimum=0))

    xformers: bool = field(
        default=False,
        metadata=about(ATTENTION, "install and use xformers where it can work, PyTorch's own attention elsewhere"),
    )
    force_enable_xformers: bool = field(
        default=False, metadata=about(ATTENTION, "as --xformers, without asking whether it can work")
    )
    opt_sdp_attention: bool = field(default=False, metadata=about(ATTENTION, "PyTorch's attention (the default)"))
    opt_sdp_no_mem_attention: bool = field(
        default=False, metadata=about(ATTENTION, "PyTorch's attention without the memory-efficient kernel")
    )
    opt_split_attention: bool = field(
        default=False, metadata=about(ATTENTION, "attention in slices chosen from free memory")
    )
    opt_split_attention_v1: bool = field(default=False, metadata=about(ATTENTION, "attention in small slices"))
    opt_split_attention_invokeai: bool = field(
        default=False, metadata=about(ATTENTION, "attention in slices, the InvokeAI rule")
    )
    opt_sub_quad_attention: bool = field(
        default=False, metadata=about(ATTENTION, "attention in chunks of queries and keys, least memory")
    )
    sub_quad_q_chunk_size: int = field(
        default=1024, metadata=about(ATTENTION, "queries per chunk of --opt-sub-quad-attention", minimum=1)
    )
    sub_quad_kv_chunk_size: int | None = field(
        default=None, metadata=about(ATTENTION, "keys per chunk of --opt-sub-quad-attention", minimum=1)
    )
    sub_quad_chunk_threshold: int | None = field(
        default=None,
        metadata=about(
            ATTENTION, "per cent of memory under which --opt-sub-quad-attention doesn't chunk", minimum=0, maximum=100
        ),
    )
    disable_opt_split_attention: bool = field(default=False, metadata=about(ATTENTION, "the plain attention, unsliced"))

    listen: bool = field(default=False, metadata=about(NETWORK, "serve every network address, not this machine only"))
    server_name: str | None = field(default=None, metadata=about(NETWORK, "address or name to serve on"))
    port: int | None = field(
        default=None,
        metadata=about(
            NETWORK, "port to serve on; 7860, or 7861 with --nowebui, when not given", minimum=0, maximum=65535
        ),
    )
    share: bool = field(default=False, metadata=about(NETWORK, "a public address through Gradio's tunnel"))
    allowed_hosts: str | None = field(
        default=None,
        metadata=about(
            NETWORK, "more names by which this server may be called, comma-separated; *.name for every name below one"
        ),
    )
    subpath: str | None = field(
        default=None, metadata=about(NETWORK, "path under which a reverse proxy serves the page")
    )
    trusted_proxies: str | None = field(
        default=None,
        metadata=about(
            NETWORK,
            "addresses of reverse proxies whose X-Forwarded headers count, comma-separated; loopback counts",
        ),
    )
    tls_keyfile: Path | None = field(default=None, metadata=about(NETWORK, "private key for https"))
    tls_certfile: Path | None = field(default=None, metadata=about(NETWORK, "certificate for https"))
    cors_allow_origins: str | None = field(
        default=None, metadata=about(NETWORK, "foreign origins that may use the API, comma-separated")
    )
    cors_allow_origins_regex: str | None = field(
        default=None, metadata=about(NETWORK, "the same as one regular expression")
    )
    gradio_auth: str | None = field(
        default=None, metadata=about(NETWORK, "user:password for page and API, several comma-separated", secret=True)
    )
    gradio_auth_path: Path | None = field(
        default=None, metadata=about(NETWORK, "file with user:password entries, for they show in no process list there")
    )
    gradio_allowed_path: tuple[str, ...] = field(
        default=(),
        metadata=about(
            NETWORK, "one more folder whose files the page may show; may be given more than once", repeated=True
        ),
    )
    offline: bool = field(default=False, metadata=about(NETWORK, "fetch no models: there is no tab Get models"))
    timeout_keep_alive: int = field(
        default=30, metadata=about(NETWORK, "seconds an idle connection is kept", minimum=1)
    )

    api: bool = field(default=False, metadata=about(API, "serve /sdapi/v1 beside the page"))
    nowebui: bool = field(default=False, metadata=about(API, "serve the API only"))
    api_auth: str | None = field(
        default=None, metadata=about(API, "user:password for the API, several comma-separated", secret=True)
    )
    api_log: bool = field(default=False, metadata=about(API, "log each API call"))
    api_server_stop: bool = field(default=False, metadata=about(API, "let API clients stop and restart the server"))
    skip_load_model_at_start: bool = field(default=False, metadata=about(API, "load the checkpoint with the first job"))

    autolaunch: bool = field(default=False, metadata=about(PAGE, "open the page in the browser"))
    theme: str | None = field(
        default=None, metadata=about(PAGE, "light or dark; else the system's choice", choices=("light", "dark"))
    )
    hide_ui_dir_config: bool = field(
        default=False, metadata=about(PAGE, "no folders in the settings, no folder buttons")
    )
    freeze_settings: bool = field(default=False, metadata=about(PAGE, "no setting can be changed"))
    freeze_settings_in_sections: str | None = field(
        default=None, metadata=about(PAGE, "sections whose settings can't be changed, comma-separated")
    )
    freeze_specific_settings: str | None = field(
        default=None, metadata=about(PAGE, "settings that can't be changed, comma-separated keys")
    )
    disable_console_progressbars: bool = field(default=False, metadata=about(PAGE, "no progress bars in the terminal"))
    no_prompt_history: bool = field(
        default=False, metadata=about(PAGE, "don't keep the last picture's parameters in params.txt")
    )

    notices: tuple[str, ...] = ()

    @property
    def effective_port(self) -> int:
        """The port to bind: --port, else 7860 for the page and 7861 for the API alone."""
        if self.port is not None:
            return self.port
        return DEFAULT_API_PORT if self.nowebui else DEFAULT_PORT

    @property
    def host(self) -> str:
        """The address to bind: --server-name, else every address with --listen, else loopback only."""
        return self.server_name or ("0.0.0.0" if self.listen else "127.0.0.1")

    @property
    def exposed(self) -> bool:
        """Whether machines other than this one may reach the server."""
        loopback = self.server_name in (None, "127.0.0.1", "localhost", "::1")
        return self.listen or self.share or not loopback

    @property
    def alone(self) -> bool:
        """Whether nobody but the person at this machine can come in: no network, no proxy, no logins for several."""
        invites = (self.subpath, self.trusted_proxies, self.gradio_auth, self.gradio_auth_path)
        return not self.exposed and not any(invites)

    def public(self) -> dict[str, Any]:
        """Flag values as JSON, for /sdapi/v1/cmd-flags and sysinfo. Of a secret flag only that it is set is shown."""
        values: dict[str, Any] = {}
        for one in fields(self):
            if "about" not in one.metadata:
                continue
            value = getattr(self, one.name)
            if one.metadata["about"].secret and value is not None:
                value = "(set)"
            values[one.name] = (
                str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            )
        return values
