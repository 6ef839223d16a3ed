"""What img2img starts from: pictures and paintings made into a job's inputs, and every way this can go wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.page.form import RESIZE_BY, SCALE, SIZE_FROM
from modules.page.from_picture import scaled, with_source
from modules.page.init_pictures import CanvasPicture, Masking, paint_mask, painted, read_source
from modules.page.uploads import MOST_PICTURES, UploadStore
from modules.parameters import RequestError
from modules.pictures import PictureError
from modules.pictures.opening import open_picture
from tests.pictures.test_opening import encoded, header_only

SCENE = encoded(Image.effect_noise((40, 30), 80).convert("RGB"))


@pytest.fixture
def uploads(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path)


def painting(*boxes: tuple[int, int, int, int], colour: str = "red") -> Image.Image:
    paint = Image.new("RGBA", (40, 30))
    for box in boxes:
        paint.paste(colour, box)
    return paint


def fields(uploads: UploadStore, tab: str, picture: bytes | None = SCENE, **more: bytes) -> dict[str, str | None]:
    named = {name: uploads.put(data).id for name, data in more.items()}
    return {"tab": tab, "picture": uploads.put(picture).id if picture else None, **named}


def pixels(data: bytes) -> Image.Image:
    return open_picture(data, "x")


def test_img2img_takes_the_very_bytes(uploads: UploadStore) -> None:
    assert read_source(uploads, fields(uploads, "img2img")) == CanvasPicture(SCENE, (40, 30))


def test_a_painting_on_sketch_is_laid_over_the_picture(uploads: UploadStore) -> None:
    paint = painting((5, 5, 20, 20))
    source = read_source(uploads, fields(uploads, "sketch", paint=encoded(paint)))
    assert source.mask is None
    result, scene = pixels(source.picture), pixels(SCENE)
    assert result.getpixel((10, 10)) == (255, 0, 0)
    assert result.crop((20, 0, 40, 30)).tobytes() == scene.crop((20, 0, 40, 30)).tobytes()
    assert read_source(uploads, fields(uploads, "sketch")).picture == SCENE


def test_inpaint_takes_the_bytes_and_a_white_mask(uploads: UploadStore) -> None:
    source = read_source(uploads, fields(uploads, "inpaint", paint=encoded(painting((5, 5, 20, 20)))))
    assert source.picture == SCENE and source.mask is not None
    mask = pixels(source.mask).convert("L")
    assert mask.getbbox() == (5, 5, 20, 20) and set(mask.tobytes()) == {0, 255}


def test_a_picture_painted_over_completely_is_all_mask(uploads: UploadStore) -> None:
    source = read_source(uploads, fields(uploads, "inpaint", paint=encoded(painting((0, 0, 40, 30)))))
    assert source.mask is not None
    assert pixels(source.mask).convert("L").getextrema() == (255, 255)


def test_inpaint_sketch_takes_both(uploads: UploadStore) -> None:
    paint = encoded(painting((5, 5, 20, 20)))
    source = read_source(uploads, fields(uploads, "inpaint_sketch", paint=paint), Masking(blur=0))
    assert source.mask is not None and pixels(source.mask).convert("L").getbbox() == (5, 5, 20, 20)
    assert pixels(source.picture).getpixel((10, 10)) == (255, 0, 0)
    # Far from the painting no pixel is touched; at its seam the mask's blur softens the picture, as in A1111.
    soft = read_source(uploads, fields(uploads, "inpaint_sketch", paint=paint), Masking(blur=2))
    assert pixels(soft.picture).getpixel((5, 12)) != (255, 0, 0)
    assert pixels(soft.picture).getpixel((38, 28)) == pixels(SCENE).getpixel((38, 28))


def test_mask_transparency_thins_the_mask_of_inpaint_sketch_until_nothing_is_left(uploads: UploadStore) -> None:
    sketch = fields(uploads, "inpaint_sketch", paint=encoded(painting((5, 5, 20, 20))))
    thin = read_source(uploads, sketch, Masking(blur=0, transparency=40))
    assert thin.mask is not None and pixels(thin.mask).convert("L").getextrema() == (0, 153)
    pixel = pixels(thin.picture).getpixel((10, 10))
    assert isinstance(pixel, tuple) and 140 < pixel[0] < 255
    with pytest.raises(RequestError, match="Mask transparency leaves nothing"):
        read_source(uploads, sketch, Masking(transparency=60))


def test_a_mask_of_another_size_is_taken_and_said(uploads: UploadStore) -> None:
    mask = Image.new("L", (10, 10))
    mask.paste(255, (2, 2, 5, 5))
    source = read_source(uploads, fields(uploads, "inpaint_upload", mask=encoded(mask)))
    assert source.mask == encoded(mask)
    assert source.notice == "The mask is 10x10: it was stretched to the picture's 40x30."
    assert read_source(uploads, fields(uploads, "inpaint_upload", mask=encoded(mask.resize((40, 30))))).notice == ""


@pytest.mark.parametrize(
    ("tab", "more", "inverted", "sentence"),
    [
        ("inpaint", {}, False, "Nothing is painted"),
        ("inpaint", {"paint": encoded(painting())}, False, "Nothing is painted"),
        ("inpaint", {"paint": encoded(painting((0, 0, 40, 30)))}, True, "all white"),
        ("inpaint_upload", {}, False, "There is no mask"),
        ("inpaint_upload", {"mask": encoded(Image.new("L", (40, 30), 0))}, False, "all black"),
        ("inpaint_upload", {"mask": encoded(Image.new("L", (40, 30), 255))}, True, "all white"),
        ("inpaint_upload", {"mask": SCENE[: len(SCENE) // 2]}, False, "The mask is damaged or cut short"),
    ],
)
def test_masks_that_leave_nothing_to_do(
    uploads: UploadStore, tab: str, more: dict[str, bytes], inverted: bool, sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence) as refusal:
        read_source(uploads, fields(uploads, tab, **more), Masking(inverted=inverted))
    assert "\n" not in str(refusal.value)


def test_black_and_white_masks_count_the_other_way_round_when_inverted(uploads: UploadStore) -> None:
    for colour, inverted in ((255, False), (0, True)):
        mask = encoded(Image.new("L", (40, 30), colour))
        assert (
            read_source(uploads, fields(uploads, "inpaint_upload", mask=mask), Masking(inverted=inverted)).mask == mask
        )


def test_a_mask_in_colours_of_which_none_is_clear_goes_by_its_colours(uploads: UploadStore) -> None:
    mask = Image.new("RGBA", (40, 30), (0, 0, 0, 255))
    mask.paste((255, 255, 255, 200), (5, 5, 20, 20))
    named = fields(uploads, "inpaint_upload", mask=encoded(mask))
    for inverted in (False, True):
        assert read_source(uploads, named, Masking(inverted=inverted)).mask == encoded(mask)


def test_without_a_picture_it_says_where(uploads: UploadStore) -> None:
    for tab, title in (("img2img", "img2img"), ("inpaint_sketch", "Inpaint sketch")):
        with pytest.raises(RequestError, match=f"no picture on the {title} tab"):
            read_source(uploads, fields(uploads, tab, None))
    with pytest.raises(RequestError, match="choose it again"):
        read_source(uploads, {"tab": "img2img", "picture": "0" * 64})
    with pytest.raises(RequestError, match="The disk is full"):
        read_source(uploads, {"error": "The disk is full."})


def test_painting_makes_transparent_parts_solid() -> None:
    picture = Image.new("RGBA", (4, 4), (9, 9, 9, 0))
    paint = Image.new("RGBA", (4, 4))
    paint.putpixel((1, 1), (255, 0, 0, 255))
    result = painted(picture, paint)
    assert result.getpixel((1, 1)) == (255, 0, 0, 255) and result.getpixel((0, 0))[3] == 0  # type: ignore[index]  # a tuple in RGBA
    assert paint_mask(paint).getpixel((1, 1)) == 255


def test_the_request_names_its_pictures(uploads: UploadStore) -> None:
    values: dict[str, Any] = {"prompt": "x", "width": 64, "height": 64, "mask_blur_x": 9, "inpainting_fill": 2}
    request, inputs = with_source(values, CanvasPicture(SCENE, (40, 30), b"mask"), masked=True)
    assert request.mode == "img2img" and request.mask is not None
    assert [inputs[name] for name in (*request.init_images, request.mask)] == [SCENE, b"mask"]
    assert (request.mask_blur_x, request.mask_blur_y, request.inpainting_fill) == (9, 9, 2)
    plain, _ = with_source(values, CanvasPicture(SCENE, (40, 30)), masked=False)
    assert plain.mask is None and plain.inpainting_fill == 1


def test_resize_by_takes_the_pictures_size() -> None:
    request, _ = with_source({SIZE_FROM: RESIZE_BY, SCALE: 2.5}, CanvasPicture(SCENE, (100, 60)), masked=False)
    assert (request.width, request.height) == (248, 144)
    assert scaled((30, 30), 0.05) == (64, 64)
    with pytest.raises(RequestError, match="Scale is empty"):
        scaled((30, 30), None)
    with pytest.raises(RequestError, match="Width is 8704"):
        with_source({SIZE_FROM: RESIZE_BY, SCALE: 4}, CanvasPicture(SCENE, (2176, 60)), masked=False)


def test_the_store_holds_bytes_and_refuses_by_the_header(uploads: UploadStore) -> None:
    first = uploads.put(SCENE)
    assert (first.width, first.height, first.notice) == (40, 30, "")
    assert uploads.put(SCENE) == first and uploads.get(first.id) == SCENE
    with pytest.raises(PictureError, match="megapixels"):
        uploads.put(header_only(20_000, 20_000))
    with pytest.raises(PictureError, match="can't be read"):
        uploads.put(b"GIF89a")
    for name in ("../../etc/passwd", "", "0" * 64, first.id.upper()):
        with pytest.raises(PictureError, match="choose it again"):
            uploads.get(name)


def test_an_animation_is_said(uploads: UploadStore) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert "first frame" in uploads.put(buffer.getvalue()).notice


def test_the_oldest_pictures_go_first(uploads: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.page.uploads.MOST_PICTURES", 3)
    assert MOST_PICTURES > 3
    ids = [uploads.put(encoded(Image.new("RGB", (1, side)))).id for side in range(1, 5)]
    with pytest.raises(PictureError):
        uploads.get(ids[0])
    assert all(uploads.get(one) for one in ids[1:])
