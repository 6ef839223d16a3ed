"""Pictures and masks as nobody should send them, through the real API: one clear sentence or a sane result, and the
next job works."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.amounts import some
from tests.endtoend.house import House, one_sentence
from tests.pictures.test_opening import header_only

pytestmark = pytest.mark.server

REQUEST = {"prompt": "a", "width": 64, "height": 64, "steps": 2, "seed": 7, "denoising_strength": 0.5, "mask_blur": 2}


def noise(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8), "RGB")


def encoded(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def _sixteen_bits() -> bytes:
    return encoded(Image.fromarray(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)))


def _animated() -> bytes:
    return encoded(noise(), "GIF", save_all=True, append_images=[Image.new("RGB", (64, 64), "red")], duration=100)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise((128, 64)), "JPEG", exif=exif)


def _clear() -> bytes:
    return encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)))


ODD: dict[str, Callable[[], bytes]] = {
    "1x1": lambda: encoded(noise((1, 1))),
    "thin": lambda: encoded(noise((3000, 1))),
    "CMYK": lambda: encoded(noise().convert("CMYK"), "JPEG"),
    "16 bit": _sixteen_bits,
    "animated": _animated,
    "turned": _turned,
    "palette": lambda: encoded(noise().convert("P")),
    "transparent": _clear,
    "one bit": lambda: encoded(noise().convert("1")),
}
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "20,000 a side": (lambda: header_only(20_000, 20_000), "megapixels"),
    "cut short": (lambda: encoded(noise((200, 200)))[:5000], "damaged"),
    "no picture": (lambda: b"<!DOCTYPE html>", "picture"),
    "empty": (lambda: b"", ""),
}


def ask(house: House, picture: bytes, mask: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """The job, ended; or a job that failed with what the refusal said."""
    body = {**REQUEST, "init_images": [base64.b64encode(picture).decode()], **fields}
    if mask is not None:
        body["mask"] = base64.b64encode(mask).decode()
    answer = house.post("/v1/jobs/img2img", **body)
    if answer.status_code != 202:
        assert answer.status_code in (404, 422), answer.text
        return {"state": "failed", "cause": str(answer.json()["detail"]), "images": []}
    return house.ended(answer.json()["id"])


def made(house: House, picture: bytes, mask: bytes | None = None, **fields: Any) -> tuple[dict[str, Any], Image.Image]:
    job = ask(house, picture, mask, **fields)
    assert job["state"] == "finished", job["cause"]
    return job, Image.open(io.BytesIO(house.picture(job["id"]))).convert("RGB")


@pytest.mark.parametrize("mode", some([0, 1, 2, 3], 1))
@pytest.mark.parametrize("name", some(ODD, 5))
def test_an_odd_picture_is_made_something_of(house: House, name: str, mode: int) -> None:
    _, result = made(house, ODD[name](), resize_mode=mode)
    assert result.size == (64, 64)


@pytest.mark.parametrize(("where", "name"), some(itertools.product(["picture", "mask"], BAD), 5))
def test_a_bad_picture_is_refused_in_a_sentence(house: House, name: str, where: str) -> None:
    write, word = BAD[name]
    pictures = (write(), None) if where == "picture" else (encoded(noise()), write())
    job = ask(house, *pictures)
    if name == "empty" and where == "mask":
        assert job["state"] == "finished"  # As if no mask had been sent.
        return
    assert job["state"] == "failed"
    assert one_sentence(job["cause"]), job["cause"]
    assert word in job["cause"]
    house.works()


@pytest.mark.parametrize("area", [False, True], ids=["whole", "only masked"])
@pytest.mark.parametrize(
    ("grey", "size"), some([(0, (64, 64)), (255, (64, 64)), (255, (16, 200)), (128, (1, 1))], 3), ids=str
)
def test_blank_full_and_misfitting_masks(house: House, area: bool, grey: int, size: tuple[int, int]) -> None:
    picture = noise()
    job, result = made(house, encoded(picture), encoded(Image.new("L", size, grey)), inpaint_full_res=area)
    assert result.size == (64, 64)
    if grey == 0 and not area:
        assert result.tobytes() == picture.tobytes()
    if grey == 0 and area:
        assert any("blank" in notice for notice in job["notices"])
    if grey == 255:
        assert result.tobytes() != picture.tobytes()


def test_no_denoising_at_all_gives_the_picture_through_the_model(house: House) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    picture = noise()
    _, result = made(house, encoded(picture), encoded(mask), denoising_strength=0, inpainting_fill=1)
    assert (np.asarray(result)[:8] == np.asarray(picture)[:8]).all()


@pytest.mark.parametrize(
    ("fields", "size"),
    [({"hr_scale": 0.5}, (64, 64)), ({"hr_resize_x": 64, "hr_resize_y": 96}, (64, 96))],
    ids=str,
)
def test_a_hires_target_smaller_than_the_first_pass(
    house: House, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    job = house.made(width=128, height=128, enable_hr=True, hr_upscaler="Lanczos", **fields)
    assert job["state"] == "finished", job["cause"]
    assert [(image["width"], image["height"]) for image in job["images"]] == [size]


@pytest.mark.parametrize("upscaler", ["R-ESRGAN 99x", "../../etc/passwd", ""])
def test_an_upscaler_that_is_not_here_is_named(house: House, upscaler: str) -> None:
    answer = house.post("/v1/jobs/txt2img", **REQUEST, enable_hr=True, hr_upscaler=upscaler)
    message = answer.json()["detail"] if answer.status_code != 202 else house.ended(answer.json()["id"])["cause"]
    assert one_sentence(message), message
    assert upscaler in message
    job = ask(house, encoded(noise()), override_settings={"upscaler_for_img2img": "R-ESRGAN 99x"})
    assert job["state"] == "failed" and "R-ESRGAN 99x" in job["cause"]


@pytest.mark.parametrize(("picture", "word"), [("abc", "base64"), ("AAAA", "picture"), ("tiny", "sides")])
def test_a_first_pass_that_is_none_is_refused(house: House, picture: str, word: str) -> None:
    text = base64.b64encode(encoded(noise((1, 1)))).decode() if picture == "tiny" else picture
    answer = house.post("/v1/jobs/txt2img", **REQUEST, firstpass_image=text)
    assert answer.status_code == 422
    assert one_sentence(answer.json()["detail"]) and word in answer.json()["detail"]


def test_a_hires_checkpoint_that_is_not_here_is_named(house: House) -> None:
    answer = house.post("/v1/jobs/txt2img", **REQUEST, enable_hr=True, hr_checkpoint_name="nowhere.safetensors")
    assert answer.status_code == 422
    assert one_sentence(answer.json()["detail"]) and "nowhere.safetensors" in answer.json()["detail"]


def test_soft_inpainting_over_the_api_as_a1111_takes_it(house: House) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (24, 24, 40, 40))
    scripts = {"soft inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    picture = noise()
    job, result = made(house, encoded(picture), encoded(mask), alwayson_scripts=scripts, inpaint_full_res=False)
    assert "Soft inpainting enabled: True" in job["images"][0]["infotext"]
    assert (np.asarray(result)[:12] == np.asarray(picture)[:12]).all()
    plain, _ = made(house, encoded(picture), alwayson_scripts=scripts)
    assert "Soft inpainting" not in plain["images"][0]["infotext"]
    scripts["soft inpainting"]["args"][3] = 0
    bad = ask(house, encoded(picture), encoded(mask), alwayson_scripts=scripts)
    assert one_sentence(bad["cause"]) and "Transition contrast boost" in bad["cause"]
