"""Record what peft's own files do, for `test_peft.py`. It is run by hand, with peft beside the tests' environment:

    python -m pip install --no-deps --target FOLDER peft==0.21.2
    PYTHONPATH=FOLDER python -m tests.weights.networks.record_peft

With one of the versions of `OLD_CASES` in FOLDER it records the cases of that one instead.

peft is not in that environment itself: diffusers imports it where it is, so that tests would run another program than
people do.
"""

from __future__ import annotations

import shutil
import warnings
from typing import Any
from unittest.mock import patch

import peft
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.weights.networks.test_peft import CASES, FOLDER, OLD_CASES, PeftLayers, block_diag, slug


def record(case: str, name: str, arguments: dict[str, object]) -> None:
    """Write the files of one case: a trained adapter as peft saves it, the layers it changes, and what they answer."""
    folder = FOLDER / slug(case)
    torch.manual_seed(5)
    layers = PeftLayers()
    weights = {key: value.clone() for key, value in layers.state_dict().items()}
    rows, picture = torch.randn(2, 12), torch.randn(2, 4, 5, 5)
    before = layers(rows, picture)
    adapted = peft.get_peft_model(layers, getattr(peft, name)(**arguments))
    for key, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            parameter.add_(0.3 * torch.randn_like(parameter) + 0.1 * ("magnitude" in key))
    if name == "OFTConfig":
        # Unmerged, a convolution of more than one pixel adds up patches that overlap: not what is trained.
        adapted.merge_adapter()
    after = adapted.eval()(rows, picture)
    if name == "OFTConfig":
        adapted.unmerge_adapter()
    adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink()
    names = ("linear", "conv")
    unchanged = {f"before.{layer}": value for layer, value in zip(names, before, strict=True)}
    answers = {f"after.{layer}": value for layer, value in zip(names, after, strict=True)}
    save_file({**weights, "rows": rows, "picture": picture, **unchanged, **answers}, folder / "answers.safetensors")


class _Blocks:
    """In place of PEFT's CUDA extension, without which it takes no more than one butterfly step."""

    @staticmethod
    def forward(blocks: Tensor) -> tuple[Tensor]:
        return (torch.stack([block_diag(*step) for step in blocks]),)


def main() -> None:
    old = {case: rest for case, (version, *rest) in OLD_CASES.items() if version == peft.__version__}
    cases: dict[str, Any] = old or CASES
    with torch.no_grad(), warnings.catch_warnings():
        # peft takes its own bias for a matrix that was saved in parts.
        warnings.filterwarnings("ignore", message="Adapter 'default'")
        for case, (name, arguments) in cases.items():
            shutil.rmtree(FOLDER / slug(case), ignore_errors=True)
            extension = _Blocks if "steps" in case else None
            with patch("peft.tuners.boft.layer.get_fbd_cuda", return_value=extension):
                record(case, name, arguments)


if __name__ == "__main__":
    main()
