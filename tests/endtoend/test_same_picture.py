"""Same seed, same bytes: across a restart, in a batch or alone, and after other checkpoints were in memory."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from modules.parameters import parse_infotext
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.endtoend.house import FLAGS, House
from tests.server.server import Server

pytestmark = pytest.mark.server
SWITCHES = 10


def pixels(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.tobytes()


def parameters(data: bytes) -> dict[str, object]:
    return dict(parse_infotext(Image.open(io.BytesIO(data)).text["parameters"]))  # type: ignore[attr-defined]  # PNG pictures have texts


@pytest.mark.parametrize("sampler", some(["Euler a", "DPM++ 2M"], 1))
def test_alone_in_a_batch_and_after_a_restart(house: House, sampler: str) -> None:
    batch = house.made(seed=40, batch_size=3, n_iter=2, sampler_name=sampler, steps=4)
    kinds = [image["kind"] for image in batch["images"]]
    whole = {
        image["seed"]: pixels(house.picture(batch["id"], number))
        for number, image in enumerate(batch["images"])
        if kinds[number] == "image"
    }
    assert sorted(whole) == [40, 41, 42, 43, 44, 45] and kinds.count("grid") == 1
    assert len(set(whole.values())) == 6
    alone = house.made(seed=44, sampler_name=sampler, steps=4)
    assert pixels(house.picture(alone["id"])) == whole[44]
    house.server.stop()
    house.server.start()
    restarted = house.made(seed=44, sampler_name=sampler, steps=4)
    assert house.picture(restarted["id"]) == house.picture(alone["id"])
    other = house.made(seed=44, sampler_name=sampler, steps=4, prompt="a green square")
    assert pixels(house.picture(other["id"])) != whole[44]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_switches_leave_the_memory_where_it_was_and_the_pictures_too(house: House) -> None:
    write_tiny_checkpoint(house.models / "second.safetensors", seed=9)
    house.post("/sdapi/v1/refresh-checkpoints")

    def switched(name: str) -> tuple[bytes, int]:
        job = house.made(override_settings={"sd_model_checkpoint": name})
        assert job["state"] == "finished", job["cause"]
        status = Path(f"/proc/{house.engine_pid()}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        return pixels(house.picture(job["id"])), resident

    names = ("good.safetensors", "second.safetensors")
    first = {name: switched(name)[0] for name in names}
    assert first[names[0]] != first[names[1]]
    before = switched(names[0])[1]
    for turn in range(SWITCHES):
        picture, after = switched(names[(turn + 1) % 2])
        assert picture == first[names[(turn + 1) % 2]]
    # One checkpoint of these is 18 MB in 32 bits: ten that stayed would be 180.
    assert after - before < 40_000, f"{before} kB before, {after} kB after {SWITCHES} switches"


@pytest.mark.long
def test_what_a_card_says_that_its_checkpoint_predicts_acts_until_it_is_said_no_more(house: House) -> None:
    card = {"kind": "checkpoints", "name": "good.safetensors"}

    def made(prediction: str) -> bytes:
        saved = house.post("/internal/cards/details", **card, texts={"prediction": prediction})
        assert saved.json()["values"]["prediction"] == prediction, saved.text
        assert "v_prediction" in saved.json()["predictions"]
        job = house.made(override_settings={"sd_model_checkpoint": "good.safetensors"})
        return pixels(house.picture(job["id"]))

    first, other = made(""), made("v_prediction")
    assert first != other and made("") == first


def test_what_a_file_says_about_itself(house: House) -> None:
    job = house.made(seed=5, n_iter=2, prompt="a (red:1.3) [circle]", negative_prompt="green", cfg_scale=6.5)
    folder = next((house.outputs / "txt2img-images").iterdir())
    (path,) = folder.glob("*-6.png")
    assert path.stem[:5].isdigit() and len(path.stem.split("-")[0]) == 5
    assert [len(part) for part in folder.name.split("-")] == [4, 2, 2]
    parsed = parameters(path.read_bytes())
    assert (parsed["Prompt"], parsed["Negative prompt"]) == ("a (red:1.3) [circle]", "green")
    assert (parsed["Steps"], parsed["CFG scale"], parsed["Seed"], parsed["Model"]) == ("2", "6.5", "6", "good")
    assert Image.open(path).text["parameters"] == job["images"][-1]["infotext"]  # type: ignore[attr-defined]  # PNG pictures have texts
    grids = sorted((house.outputs / "txt2img-grids").rglob("grid-*.png"))
    assert grids and parameters(grids[-1].read_bytes())["Seed"] == "5"


@pytest.mark.long
def test_without_a_half_type_flag_the_processor_decides(tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "good.safetensors")
    with Server(tmp_path, *FLAGS[:2], module="modules.server") as server:
        house = House(server)
        first, second = (house.made() for _ in range(2))
        assert pixels(house.picture(first["id"])) == pixels(house.picture(second["id"]))
        sentence = house.engine()["details"]
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        if "avx512_bf16" in flags or "amx_bf16" in flags:
            assert "bf16" in sentence
        assert "fp16" not in sentence
