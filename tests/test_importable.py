"""What scripts and tests of others import, from a fresh interpreter: names, shapes of the answers, and no torch
where none is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

INFOTEXT = (
    "a lighthouse, (storm:1.2)\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x768, Version: v1.10.1"
)


def answer(code: str, *arguments: str) -> Any:
    """What `code` leaves in `result`, and the modules it loaded, from a Python that knows nothing but this folder."""
    script = f"import json, sys\n{code}\nprint(json.dumps([result, sorted(sys.modules)]))"
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_prompt_language() -> None:
    result, loaded = answer(
        "from modules.prompt import parse_attention, schedule, split_composable\n"
        "result = [parse_attention('a (b:1.2) BREAK c'), schedule('[a:b:0.25]', 20), schedule('[a:b:1.25]', 20, 8),"
        " split_composable('a :1.2 AND b')]"
    )
    assert result == [
        [["a ", 1.0], ["b", 1.2], ["", 1.0], ["BREAK", -1.0], ["c", 1.0]],
        [[5, "a"], [20, "b"]],
        [[2, "a"], [8, "b"]],
        [["a", 1.2], [" b", 1.0]],
    ]
    assert not {"torch", "transformers", "gradio"} & set(loaded)


def test_schedules() -> None:
    result, _ = answer(
        "from modules.sampling import sigma_schedule\n"
        "result = [sigma_schedule('Karras', 10), sigma_schedule('KL Optimal', 3), sigma_schedule('sgm_uniform', 1)]"
    )
    karras, kl_optimal, single = result
    assert [round(sigma, 4) for sigma in karras[:3]] == [14.6146, 9.1029, 5.4784]
    assert (len(karras), karras[-1]) == (11, 0)
    assert (len(kl_optimal), kl_optimal[-1] > 0) == (4, True)
    assert [round(sigma, 4) for sigma in single] == [14.6146, 0]


def test_infotext() -> None:
    result, loaded = answer(
        "from modules.parameters import parse_infotext\nresult = parse_infotext(sys.argv[1])", INFOTEXT
    )
    expected = {
        "Prompt": "a lighthouse, (storm:1.2)",
        "Negative prompt": "blurry",
        "Steps": "20",
        "Sampler": "DPM++ 2M Karras",
        "Schedule type": "Automatic",
        "Size-1": "512",
        "Size-2": "768",
        "Clip skip": "1",
        "RNG": "GPU",
        "Emphasis": "Original",
        "Hires resize-1": 0,
        "Refiner switch by sampling steps": False,
    }
    assert {key: result[key] for key in expected} == expected
    assert not {"torch", "transformers", "gradio"} & set(loaded)
