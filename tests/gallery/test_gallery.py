"""Where pictures go: A1111's folders and names, no two alike, whatever else writes there."""

import hashlib
import io
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.files import SaveError
from modules.gallery import Gallery
from modules.parameters import BatchFile

NOW = datetime(2026, 11, 21, 21, 30, 5)


def picture(size: Any = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG")
    return file.getvalue()


def test_the_first_picture_of_a_day(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    path = gallery.reserve(resolved(), 0, "image", NOW)
    assert path == tmp_path / "outputs/txt2img-images/2026-11-21/00000-1234.png"
    assert not path.parent.exists()


def test_numbers_go_on_from_the_largest_on_disk(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/txt2img-images/2026-11-21"
    folder.mkdir(parents=True)
    for name in ("00007-5.png", "00003.png", "12-x.txt", "99notanumber.png", "9" * 40 + "-x.png", "grid-0500.png"):
        (folder / name).touch()
    assert gallery.reserve(resolved(), 0, "image", NOW).name == "00013-1234.png"


def test_numbers_beyond_five_digits(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/txt2img-images/2026-11-21"
    folder.mkdir(parents=True)
    (folder / "99999-1.png").touch()
    assert gallery.reserve(resolved(), 0, "image", NOW).name == "100000-1234.png"


def test_each_image_of_a_job_has_its_own_seed_and_number(gallery: Gallery, resolved: Any) -> None:
    job = resolved(batch_size=2, n_iter=2)
    names = [gallery.reserve(job, index, "image", NOW).name for index in range(4)]
    assert names == ["00000-1234.png", "00001-1235.png", "00002-1236.png", "00003-1237.png"]


def test_grids_and_extra_pictures(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    job = resolved()
    grid = gallery.reserve(job, 0, "grid", NOW)
    assert grid == tmp_path / "outputs/txt2img-grids/2026-11-21/grid-0000.png"
    assert gallery.reserve(job, 0, "xyz_grid", NOW).name == "xyz_grid-0000-1234.png"
    assert gallery.reserve(job, 0, "before-highres-fix", NOW).name == "00000-1234-before-highres-fix.png"
    assert gallery.reserve(job, 0, "image", NOW).name == "00001-1234.png"
    extended = resolved({"grid_extended_filename": True})
    assert gallery.reserve(extended, 0, "grid", NOW).name == "grid-0001-1234.png"


def test_img2img_has_its_own_folder(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    path = gallery.reserve(resolved(mode="img2img"), 0, "image", NOW, extension="webp")
    assert path == tmp_path / "outputs/img2img-images/2026-11-21/00000-1234.webp"


def test_without_subfolders_the_prompt_is_in_the_name(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    path = gallery.reserve(resolved({"save_to_dirs": False}, prompt="a cat: big?"), 0, "image", NOW)
    assert path == tmp_path / "outputs/txt2img-images/00000-1234-a cat_ big_.png"


def test_an_empty_directory_pattern_means_words_of_the_prompt(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    job = resolved({"directories_filename_pattern": ""}, prompt="one, (two:1.2) three four five six seven eight nine")
    assert gallery.reserve(job, 0, "image", NOW).parent.name == "one two 1 2 three four five six"


def test_folders_come_from_the_server_and_never_from_a_request(
    gallery: Gallery, options: Any, resolved: Any, tmp_path: Path
) -> None:
    job = resolved({"outdir_txt2img_samples": "/somewhere/else", "outdir_samples": "/else"})
    assert gallery.reserve(job, 0, "image", NOW).is_relative_to(tmp_path / "outputs")
    options.update({"outdir_samples": str(tmp_path / "mine")})
    assert gallery.reserve(job, 0, "image", NOW) == tmp_path / "mine/2026-11-21/00000-1234.png"


@pytest.mark.parametrize(
    "pattern", ["../../../up", "..\\..\\up", "/etc/[seed]", "C:\\x", "[prompt]/../..", "....//", "a/./b"]
)
def test_no_pattern_leaves_the_folder(gallery: Gallery, resolved: Any, tmp_path: Path, pattern: str) -> None:
    job = resolved({"directories_filename_pattern": pattern, "samples_filename_pattern": pattern}, prompt="../../x")
    path = gallery.reserve(job, 0, "image", NOW)
    root = tmp_path / "outputs/txt2img-images"
    assert path.resolve().is_relative_to(root)
    assert ".." not in path.parts


def test_a_link_out_of_the_folder_is_refused(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    root = tmp_path / "outputs/txt2img-images"
    root.mkdir(parents=True)
    (root / "2026-11-21").symlink_to(tmp_path.parent)
    with pytest.raises(SaveError, match="lies outside"):
        gallery.reserve(resolved(), 0, "image", NOW)


def test_unnumbered_names_replace_or_count(gallery: Gallery, resolved: Any) -> None:
    plain: dict[str, object] = {"save_images_add_number": False, "samples_filename_pattern": "[prompt]"}
    job = resolved(plain)
    first = gallery.save(gallery.reserve(job, 0, "image", NOW), picture())
    again = gallery.save(gallery.reserve(job, 0, "image", NOW), picture((9, 9)))
    assert first == again and first.name == "a_cat.png"
    with Image.open(first) as image:
        assert image.size == (9, 9)
    counting = resolved(plain | {"save_images_replace_action": "Add number suffix"})
    assert gallery.reserve(counting, 0, "image", NOW).name == "a_cat-1.png"
    assert gallery.reserve(counting, 0, "image", NOW).name == "a_cat-2.png"


def test_device_names_get_a_mark(gallery: Gallery, resolved: Any) -> None:
    job = resolved({"save_images_add_number": False, "samples_filename_pattern": "[prompt]",
                    "directories_filename_pattern": "nul/[prompt]"}, prompt="CON")  # fmt: skip
    path = gallery.reserve(job, 0, "image", NOW)
    assert path.name == "_CON.png" and path.parts[-3:-1] == ("_nul", "_CON")


def test_long_and_odd_prompts_make_names_that_can_be_written(gallery: Gallery, resolved: Any) -> None:
    pattern = {"samples_filename_pattern": "[prompt][prompt_spaces][prompt_words]"}
    family = "\U0001f469\u200d\U0001f467" * 90
    prompts = ("名" * 1_000, "a" * 1_000_000, "e\u0301" * 300, "\u202egnp.exe", family, "\0\x1b[31m", ". . .", "")
    for prompt in prompts:
        path = gallery.reserve(resolved(pattern, prompt=prompt), 0, "image", NOW)
        saved = gallery.save(path, picture())
        assert saved.is_file() and len(saved.name.encode()) <= 255
        assert saved.name.startswith("0000") and saved.name.endswith(".png")


JAPANESE = "猫" * 84


def test_a_long_prompt_is_shortened_and_what_tells_files_apart_is_not(gallery: Gallery, resolved: Any) -> None:
    pattern: dict[str, object] = {"save_images_add_number": False, "samples_filename_pattern": "[prompt]-[seed]"}
    job = resolved(pattern, prompt=JAPANESE, n_iter=3)
    saved = [gallery.save(gallery.reserve(job, index, "image", NOW), picture()) for index in range(3)]
    assert len(set(saved)) == 3
    assert [path.stem.rpartition("-")[2] for path in saved] == ["1234", "1235", "1236"]
    assert all(len(path.name.encode()) <= 255 and path.name.startswith("猫" * 60) for path in saved)


def test_long_folders_and_grids_are_distinguished_too(gallery: Gallery, resolved: Any) -> None:
    pattern: dict[str, object] = {
        "directories_filename_pattern": "[prompt]-[prompt_spaces]-[seed]",
        "samples_filename_pattern": "[prompt]-[prompt_spaces]-[seed]",
        "grid_extended_filename": True,
    }
    jobs = [resolved(pattern, prompt=JAPANESE, seed=seed) for seed in (5, 6)]
    for kind in ("image", "grid"):
        saved = [gallery.save(gallery.reserve(job, 0, kind, NOW), picture()) for job in jobs]
        assert [path.parent.name.rpartition("-")[2] for path in saved] == ["5", "6"]
        assert [path.stem.rpartition("-")[2] for path in saved] == ["5", "6"]


def test_long_names_of_a_batch_keep_the_number_of_the_picture(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    job = resolved(batch=BatchFile(name="名" * 84 + ".png", folder=str(tmp_path)), n_iter=2)
    names = [gallery.reserve(job, index, "image", NOW).name for index in range(2)]
    assert [name[-6:] for name in names] == ["-1.png", "-2.png"]


@pytest.mark.parametrize("prompt", [".hidden cat", ". cat", "..", "  .cat"])
def test_no_prompt_makes_a_hidden_file(gallery: Gallery, resolved: Any, prompt: str) -> None:
    pattern: dict[str, object] = {
        "save_images_add_number": False,
        "samples_filename_pattern": "[prompt]",
        "directories_filename_pattern": "[prompt_spaces]",
    }
    path = gallery.reserve(resolved(pattern, prompt=prompt), 0, "image", NOW)
    assert not path.name.startswith(".") and not path.parent.name.startswith(".")


def test_reservations_of_many_threads_never_collide(gallery: Gallery, resolved: Any) -> None:
    job, paths, lock = resolved(), [], threading.Lock()

    def work() -> None:
        for _ in range(20):
            path = gallery.save(gallery.reserve(job, 0, "image", NOW), picture())
            with lock:
                paths.append(path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 80
    assert sorted(path.name for path in paths) == [f"{number:05d}-1234.png" for number in range(80)]


def test_a_name_taken_by_another_program_moves_to_the_next_number(gallery: Gallery, resolved: Any) -> None:
    path = gallery.reserve(resolved(), 0, "image", NOW)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"theirs")
    saved = gallery.save(path, picture())
    assert saved.name == "00001-1234.png" and path.read_bytes() == b"theirs"


def test_a_path_kept_over_a_restart_can_be_saved_again(
    gallery: Gallery, paths: Any, options: Any, resolved: Any
) -> None:
    path = gallery.reserve(resolved(), 0, "image", NOW)
    later = Gallery(paths, options)
    assert later.save(path, picture()) == path
    assert later.save(path, picture((9, 9)), overwrite=True) == path
    assert later.save(path, picture()).name == "00000-1234-1.png"


def test_a_released_number_is_given_again(gallery: Gallery, resolved: Any) -> None:
    path = gallery.reserve(resolved(), 0, "image", NOW)
    gallery.release(path)
    assert gallery.reserve(resolved(), 0, "image", NOW) == path


def test_a_text_file_beside_the_picture(gallery: Gallery, options: Any, resolved: Any) -> None:
    options.update({"save_txt": True})
    saved = gallery.save(gallery.reserve(resolved(), 0, "image", NOW), picture(), infotext="a cat\nSteps: 20")
    assert saved.with_suffix(".txt").read_text() == "a cat\nSteps: 20\n"


def test_a_copy_for_sites_with_small_limits(gallery: Gallery, options: Any, resolved: Any) -> None:
    options.update({"target_side_length": 64})
    saved = gallery.save(gallery.reserve(resolved(), 0, "image", NOW), picture((128, 32)), infotext="a cat")
    with Image.open(saved.with_suffix(".jpg")) as copy:
        assert copy.size == (64, 16)


def test_a_copy_for_sites_replaces_no_picture_of_another_job(gallery: Gallery, options: Any, resolved: Any) -> None:
    options.update({"target_side_length": 64})
    job = resolved({"save_images_add_number": False, "save_images_replace_action": "Add number suffix"})
    first = gallery.reserve(job, 0, "image", NOW, extension="jpg")
    gallery.save(first, b"a picture of another job")
    second = gallery.save(gallery.reserve(job, 0, "image", NOW), picture((128, 32)))
    assert second.with_suffix(".jpg") == first
    assert first.read_bytes() == b"a picture of another job"


def test_what_belongs_beside_a_picture_cannot_lose_it(
    gallery: Gallery, options: Any, resolved: Any, caplog: pytest.LogCaptureFixture
) -> None:
    saved = gallery.save(gallery.reserve(resolved(), 0, "image", NOW), b"no picture at all")
    assert saved.read_bytes() == b"no picture at all"
    assert "is saved, but what belongs beside it is not" in caplog.text


def test_params_txt_holds_the_last_infotext(gallery: Gallery, tmp_path: Path) -> None:
    assert gallery.read_params() == ""
    gallery.write_params("a cat\nSteps: 20")
    gallery.write_params("ein Hündchen \ud800")
    assert gallery.read_params() == "ein Hündchen \ufffd"
    assert (tmp_path / "params.txt").is_file()


def test_the_hash_of_the_picture_in_its_name(gallery: Gallery, resolved: Any) -> None:
    job = resolved({"samples_filename_pattern": "[image_hash<8>]"})
    path = gallery.reserve(job, 0, "image", NOW, data=picture())
    # SHA-256 of 8 x 8 pixels of pure red.
    assert path.name == f"00000-{hashlib.sha256(bytes((255, 0, 0)) * 64).hexdigest()[:8]}.png"


def test_a_folder_that_may_not_be_written_is_said_in_one_sentence(
    gallery: Gallery, options: Any, resolved: Any, tmp_path: Path
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    options.update({"outdir_samples": str(blocker)})
    path = gallery.reserve(resolved(), 0, "image", NOW)
    with pytest.raises(SaveError, match=r"^00000-1234\.png was not saved: .* is not a folder that can be used"):
        gallery.save(path, picture())


def test_stale_temporaries_go_at_start(gallery: Gallery, resolved: Any, tmp_path: Path) -> None:
    saved = gallery.save(gallery.reserve(resolved(), 0, "image", NOW), picture())
    stale = saved.with_name(".saving-0123456789abcdef.tmp")
    stale.write_bytes(b"half")
    assert gallery.clean() == 0
    os.utime(stale, (0, 0))
    assert gallery.clean() == 1 and not stale.exists() and Path(saved).exists()


def test_pictures_of_a_batch_lie_under_the_names_of_their_files_in_the_folder_that_was_named(
    gallery: Gallery, resolved: Any, tmp_path: Path
) -> None:
    batch = BatchFile(name="a [seed] frame.png", folder=str(tmp_path / "out"))
    one = resolved(batch=batch)
    assert gallery.reserve(one, 0, "image", NOW, extension="webp") == tmp_path / "out" / "a [seed] frame.webp"
    several = resolved(batch=batch, n_iter=2)
    names = [gallery.reserve(several, index, "image", NOW).name for index in range(2)]
    assert names == ["a [seed] frame-1.png", "a [seed] frame-2.png"]
    assert gallery.reserve(several, 0, "mask", NOW).name == "a [seed] frame-1-mask.png"
    assert gallery.reserve(several, 0, "grid", NOW).parent == tmp_path / "outputs/txt2img-grids/2026-11-21"
    usual = resolved(batch=BatchFile(name="a.png"))
    assert gallery.reserve(usual, 0, "image", NOW).parent == tmp_path / "outputs/txt2img-images/2026-11-21"


def test_a_file_that_is_there_already_keeps_its_name_from_the_picture_of_a_batch(
    gallery: Gallery, resolved: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"of somebody")
    job = resolved(batch=BatchFile(name="a.png", folder=str(tmp_path)))
    assert gallery.reserve(job, 0, "image", NOW).name == "a-1.png"
