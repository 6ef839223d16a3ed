"""Cards of 5,000 LoRAs over HTTP: how long the first view takes, a search, and opening the tab again.

    python -m benchmarks.cards --files 5000

A real server without an engine's work. Each file has a sidecar and a preview; headers are as long as those of real
LoRAs (`--layers`). The first start reads every file, the second one finds what it noted.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from tests.catalogue.files import write_header
from tests.server.server import Server

FAKE = "tests.server.fake_engine_server"
WORDS = ("portrait", "landscape", "ink", "anime", "photo", "castle", "dragon", "neon", "winter", "detail")
Milliseconds = float


def write_loras(folder: Path, files: int, layers: int) -> None:
    """LoRAs in forty folders, each with a sidecar and a preview."""
    parts = {"lora_down.weight": [1, 768], "lora_up.weight": [320, 1]}
    tags = json.dumps({"10_x": {f"{word} {number}": number for word in WORDS for number in range(20)}})
    shapes = {
        f"lora_unet_block_{layer}_attn2_to_k.{part}": {
            "dtype": "F16", "shape": [0, *shape[1:]], "data_offsets": [0, 0]
        }
        for layer, (part, shape) in itertools.product(range(layers), parts.items())
    }  # fmt: skip
    for number in range(files):
        metadata = {
            "ss_output_name": f"net{number}", "ss_base_model_version": "sd_v1", "ss_tag_frequency": tags,
            "sshs_model_hash": hash_of(number),
        }  # fmt: skip
        path = folder / f"{number % 40} {WORDS[number % 10]}" / f"network {number}.safetensors"
        write_header(path, {"__metadata__": metadata, **shapes}, b"")
        noted = {"description": f"{WORDS[number // 10 % 10]} number {number}", "preferred weight": 0.8}
        path.with_suffix(".json").write_text(json.dumps(noted))
        path.with_suffix(".png").write_bytes(b"a picture, which is not looked at here")


def hash_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def answered_in(client: httpx.Client, **query: str | bool) -> tuple[Milliseconds, int]:
    """How long one stretch of the list takes, and how many cards are being read still."""
    begun = time.perf_counter()
    answer = client.get("/internal/cards", params={"kind": "lora", "newest": True, **query})
    taken = 1000 * (time.perf_counter() - begun)
    return taken, int(answer.raise_for_status().json()["unread"])


def wait_for_reading(client: httpx.Client) -> float:
    """Seconds until every file has been read."""
    begun = time.perf_counter()
    while answered_in(client)[1]:
        time.sleep(0.5)
    return time.perf_counter() - begun


def searches(client: httpx.Client, rounds: int) -> list[Milliseconds]:
    """Searches as somebody types them, words and the beginnings of hashes, in every order."""
    sorts = ("path", "name", "created", "modified")
    texts = [word[: 2 + number % 5] for number, word in enumerate(WORDS)]
    texts += [hash_of(number)[: 4 + 3 * number] for number in range(3)]
    queries = itertools.islice(itertools.cycle(itertools.product(texts, sorts)), rounds)
    return [answered_in(client, search=text, sort=sort, newest=False)[0] for text, sort in queries]


def measure(files: int, layers: int, rounds: int) -> str:
    """The table of one run."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        write_loras(data / "models" / "Lora", files, layers)
        with Server(data, module=FAKE) as server, httpx.Client(base_url=server.url, timeout=600) as client:
            first, _ = answered_in(client)
            reading = wait_for_reading(client)
            server.stop()
        with Server(data, module=FAKE) as server, httpx.Client(base_url=server.url, timeout=600) as client:
            second, unread = answered_in(client)
            again = statistics.median(answered_in(client)[0] for _ in range(10))
            before = server.cpu_seconds()
            found = sorted(searches(client, rounds))
            cpu = 1000 * (server.cpu_seconds() - before) / rounds
    p95 = found[min(len(found) - 1, int(0.95 * len(found)))]
    rows = [
        ("first view, nothing read before", f"{first:.0f} ms"),
        ("until every file is read", f"{reading:.1f} s"),
        (f"first view after the next start ({unread} unread)", f"{second:.0f} ms"),
        ("the tab opened again", f"{again:.0f} ms"),
        ("a search, median", f"{statistics.median(found):.0f} ms"),
        ("a search, 95th percentile", f"{p95:.0f} ms"),
        ("a search, computing time of the server", f"{cpu:.0f} ms"),
    ]
    head = f"{files} LoRAs, load average {os.getloadavg()[0]:.1f}\n| | |\n|---|---|\n"
    return head + "\n".join(f"| {what} | {value} |" for what, value in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--layers", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    print(measure(given.files, given.layers, given.rounds))


if __name__ == "__main__":
    main()
