"""Upscalers and face restorers as lists name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.catalogue import ModelFolders, ModelNotFoundError
from modules.catalogue.upscalers import (
    DAT,
    REAL_ESRGAN,
    find_detector,
    find_upscaler,
    list_restorers,
    list_upscalers,
    scale_of,
)
from modules.settings import OPTIONS, Paths, parse_flags


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_any_file_is_listed_under_its_own_name_and_known_ones_under_a1111s(tmp_path: Path) -> None:
    paths = Paths.from_flags(parse_flags(["--data-dir", str(tmp_path), "--dat-models-path", str(tmp_path / "d")], {}))
    models = tmp_path / "models"
    touch(
        models / "ESRGAN" / "4x_foolhardy.pth", models / "ESRGAN" / "sub" / "a.safetensors", models / "ESRGAN" / "n.txt"
    )
    touch(models / "RealESRGAN" / "RealESRGAN_x4plus.pth", models / "SwinIR" / "a.pt", tmp_path / "d" / "DAT_x3.pth")
    listed = list_upscalers(paths.upscaler_dirs)
    assert [(one.name, one.scale) for one in listed] == [
        ("None", 4), ("Lanczos", 4), ("Nearest", 4), ("4x_foolhardy", 4), ("a", 4), ("R-ESRGAN 4x+", 4), ("DAT x3", 3),
        ("a (SwinIR)", 4),
    ]  # fmt: skip
    assert listed[3].path == models / "ESRGAN" / "4x_foolhardy.pth" and listed[3].model_name == "4x_foolhardy"
    fewer = [one.name for one in list_upscalers(paths.upscaler_dirs, real_esrgan=(), dat=("DAT x2",))]
    assert "R-ESRGAN 4x+" not in fewer and "DAT x3" not in fewer and "a" in fewer


def test_an_upscaler_is_found_by_every_name_it_goes_by(tmp_path: Path) -> None:
    touch(tmp_path / "RealESRGAN_x4plus.pth")
    listed = list_upscalers((tmp_path,))
    for name in ("R-ESRGAN 4x+", "r-esrgan 4X+", "RealESRGAN_x4plus", "RealESRGAN_x4plus.pth"):
        assert find_upscaler(name, listed).name == "R-ESRGAN 4x+"
    assert find_upscaler("lanczos", listed).path is None
    with pytest.raises(ModelNotFoundError, match="'Remacri' is not here: put its file into models/ESRGAN"):
        find_upscaler("Remacri", listed)


@pytest.mark.parametrize(
    ("stem", "scale"),
    [("4x-UltraSharp", 4), ("RealESRGAN_x2plus", 2), ("DAT_x3", 3), ("1x_DeJPG", 1), ("realesr-general-x4v3", 4),
     ("remacri", 4), ("swin_1024x1024", 4), ("8x_NMKD", 8), ("2xLexica", 2), ("foo64x64", 4)],
)  # fmt: skip
def test_the_scale_is_read_from_the_name(stem: str, scale: int) -> None:
    assert scale_of(stem) == scale


def test_face_restorers_and_their_detector(tmp_path: Path) -> None:
    folders = ModelFolders(gfpgan=tmp_path / "GFPGAN", codeformer=tmp_path / "Codeformer")
    assert list_restorers(folders) == {} and find_detector(folders) is None
    touch(tmp_path / "GFPGAN" / "detection_Resnet50_Final.pth", tmp_path / "GFPGAN" / "parsing_parsenet.pth")
    assert list_restorers(folders) == {}
    touch(tmp_path / "GFPGAN" / "GFPGANv1.3.pth", tmp_path / "GFPGAN" / "GFPGANv1.4.pth")
    touch(tmp_path / "Codeformer" / "codeformer-v0.1.0.pth")
    assert {name: path.stem for name, path in list_restorers(folders).items()} == {
        "CodeFormer": "codeformer-v0.1.0",
        "GFPGAN": "GFPGANv1.4",
    }
    assert find_detector(folders) == tmp_path / "GFPGAN" / "detection_Resnet50_Final.pth"


def test_the_settings_name_what_the_catalogue_knows() -> None:
    for key, known in (("realesrgan_enabled_models", REAL_ESRGAN), ("dat_enabled_models", DAT)):
        names = OPTIONS[key].default
        assert isinstance(names, tuple) and set(names) == set(known.values())
