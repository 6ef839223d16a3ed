"""Which folders of the machine a person on the page may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.gallery.allowed_folders import (
    ALLOWED_FILE,
    AllowedFolders,
    FolderError,
    FolderNotAllowedYet,
    picture_folders,
)
from modules.settings import OptionStore, Paths


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


def test_only_folders_of_pictures_are_shown(paths: Paths, options: OptionStore, tmp_path: Path) -> None:
    assert tmp_path / "outputs" in picture_folders(paths, options)
    options.update({"outdir_txt2img_samples": str(tmp_path), "outdir_save": str(tmp_path.parent)})
    folders = picture_folders(paths, options)
    assert tmp_path not in folders and tmp_path.parent not in folders
    options.update({"outdir_txt2img_samples": str(tmp_path / "pictures")})
    assert tmp_path / "pictures" in picture_folders(paths, options)


def test_folders_below_an_allowed_one_are_used(
    paths: Paths, options: OptionStore, tmp_path: Path, outside: Path
) -> None:
    allowed = AllowedFolders.at_start(paths, options, [str(outside)])
    (tmp_path / "inputs" / "frames").mkdir(parents=True)
    assert allowed.existing("inputs/frames", "Input directory") == tmp_path / "inputs" / "frames"
    assert allowed.existing(f' "{outside}" ', "Input directory") == outside
    assert allowed.target("outputs/new", "Output directory") == tmp_path / "outputs" / "new"
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Input directory is empty"),
        ("/etc", "is not among the folders"),
        (".", "is not among the folders"),
        ("models", "is not among the folders"),
        ("outputs/../models", "is not among the folders"),
        ("inputs/absent", "is no folder"),
        ("a\0b", "can't be read as a folder's name"),
        ("inputs/leads-out", "is not among the folders"),
    ],
)
def test_every_other_folder_is_refused_with_a_sentence(
    paths: Paths, options: OptionStore, tmp_path: Path, outside: Path, text: str, sentence: str
) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "leads-out").symlink_to(outside)
    with pytest.raises(FolderError, match=sentence):
        AllowedFolders.at_start(paths, options).existing(text, "Input directory")


def test_a_setting_changed_later_opens_no_folder(paths: Paths, options: OptionStore, outside: Path) -> None:
    allowed = AllowedFolders.at_start(paths, options)
    options.update({"outdir_samples": str(outside)})
    with pytest.raises(FolderError, match="--gradio-allowed-path"):
        allowed.existing(str(outside), "Input directory")


def test_the_person_at_the_machine_is_questioned_once_about_another_folder(
    paths: Paths, options: OptionStore, outside: Path
) -> None:
    allowed = AllowedFolders.at_start(paths, options, extensible=True)
    served = allowed.served
    with pytest.raises(FolderNotAllowedYet) as refusal:
        allowed.existing(str(outside), "Input directory")
    assert refusal.value.folder == outside
    allowed.allow(str(outside))
    assert allowed.existing(f"{outside}/.", "Input directory") == outside
    assert allowed.target(str(outside / "new"), "Output directory") == outside / "new"
    assert served is allowed.served and str(outside) in served, "what is shown follows without a restart"
    again = AllowedFolders.at_start(paths, options, extensible=True)
    assert again.existing(str(outside), "Input directory") == outside
    # Where others can come in, what was allowed for one person alone does not count.
    shared = AllowedFolders.at_start(paths, options)
    with pytest.raises(FolderError, match="--gradio-allowed-path"):
        shared.existing(str(outside), "Input directory")
    with pytest.raises(FolderError, match="can't be allowed from here"):
        shared.allow(str(outside))


def test_what_can_not_be_allowed_is_not_offered(
    paths: Paths, options: OptionStore, tmp_path: Path, outside: Path
) -> None:
    allowed = AllowedFolders.at_start(paths, options, extensible=True)
    for folder in (tmp_path, tmp_path.parent, Path("/")):
        with pytest.raises(FolderError, match="settings and models") as refused:
            allowed.target(str(folder), "Output directory")
        assert not isinstance(refused.value, FolderNotAllowedYet)
        with pytest.raises(FolderError, match="settings and models"):
            allowed.allow(str(folder))
    with pytest.raises(FolderError, match="is no folder"):
        allowed.existing(str(outside / "absent"), "Input directory")


@pytest.mark.parametrize("content", ["{", "[3, null]", '{"a": 1}', '["relative"]', "\ufeff\0"])
def test_a_damaged_list_of_allowed_folders_allows_nothing(
    paths: Paths, options: OptionStore, tmp_path: Path, outside: Path, content: str
) -> None:
    (tmp_path / ALLOWED_FILE).write_text(content)
    allowed = AllowedFolders.at_start(paths, options, extensible=True)
    assert allowed.served == AllowedFolders.at_start(paths, options).served
    allowed.allow(str(outside))
    again = AllowedFolders.at_start(paths, options, extensible=True)
    assert again.holds(outside)


def test_pictures_are_listed_by_name_and_links_that_lead_out_are_not(
    paths: Paths, options: OptionStore, tmp_path: Path, outside: Path
) -> None:
    folder = tmp_path / "inputs"
    (folder / "deeper.png").mkdir(parents=True)
    for name in ("b.PNG", "a.tiff", "c.txt", ".hidden.png", "d.webp"):
        (folder / name).write_bytes(b"")
    (outside / "secret.png").write_bytes(b"")
    (folder / "link.png").symlink_to(outside / "secret.png")
    found = AllowedFolders.at_start(paths, options).pictures(folder)
    assert [path.name for path in found] == ["a.tiff", "b.PNG", "d.webp"]
