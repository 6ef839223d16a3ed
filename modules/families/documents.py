"""docs/families.md, written from the families so that it can't fall behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modules.families import EDM_TRAINING, FAMILIES, Family, ignored_settings
from modules.families.prediction import LineOfSizes, LinesOfSizesAndSteps
from modules.families.unsupported import BY_INPUT, KONTEXT, UNSUPPORTED

_INTRODUCTION: Final = """\
<!-- Written by `python -m modules.families`; a test holds it fresh. -->

# Families of models

Checkpoints of these families load, as one file in the original layout (.safetensors or .ckpt), in 32, 16 or 8 bits,
with their VAE inside or beside them; those of transformers in ComfyUI's split files too, with scales beside 8 bits
([models.md](models.md)). A file's own tensors say which family it is, and all widths and depths:
narrowed, pruned and distilled models (SSD-1B, Turbo, Lightning, Hyper, DMD2) load like the published ones. txt2img,
img2img, inpainting, hires. fix, the scripts and previews work with each of them, textual inversions with all that
listen to the tokens of CLIP, ControlNet, Tiling and what works inside of a UNet with all that have one; an inpainting
model's nine channels and instruct-pix2pix's eight too. Stable Diffusion 2's depth model works on img2img, where it
keeps the depth of the picture, as MiDaS inside its file estimates it. Samplers that go by timesteps (DDIM, DDIM CFG++,
PLMS, UniPC, LCM, TCD) are refused with models that have none, and those that can't sample a flow with models of flow
matching: each with a sentence that names one that can. A refiner, or a hires checkpoint behind a latent upscaler, has
to be of the same latents: Stable Diffusion 1 and 2 share theirs, so do Stable Diffusion XL, its refiner and CosXL, and
Z-Image and Flux.1, and both sizes of Flux.2 klein, which paints sizes in multiples of 16 and is shown the picture of
img2img as a reference.

Where a setting does nothing with the chosen checkpoint, the page says so beside it."""
_CLIP_SKIP: Final = {"always": "acts", "sdxl_clip_l_skip": "with `sdxl_clip_l_skip`", "never": "no effect"}
_HEADER: Final = (
    "Family", "Made for", "Text encoders: clip skip", "Beside the text", "Predicts", "Empty negative prompt",
    "Scale of latents", "Tiny autoencoder", "`Align Your Steps`", "Settings without effect",
)  # fmt: skip


def families_page() -> str:
    """The text of docs/families.md."""
    lines = [_HEADER, tuple("---" for _ in _HEADER), *map(_row, FAMILIES[::-1])]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    refused = dict.fromkeys((*UNSUPPORTED.values(), *BY_INPUT.values(), f"{KONTEXT}, where its metadata says so"))
    unsupported = "\n".join(f"- {what[0].upper()}{what[1:]}." for what in refused)
    return f"{_INTRODUCTION}\n\n{table}\n\n## Not loaded, and refused by name\n\n{unsupported}\n"


def write_page(folder: Path) -> None:
    """Write the page into `folder`."""
    (folder / "families.md").write_text(families_page(), encoding="utf-8")


def _row(family: Family) -> tuple[str, ...]:
    width, height = family.resolution
    encoders = (f"`{facts.role}`: {_CLIP_SKIP[facts.clip_skip]}" for facts in family.text_encoders)
    return (
        family.label,
        f"{width}×{height}",
        "; ".join(encoders),
        ", ".join(_beside_text(family)) or "nothing",
        _prediction(family),
        "zeros" if family.empty_negative_is_zero else "encoded",
        "statistics of its VAE, four cells in one"
        if family.latent_patch > 1
        else f"{family.vae_scaling_factor:g}"
        + f", less {family.vae_shift:g} before" * bool(family.vae_shift)
        + ", of each channel's normal form" * bool(family.latents_mean),
        "none" if family.latent_patch > 1 else f"`{family.tiny_autoencoder}_decoder`",
        "refused" if family.flow is not None else f"{family.step_tables} table",
        ", ".join(f"`{key}`" for key in ignored_settings(family)) or "none",
    )


def _beside_text(family: Family) -> Iterator[str]:
    yield from family.added_numbers
    yield from (f"the vector of `{facts.role}`" for facts in family.text_encoders if facts.only_pooled)
    if family.distilled_guidance is not None:
        yield f"guidance ({family.distilled_guidance:g})"


def _prediction(family: Family) -> str:
    if family.prediction_type is None:
        return "its file says it, or its answer to a constant"
    if family.flow is not None:
        by_size = {LineOfSizes: ", by size on Automatic", LinesOfSizesAndSteps: ", by size and steps on Automatic"}
        return f"flow (shift {family.flow.shift:g}{by_size.get(type(family.flow.by_size), '')})"
    training = EDM_TRAINING.get(family.prediction_type)
    noise = "" if training is None else f" (noise {training.sigma_min:g} to {training.sigma_max:g}, no timesteps)"
    return family.prediction_type + noise
