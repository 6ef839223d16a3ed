"""Scripts that go on from a picture: looped, grown, enlarged."""

from __future__ import annotations

from typing import Final

from modules.parameters.declaration import IMG2IMG
from modules.parameters.scripts.declaration import Argument, Script
from modules.parameters.scripts.frames import SEQUENCE

MASKED_CONTENTS: Final = ("fill", "original", "latent noise", "latent nothing")

LOOPBACK: Final = Script(
    "Loopback",
    IMG2IMG,
    (
        Argument("loops", "Loops", 4, minimum=1, maximum=32, step=1, most=1000),
        Argument(
            "final_denoising_strength",
            "Final denoising strength",
            0.5,
            minimum=0,
            maximum=1,
            step=0.01,
            infotext="Final denoising strength",
        ),
        Argument(
            "denoising_curve",
            "Denoising strength curve",
            "Linear",
            "dropdown",
            choices=("Aggressive", "Linear", "Lazy"),
            infotext="Denoising curve",
        ),
        Argument(
            "append_interrogation",
            "Append interrogated prompt at each iteration",
            "None",
            "dropdown",
            choices=("None",),
        ),
    ),
    file="loopback.py",
)

_SIDES: Final = ("left", "right", "up", "down")


def _pixels() -> Argument:
    return Argument("pixels", "Pixels to expand", 128, minimum=8, maximum=256, step=8, most=2048)


def _mask_blur(default: int) -> Argument:
    return Argument("mask_blur", "Mask blur", default, minimum=0, maximum=64, step=1)


def _direction() -> Argument:
    return Argument("direction", "Outpainting direction", list(_SIDES), "checkboxes", choices=_SIDES)


OUTPAINT: Final = Script(
    "Outpaint",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Width and Height are those of one pass: larger pictures are grown piece by piece, each as that large. "
            "A Denoising strength of 0.8 to 1 paints something new; with an inpainting checkpoint take 1.</p>",
            "note",
        ),
        _pixels(),
        Argument("overlap", "Overlap with the picture, pixels", 32, minimum=0, maximum=128, step=4, most=512),
        _mask_blur(8),
        _direction(),
    ),
    named=True,
    file="outpaint.py",
)
OUTPAINTING_MK2: Final = Script(
    "Outpainting mk2",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Recommended settings: Sampling Steps: 80-100, Sampler: Euler a, Denoising strength: 0.8</p>",
            "note",
        ),
        _pixels(),
        _mask_blur(8),
        _direction(),
        Argument("noise_q", "Fall-off exponent (lower=higher detail)", 1.0, minimum=0, maximum=4, step=0.01),
        Argument("color_variation", "Color variation", 0.05, minimum=0, maximum=1, step=0.01),
    ),
    file="outpainting_mk_2.py",
)
POOR_MANS_OUTPAINTING: Final = Script(
    "Poor man's outpainting",
    IMG2IMG,
    (
        _pixels(),
        _mask_blur(4),
        Argument("inpainting_fill", "Masked content", "fill", "radio", choices=MASKED_CONTENTS),
        _direction(),
    ),
    file="poor_mans_outpainting.py",
)
SD_UPSCALE: Final = Script(
    "SD upscale",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Will upscale the image by the selected scale factor; use width and height sliders to set tile size</p>",
            "note",
        ),
        Argument(
            "overlap", "Tile overlap", 64, minimum=0, maximum=256, step=16, most=1024, infotext="SD upscale overlap"
        ),
        Argument("upscaler", "Upscaler", "None", "radio", listed="upscalers", infotext="SD upscale upscaler"),
        Argument("scale_factor", "Scale Factor", 2.0, minimum=1, maximum=4, step=0.05, most=16),
    ),
    file="sd_upscale.py",
)

INTERPOLATE_PICTURES: Final = Script(
    "Interpolate pictures",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>From the picture above to the second one: each frame is a mixture of their latents, gone over with the "
            "prompt, the seed and the Denoising strength of this tab. Around 0.5 each is a picture of its own.</p>",
            "note",
        ),
        *SEQUENCE,
    ),
    pictures=2,
    named=True,
    file="interpolate_pictures.py",
)

ALTERNATIVE_TEST: Final = Script(
    "img2img alternative test",
    IMG2IMG,
    (
        Argument("note", "", "<p>CFG Scale should be 2 or lower.</p>", "note"),
        Argument(
            "override_sampler",
            "Override `Sampling method` to Euler?(this method is built for it)",
            True,
            "checkbox",
        ),
        Argument(
            "override_prompt",
            "Override `prompt` to the same value as `original prompt`?(and `negative prompt`)",
            True,
            "checkbox",
        ),
        Argument("original_prompt", "Original prompt", "", "textbox", infotext="Decode prompt"),
        Argument(
            "original_negative_prompt", "Original negative prompt", "", "textbox", infotext="Decode negative prompt"
        ),
        Argument("override_steps", "Override `Sampling Steps` to the same value as `Decode steps`?", True, "checkbox"),
        Argument(
            "decode_steps", "Decode steps", 50, minimum=1, maximum=150, step=1, most=1000, infotext="Decode steps"
        ),
        Argument("override_strength", "Override `Denoising strength` to 1?", True, "checkbox"),
        Argument(
            "decode_cfg",
            "Decode CFG scale",
            1.0,
            minimum=0,
            maximum=15,
            step=0.1,
            most=100,
            infotext="Decode CFG scale",
        ),
        Argument("randomness", "Randomness", 0.0, minimum=0, maximum=1, step=0.01, infotext="Randomness"),
        Argument(
            "sigma_adjustment",
            "Sigma adjustment for finding noise for image",
            False,
            "checkbox",
            infotext="Sigma Adjustment",
        ),
    ),
    file="img2imgalt.py",
)
