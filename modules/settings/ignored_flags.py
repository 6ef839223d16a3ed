"""Flags of A1111 and Forge without a meaning here: accepted, so that nobody's start script breaks, and said so."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class IgnoredFlag:
    """A flag that is read over. `takes` is argparse's nargs: nothing, one value, perhaps one, or one and more."""

    name: str
    reason: str
    takes: Literal["", "1", "?", "+"] = ""


_OWN_SHAPES = "a checkpoint's architecture is read from its weights"
_NO_INTERROGATOR = "there is no interrogator"
_NO_DOWNLOADS = "nothing is downloaded at start"
_NO_GIT = "nothing is updated through git"
_PACKAGES = "the installed packages are the tested set"
_DROPPED = "it did nothing in A1111 either"
_QUEUE = "jobs have their own queue"
_MEMORY = "memory is planned from what is free; --medvram and --lowvram override it"
_DTYPE = "the number format is chosen by hardware; --no-half, --no-half-vae and --precision override it"
_NO_EXTENSIONS = "there are no extensions"
_UNLIMITED = "the page shows its own errors and limits"

IGNORED_FLAGS: tuple[IgnoredFlag, ...] = (
    IgnoredFlag("--config", _OWN_SHAPES, "1"),
    IgnoredFlag("--textual-inversion-templates-dir", "there is no training", "1"),
    IgnoredFlag("--gfpgan-dir", "face restorers are read from --gfpgan-models-path", "1"),
    IgnoredFlag("--gfpgan-model", "every file in the GFPGAN folder is listed", "1"),
    IgnoredFlag("--ldsr-models-path", "the LDSR upscaler isn't supported", "1"),
    IgnoredFlag("--clip-models-path", _NO_INTERROGATOR, "1"),
    IgnoredFlag("--deepdanbooru", _NO_INTERROGATOR),
    IgnoredFlag("--skip-version-check", _PACKAGES),
    IgnoredFlag("--update-check", _NO_GIT),
    IgnoredFlag("--update-all-extensions", _NO_GIT),
    IgnoredFlag("--test-server", "the tests start their own server"),
    IgnoredFlag("--tests", "the tests start their own server", "?"),
    IgnoredFlag("--no-tests", "the tests start their own server"),
    IgnoredFlag("--do-not-download-clip", _NO_DOWNLOADS),
    IgnoredFlag("--no-download-sd-model", _NO_DOWNLOADS),
    IgnoredFlag("-f", "root is not refused"),
    IgnoredFlag("--use-ipex", "Intel cards are used through torch itself"),
    IgnoredFlag("--disable-model-loading-ram-optimization", "weights are read straight into place"),
    IgnoredFlag("--lowram", "weights are read straight into place"),
    IgnoredFlag("--disable-nan-check", "what is no number is decoded again or reported, which costs no step"),
    IgnoredFlag("--xformers-flash-attention", "xformers chooses its kernel itself"),
    IgnoredFlag("--disable-tls-verify", "the server asks no other over https; any certificate is served"),
    IgnoredFlag("--enable-console-prompts", "the queue and each picture show the prompt"),
    IgnoredFlag("--unix-filenames-sanitization", "names are made such that every system can hold the file"),
    IgnoredFlag("--filenames-max-length", "each part of a name has at most 128 characters", "1"),
    IgnoredFlag("--allow-code", "no script runs code that is typed into the page"),
    IgnoredFlag("--enable-insecure-extension-access", _NO_EXTENSIONS),
    IgnoredFlag("--disable-all-extensions", _NO_EXTENSIONS),
    IgnoredFlag("--disable-extra-extensions", _NO_EXTENSIONS),
    IgnoredFlag("--always-batch-cond-uncond", _DROPPED),
    IgnoredFlag("--unload-gfpgan", _DROPPED),
    IgnoredFlag("--ngrok", "there is no ngrok tunnel; --share opens Gradio's", "1"),
    IgnoredFlag("--ngrok-region", "there is no ngrok tunnel; --share opens Gradio's", "1"),
    IgnoredFlag("--ngrok-options", "there is no ngrok tunnel; --share opens Gradio's", "1"),
    IgnoredFlag("--gradio-queue", _QUEUE),
    IgnoredFlag("--no-gradio-queue", _QUEUE),
    IgnoredFlag("--add-stop-route", _DROPPED),
    IgnoredFlag("--use-textbox-seed", "the seed field takes any number"),
    IgnoredFlag("--ui-debug-mode", "the page comes up before any model is loaded"),
    IgnoredFlag("--no-progressbar-hiding", "the progress bar hides itself"),
    IgnoredFlag("--max-batch-count", _DROPPED, "1"),
    IgnoredFlag("--gradio-debug", _UNLIMITED),
    IgnoredFlag("--gradio-img2img-tool", _DROPPED, "1"),
    IgnoredFlag("--gradio-inpaint-tool", _DROPPED, "1"),
    IgnoredFlag("--show-negative-prompt", _DROPPED),
    IgnoredFlag("--disable-safe-unpickle", "pickled files are always read by the reader that executes nothing"),
    IgnoredFlag("--administrator", _DROPPED),
    IgnoredFlag("--cuda-malloc", _MEMORY),
    IgnoredFlag("--cuda-stream", _MEMORY),
    IgnoredFlag("--pin-shared-memory", _MEMORY),
    IgnoredFlag("--always-gpu", _MEMORY),
    IgnoredFlag("--always-high-vram", _MEMORY),
    IgnoredFlag("--always-normal-vram", _MEMORY),
    IgnoredFlag("--always-low-vram", _MEMORY),
    IgnoredFlag("--always-no-vram", _MEMORY),
    IgnoredFlag("--always-cpu", "say --use-cpu all"),
    IgnoredFlag("--always-offload-from-vram", _MEMORY),
    IgnoredFlag("--all-in-fp32", _DTYPE),
    IgnoredFlag("--all-in-fp16", _DTYPE),
    IgnoredFlag("--unet-in-bf16", _DTYPE),
    IgnoredFlag("--unet-in-fp16", _DTYPE),
    IgnoredFlag("--unet-in-fp8-e4m3fn", _DTYPE),
    IgnoredFlag("--unet-in-fp8-e5m2", _DTYPE),
    IgnoredFlag("--vae-in-fp16", _DTYPE),
    IgnoredFlag("--vae-in-fp32", _DTYPE),
    IgnoredFlag("--vae-in-bf16", _DTYPE),
    IgnoredFlag("--vae-in-cpu", _DTYPE),
    IgnoredFlag("--clip-in-fp16", _DTYPE),
    IgnoredFlag("--clip-in-fp32", _DTYPE),
    IgnoredFlag("--clip-in-fp8-e4m3fn", _DTYPE),
    IgnoredFlag("--clip-in-fp8-e5m2", _DTYPE),
    IgnoredFlag("--attention-split", "say --opt-split-attention"),
    IgnoredFlag("--attention-quad", "say --opt-sub-quad-attention"),
    IgnoredFlag("--attention-pytorch", "PyTorch's attention is the default"),
    IgnoredFlag("--disable-xformers", "xformers is used only with --xformers"),
    IgnoredFlag("--directml", "DirectML isn't supported", "?"),
    IgnoredFlag("--forge-ref-a1111-home", "say --data-dir", "1"),
)
