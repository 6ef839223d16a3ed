"""docs/families.md, written from the families so that it can't fall behind."""

from pathlib import Path
from typing import Final

from modules.families import FAMILIES, Family
from modules.families.unsupported import UNSUPPORTED

_INTRODUCTION: Final = """\
<!-- Written by `python -m modules.families`; a test holds it fresh. -->

# Families of models

Checkpoints of these families load, as one file in the original layout (.safetensors or .ckpt), in 32, 16 or 8 bits,
with their VAE inside or beside them. A file's own tensors say which family it is, and all widths and depths:
narrowed, pruned and distilled models (SSD-1B, Turbo, Lightning, Hyper, DMD2) load like the published ones. txt2img,
img2img, inpainting, hires. fix, the scripts, previews and textual inversions work with each of them; an inpainting
model's nine channels and instruct-pix2pix's eight too."""
_CLIP_SKIP: Final = {"always": "acts", "sdxl_clip_l_skip": "with `sdxl_clip_l_skip`", "never": "no effect"}
_HEADER: Final = (
    "Family", "Made for", "Text encoders: clip skip", "Beside the text", "Predicts", "Empty negative prompt",
    "Scale of latents", "Tiny autoencoder", "`Align Your Steps`",
)  # fmt: skip


def families_page() -> str:
    """The text of docs/families.md."""
    lines = [_HEADER, tuple("---" for _ in _HEADER), *map(_row, FAMILIES[::-1])]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    unsupported = "\n".join(f"- {what[0].upper()}{what[1:]}." for what in UNSUPPORTED.values())
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
        ", ".join(family.added_numbers) or "nothing",
        family.prediction_type or "its file says it, or its answer to a constant",
        "zeros" if family.empty_negative_is_zero else "encoded",
        f"{family.vae_scaling_factor:g}",
        f"`{family.tiny_autoencoder}_decoder`",
        f"{family.step_tables} table",
    )
