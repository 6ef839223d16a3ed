"""Record what peft's own files do, for `test_peft.py`. It is run by hand, with peft beside the tests' environment:

    python -m pip install --no-deps --target FOLDER peft==0.21.2
    PYTHONPATH=FOLDER python -m tests.weights.networks.record_peft

peft is not in that environment itself: diffusers imports it where it is, so that tests would run another program than
people do.
"""

from __future__ import annotations

import shutil
import warnings

import peft
import torch
from safetensors.torch import save_file

from tests.weights.networks.test_peft import CASES, FOLDER, REFUSED, PeftLayers, slug


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
    after = adapted.eval()(rows, picture)
    adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink()
    names = ("linear", "conv")
    unchanged = {f"before.{layer}": value for layer, value in zip(names, before, strict=True)}
    answers = {f"after.{layer}": value for layer, value in zip(names, after, strict=True)}
    save_file({**weights, "rows": rows, "picture": picture, **unchanged, **answers}, folder / "answers.safetensors")


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    with torch.no_grad(), warnings.catch_warnings():
        # peft takes its own bias for a matrix that was saved in parts.
        warnings.filterwarnings("ignore", message="Adapter 'default'")
        for case, (name, arguments) in {**CASES, **REFUSED}.items():
            record(case, name, arguments)


if __name__ == "__main__":
    main()
