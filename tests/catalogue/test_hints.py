"""What files and sidecars state, in which order, and what is refused."""

import json
from pathlib import Path

import pytest

from modules.catalogue import ModelFileError, ModelHints, gather_hints, read_sidecar
from modules.catalogue.hints import hints_from_mapping, merge_hints


def test_modelspec_and_our_own_keys_are_read() -> None:
    stated = {
        "modelspec.prediction_type": "v", "modelspec.resolution": "768x512", "modelspec.architecture": "x",
        "webui.unet.norm_num_groups": "8", "webui.vae.norm_num_groups": "4", "webui.unet.attention_heads": "5,10,20",
        "webui.text_encoder.attention_heads": "2", "webui.vae.scaling_factor": "0.13025", "ztsnr": "true",
    }  # fmt: skip
    assert hints_from_mapping(stated, "m") == ModelHints(
        prediction_type="v_prediction", zero_terminal_snr=True, resolution=(768, 512), architecture="x", unet_groups=8,
        vae_groups=4, unet_heads=(5, 10, 20), text_heads=(2,), vae_scaling_factor=0.13025,
    )  # fmt: skip


def test_metadata_beats_json_beats_yaml(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    sidecar = {"webui.unet.norm_num_groups": 8, "modelspec.resolution": "256x256", "description": "nice"}
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    path.with_suffix(".yaml").write_text('model:\n  params:\n    parameterization: "v"\n    image_size: 96\n')
    hints = gather_hints(path, {"modelspec.resolution": "512x640"})
    assert (hints.resolution, hints.unet_groups, hints.prediction_type) == ((512, 640), 8, "v_prediction")
    assert gather_hints(path, {}).resolution == (256, 256)
    path.with_suffix(".json").unlink()
    assert gather_hints(path, {}).resolution == (768, 768)


def test_nothing_stated_is_nothing_known(tmp_path: Path) -> None:
    assert gather_hints(tmp_path / "model.safetensors", {"format": "pt"}) == ModelHints()
    assert merge_hints() == ModelHints()


@pytest.mark.parametrize("text", ["", "512", "512 x 768", "512×768"])
def test_resolutions(text: str) -> None:
    expected = {"": None, "512": (512, 512)}.get(text, (512, 768))
    assert hints_from_mapping({"modelspec.resolution": text}, "m").resolution == expected


@pytest.mark.parametrize("text", ["huge", "1x1", "99999x99999", "-5x5", "512x"])
def test_a_senseless_resolution_is_ignored(text: str) -> None:
    assert hints_from_mapping({"modelspec.resolution": text}, "m").resolution is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("webui.unet.norm_num_groups", "0"), ("webui.unet.norm_num_groups", "8,8"), ("webui.vae.norm_num_groups", "x"),
     ("webui.unet.attention_heads", "8,,8"), ("webui.vae.scaling_factor", "nan"), ("webui.vae.scaling_factor", "0"),
     ("modelspec.prediction_type", "sample")],
)  # fmt: skip
def test_a_senseless_fact_is_an_error_that_names_it(key: str, value: str) -> None:
    with pytest.raises(ModelFileError, match=r"model\.json states"):
        hints_from_mapping({key: value}, "model.json")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"null", b"[" * 60_000])
def test_a_damaged_sidecar_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read_sidecar(tmp_path / "a.json") == {}
    assert gather_hints(tmp_path / "a.safetensors", {}) == ModelHints()
