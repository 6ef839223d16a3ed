"""Every example of docs/api.md, run as it stands there against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

DOC = Path(__file__).resolve().parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"```(bash|python)\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)

pytestmark = pytest.mark.server


def run(language: str, text: str, url: str, folder: Path) -> str:
    """The output of an example, with the server's own address in place of the usual one."""
    text = text.replace("http://127.0.0.1:7860", url)
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-ec", text]
    # A curl that is answered with an error would end well otherwise.
    environment = {**os.environ, "CURL_HOME": str(folder)}
    (folder / ".curlrc").write_text("fail-with-body\n")
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_examples() -> None:
    assert [language for language, _ in EXAMPLES].count("bash") >= 4
    assert [language for language, _ in EXAMPLES].count("python") >= 2


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("curl"), reason="the examples are for bash and curl")
def test_every_example_runs(server: Any, tmp_path: Path) -> None:
    outputs = [run(language, text, server.url, tmp_path) for language, text in EXAMPLES]
    assert '"images":' in outputs[0]
    assert outputs[1].startswith("a red circle\nSteps: 2, Sampler: Euler")
    assert '"Seed":"7"' in outputs[2].replace(" ", "")
    assert any("event: state" in text and "finished" in text for text in outputs)
    for name in ("circle.png", "job.png"):
        with Image.open(tmp_path / name) as image:
            assert image.size == (64, 64)
