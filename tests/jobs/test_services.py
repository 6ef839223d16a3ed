"""Opening a data folder: what page and API get, one server per folder, and flags that reach the engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.intake.styles import SavedStyles
from modules.jobs import services
from modules.jobs.engine_command import engine_arguments, engine_folders
from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import Launch
from modules.jobs.lock import AlreadyRunning
from modules.jobs.services import Services, open_services
from modules.parameters import GenerationRequest, RequestError
from modules.prompt.style_files import StyleFileError
from modules.settings import Flags, Paths, parse_flags
from tests.intake.test_intake import write_checkpoint
from tests.jobs.helpers import PATIENCE, child, eventually


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(flags: Flags, log: EngineLog) -> Launch:
        return child(Path(), log)

    monkeypatch.setattr(services, "engine_launch", launch)


def flags(folder: Path, *more: str) -> Flags:
    return parse_flags(["--data-dir", str(folder), *more], {})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Services]:
    write_checkpoint(tmp_path / "models" / "Stable-Diffusion" / "cat.safetensors")
    one = open_services(flags(tmp_path))
    yield one
    one.close()


def test_a_prompt_becomes_a_file_in_the_outputs(opened: Services, tmp_path: Path) -> None:
    job = opened.jobs.wait(opened.jobs.submit(GenerationRequest(prompt="a cat", steps=2)).id, PATIENCE)
    assert job.state == "finished", job.cause
    (image,) = job.images
    assert image.path.is_relative_to(tmp_path / "outputs" / "txt2img-images")
    assert image.path.name == f"00000-{image.seed}.png"
    assert (tmp_path / "params.txt").read_text().startswith("a cat")


def test_the_chosen_checkpoint_is_loaded_and_titled_by_its_hash(opened: Services) -> None:
    eventually(lambda: opened.jobs.engine().checkpoint_title, 20)
    assert opened.hashing.wait(10)
    assert opened.jobs.engine().checkpoint_title == opened.catalogue.checkpoints()[0].title
    assert "[" in opened.catalogue.checkpoints()[0].title


def test_new_models_are_found_and_hashed(opened: Services, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "models" / "Stable-Diffusion" / "dog.safetensors")
    opened.refresh_models()
    assert opened.hashing.wait(10)
    hashed = {entry.stem for entry in opened.catalogue.checkpoints() if entry.sha256}
    # The shipped demo checkpoint, where the clone has it, is found under every data folder.
    assert hashed - {"demo-emoji"} == {"cat", "dog"}


def test_pictures_are_only_returned_when_the_settings_say_so(opened: Services, tmp_path: Path) -> None:
    opened.options.update({"samples_save": False})
    job = opened.jobs.wait(opened.jobs.submit(GenerationRequest(steps=1)).id, PATIENCE)
    assert job.images[0].path.is_relative_to(tmp_path / "cache")
    assert not (tmp_path / "outputs").exists()


def test_a_second_server_on_the_same_folder_is_refused(opened: Services, tmp_path: Path) -> None:
    with pytest.raises(AlreadyRunning, match="Another server already uses"):
        open_services(flags(tmp_path))


def test_what_was_set_aside_is_said(tmp_path: Path) -> None:
    (tmp_path / "webui.db").write_text("no database" * 100)
    one = open_services(flags(tmp_path))
    assert "set aside" in one.notices[0]
    one.close()
    open_services(flags(tmp_path)).close()


def test_without_a_checkpoint_the_server_is_up_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Away from the checkpoint that this checkout ships, which is always listed.
    real = Paths.from_flags
    monkeypatch.setattr(Paths, "from_flags", lambda given: real(given, tmp_path))
    with caplog.at_level(logging.WARNING):
        one = open_services(flags(tmp_path, "--models-dir", str(tmp_path / "empty")))
    try:
        assert "There is no checkpoint" in caplog.text
        with pytest.raises(RequestError, match="There is no checkpoint"):
            one.jobs.submit(GenerationRequest())
    finally:
        one.close()


def test_ckpt_chooses_the_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "models" / "Stable-Diffusion" / "a.safetensors")
    write_checkpoint(tmp_path / "elsewhere" / "z.safetensors")
    one = open_services(flags(tmp_path, "--ckpt", str(tmp_path / "elsewhere" / "z.safetensors"), "--no-hashing"))
    assert one.options.text("sd_model_checkpoint") == "z.safetensors"
    eventually(lambda: one.jobs.engine().checkpoint_title == "z.safetensors", 20)
    one.close()
    one = open_services(flags(tmp_path, "--ckpt", str(tmp_path / "gone.safetensors"), "--skip-load-model-at-start"))
    one.close()


@pytest.mark.parametrize(
    "words",
    [
        ("--xformers", "--lowvram"),
        ("--use-cpu", "all", "sd"),
        ("--device-id", "1", "--precision", "full", "--no-half-vae"),
        ("--opt-sub-quad-attention", "--sub-quad-q-chunk-size", "512"),
        (),
    ],
)
def test_the_engine_reads_the_flags_that_concern_it(words: tuple[str, ...]) -> None:
    given = parse_flags(list(words), {})
    assert parse_flags(engine_arguments(given), {}) == given


def test_secrets_and_paths_stay_with_the_server() -> None:
    given = parse_flags(["--gradio-auth", "me:secret", "--api", "--port", "1234", "--data-dir", "/tmp"], {})
    assert engine_arguments(given) == []


def test_styles_come_from_the_files_and_are_read_anew(opened: Services, tmp_path: Path) -> None:
    assert opened.styles.all() == []
    (tmp_path / "styles.csv").write_text("name,prompt,negative_prompt\noil,oil painting of {prompt},photo\n")
    assert [style.name for style in opened.styles.all()] == ["oil"]
    request = GenerationRequest(prompt="a cat # mine", styles=("oil", "unknown"), steps=1)
    job = opened.jobs.submit(request)
    assert job.request == request
    assert (job.resolved.request.prompt, job.resolved.request.negative_prompt) == ("oil painting of a cat \n", "photo")


def test_one_bad_styles_file_leaves_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("no;styles\n")
    (tmp_path / "b[1].csv").write_text("name,prompt,negative_prompt\noil,oil painting,\n")
    styles = SavedStyles.of(("*.csv",), tmp_path)
    assert [(path.name, [style.name for style in one]) for path, one in styles.grouped()] == [("b[1].csv", ["oil"])]
    assert "a.csv has no column" in caplog.text and list(styles.problems()) == [tmp_path / "a.csv"]


def test_a_broken_styles_file_is_a_sentence(opened: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(book: SavedStyles) -> None:
        raise StyleFileError("The style file styles.csv is no table that can be read.")

    monkeypatch.setattr(SavedStyles, "load", broken)
    assert opened.styles.all() == []
    with pytest.raises(RequestError, match="styles can't be merged: The style file"):
        opened.jobs.submit(GenerationRequest(styles=("oil",)))
    assert opened.jobs.submit(GenerationRequest(steps=1)).state == "waiting"


def test_the_engine_looks_for_models_where_the_server_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = parse_flags(["--data-dir", "data", "--esrgan-models-path", "up", "--gfpgan-models-path", "faces"], {})
    server, engine = Paths.from_flags(given), Paths.from_flags(parse_flags(engine_folders(given), {}))
    for name in ("models_dir", "embeddings_dirs", "upscaler_dirs", "gfpgan_dir", "codeformer_dir"):
        assert getattr(engine, name) == getattr(server, name)
    assert server.upscaler_dirs[0] == tmp_path / "up" and server.gfpgan_dir == tmp_path / "faces"
