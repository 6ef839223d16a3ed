"""The store: config.json read kindly, changed as a whole, overrides that never outlive their request."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from modules.settings import OPTIONS, OptionError, OptionStore, frozen_keys, parse_flags, unknown_frozen

# Cut from the kind of file that an A1111 installation leaves behind, foreign keys and stale kinds included.
A1111_CONFIG: dict[str, Any] = {
    "samples_save": True,
    "samples_format": "jpg",
    "CLIP_stop_at_last_layers": 2,
    "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors [6ce0161689]",
    "eta_noise_seed_delta": 31337,
    "quicksettings_list": ["sd_model_checkpoint", "sd_vae"],
    "interrogate_clip_num_beams": 1,
    "animatediff_model_path": 3,
    "ldsr_steps": 100,
    "s_noise": "loud",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def written(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_without_a_file_the_defaults_apply_and_none_is_made(file: Path) -> None:
    store = OptionStore(file)
    assert store.get("samples_format") == "png" and not store.notices and not file.exists()
    assert store.changed_from_default() == ()


def test_an_a1111_config_is_understood(file: Path) -> None:
    file.write_text(json.dumps(A1111_CONFIG), encoding="utf-8")
    store = OptionStore(file)
    assert store.text("samples_format") == "jpg" and store.whole("CLIP_stop_at_last_layers") == 2
    assert store.texts("quicksettings_list") == ("sd_model_checkpoint", "sd_vae")
    assert store.number("s_noise") == 1.0
    assert len(store.notices) == 1 and "s_noise takes a number, not 'loud'. The default applies." in store.notices[0]


def test_what_older_versions_wrote_is_read_as_what_it_became(file: Path) -> None:
    old = {"quicksettings": "sd_vae, CLIP_stop_at_last_layers", "sd_vae_as_default": True, "sd_vae": "auto"}
    file.write_text(json.dumps({**old, "ui_reorder": "seed, cfg", "hidden_tabs": "Extras"}), encoding="utf-8")
    store = OptionStore(file)
    assert store.notices == ()
    assert store.texts("quicksettings_list") == ("sd_vae", "CLIP_stop_at_last_layers")
    assert (store.text("sd_vae"), store.switch("sd_vae_overrides_per_model_preferences")) == ("Automatic", False)
    assert (store.texts("ui_reorder_list"), store.texts("hidden_tabs")) == (("seed", "cfg"), ("Extras",))


def test_a_value_that_is_not_understood_stays_in_the_file_until_it_is_set(file: Path) -> None:
    file.write_text(json.dumps(A1111_CONFIG), encoding="utf-8")
    store = OptionStore(file)
    store.update({"tiling": True})
    assert written(file)["s_noise"] == "loud"
    store.update({"s_noise": 1.05})
    assert written(file)["s_noise"] == 1.05 and OptionStore(file).notices == ()


def test_unknown_keys_survive_a_change(file: Path) -> None:
    file.write_text(json.dumps(A1111_CONFIG), encoding="utf-8")
    OptionStore(file).update({"samples_format": "webp"})
    saved = written(file)
    assert (saved["animatediff_model_path"], saved["ldsr_steps"], saved["samples_format"]) == (3, 100, "webp")
    assert "animatediff_model_path" not in OptionStore(file).as_dict()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b'{"a": NaN', b"[" * 100_000])
def test_a_corrupt_file_is_set_aside(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    store = OptionStore(file)
    (aside,) = file.parent.glob("config.json.corrupt-*")
    assert aside.read_bytes() == content and not file.exists()
    assert "was set aside as " + aside.name in store.notices[0]
    store.update({"tiling": True})
    assert OptionStore(file).switch("tiling")


def test_a_file_that_is_not_understood_and_stays_is_not_written_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    file.write_bytes(b"{")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        store = OptionStore(file)
    with pytest.raises(OptionError, match="nothing is saved over it"):
        store.update({"tiling": True})
    assert file.read_bytes() == b"{" and not store.switch("tiling")


def test_a_byte_order_mark_is_no_corruption(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + b'{"tiling": true}')
    assert OptionStore(file).switch("tiling")


def test_what_other_editors_save_is_read(file: Path) -> None:
    file.write_bytes('{"font": "Café"}'.encode("cp1252"))
    assert OptionStore(file).text("font") == "Café"
    file.write_bytes('{"font": "字体"}'.encode("utf-16"))
    assert OptionStore(file).text("font") == "字体"


def test_a_folder_in_the_files_place_is_said(file: Path) -> None:
    file.mkdir()
    assert "can't be read" in OptionStore(file).notices[0]


def test_update_returns_what_changed_and_is_read_back(file: Path) -> None:
    store = OptionStore(file)
    assert store.update({"tiling": True, "samples_format": "png", "rho": 7}) == ("tiling", "rho")
    again = OptionStore(file)
    assert again.as_dict() == store.as_dict()
    assert again.changed_from_default() == ("tiling", "rho")


def test_round_trip_of_every_option(file: Path) -> None:
    store = OptionStore(file)
    assert store.update(store.as_dict()) == ()
    store.update({"tiling": True})
    assert set(OPTIONS) <= set(written(file))


def test_one_bad_value_changes_nothing(file: Path) -> None:
    store = OptionStore(file)
    with pytest.raises(OptionError, match="CLIP_stop_at_last_layers takes from 1 to 12, not 99"):
        store.update({"tiling": True, "CLIP_stop_at_last_layers": 99})
    assert store.get("tiling") is False and not file.exists()


def test_an_unknown_key_is_refused_or_skipped(file: Path) -> None:
    store = OptionStore(file)
    with pytest.raises(OptionError, match="There is no setting 'tilling'; did you mean 'tiling'"):
        store.update({"tilling": True})
    assert store.update({"deepbooru_sort_alpha": True, "tiling": True}, skip_unknown=True) == ("tiling",)


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    store = OptionStore(tmp_path / "blocked" / "config.json")
    with pytest.raises(OptionError, match=r"nothing was changed: config.json was not saved: .* is not a folder"):
        store.update({"tiling": True})
    assert store.get("tiling") is False


def test_a_crash_while_saving_leaves_the_old_settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = OptionStore(file)
    store.update({"tiling": True})
    before = file.read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt  # between the write of the new file and its move into place

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            store.update({"tiling": False, "rho": 3.0})
    assert file.read_bytes() == before and [path.name for path in file.parent.iterdir()] == ["config.json"]
    assert store.switch("tiling") and OptionStore(file).changed_from_default() == ("tiling",)


def test_reset(file: Path) -> None:
    store = OptionStore(file)
    store.update({"tiling": True, "rho": 7.0})
    assert store.reset(["tiling", "samples_save"]) == ("tiling",)
    assert store.changed_from_default() == ("rho",)


def test_the_snapshot_holds_what_a_job_needs_and_overrides_leave_no_trace(file: Path) -> None:
    store = OptionStore(file)
    before = store.as_dict()
    snapshot = store.snapshot({"CLIP_stop_at_last_layers": 2, "samples_format": "webp"})
    assert (snapshot["CLIP_stop_at_last_layers"], snapshot["samples_format"]) == (2, "webp")
    assert "quicksettings_list" not in snapshot and snapshot["save_to_dirs"] is True
    assert store.as_dict() == before and store.snapshot()["CLIP_stop_at_last_layers"] == 1
    json.dumps(snapshot)
    for bad in ({"CLIP_stop_at_last_layers": 0}, {"no_such": 1}):
        with pytest.raises(OptionError):
            store.snapshot(bad)


def test_typed_readers_refuse_another_kind(file: Path) -> None:
    store = OptionStore(file)
    with pytest.raises(OptionError, match="The setting tiling is a switch, not a whole"):
        store.whole("tiling")
    assert store.text("sd_model_checkpoint") == "" and store.number("n_rows") == -1.0


def test_frozen_and_api_restricted_options(file: Path) -> None:
    store = OptionStore(file, frozen=frozenset({"tiling"}))
    with pytest.raises(OptionError, match="tiling is frozen"):
        store.update({"tiling": True})
    with pytest.raises(OptionError, match="outdir_samples can't be changed through the API"):
        store.update({"outdir_samples": "/etc"}, through_api=True)
    assert store.update(store.as_dict(), through_api=True) == (), "a client may send back what it read"
    assert store.update({"outdir_samples": "/pictures"}) == ("outdir_samples",)


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        (["--freeze-settings"], {"tiling", "samples_save"}, set()),
        (["--freeze-settings-in-sections", "saving-images, VAE"], {"samples_save", "sd_vae"}, {"tiling"}),
        (["--freeze-specific-settings", "tiling,rho"], {"tiling", "rho"}, {"samples_save"}),
        ([], set(), {"tiling"}),
    ],
)
def test_frozen_keys(words: list[str], inside: set[str], outside: set[str]) -> None:
    keys = frozen_keys(parse_flags(words, {}))
    assert inside <= keys and not outside & keys


def test_a_flag_that_freezes_nothing_is_reported() -> None:
    words = ["--freeze-specific-settings", "tiling,no_such", "--freeze-settings-in-sections", "VAE, sd, Nowhere"]
    setting, section = unknown_frozen(parse_flags(words, {}))
    assert "--freeze-specific-settings names 'no_such', which is no setting" in setting
    assert "--freeze-settings-in-sections names 'Nowhere', which is no section" in section


def test_threads_lose_no_change(file: Path) -> None:
    store = OptionStore(file)
    keys = [key for key, option in OPTIONS.items() if option.kind == "switch"][:24]

    def flip(part: list[str]) -> None:
        for key in part:
            store.update({key: not OPTIONS[key].default})

    threads = [threading.Thread(target=flip, args=(keys[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(OptionStore(file).changed_from_default()) == set(keys)
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]


def test_reading_waits_for_no_file_that_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop reads settings: a disk that is slow to take the file once held it up."""
    store, writing, written = OptionStore(file), threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        writing.set()
        written.wait(10)

    monkeypatch.setattr("modules.settings.options.write_text_atomic", slow)
    changing = threading.Thread(target=store.update, args=({"jpeg_quality": 55},))
    changing.start()
    assert writing.wait(10)
    read: list[object] = []
    reading = threading.Thread(target=lambda: read.append(store.whole("jpeg_quality")))
    reading.start()
    reading.join(3)
    in_time = list(read)
    written.set()
    changing.join(10)
    reading.join(10)
    assert in_time == [OPTIONS["jpeg_quality"].default]
    assert store.whole("jpeg_quality") == 55
