"""What a request is resolved to: names, styles, comments, settings, checkpoint and seeds, with the real tables."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.catalogue import Catalogue, ModelFolders
from modules.catalogue.networks import NetworkList
from modules.intake.checkpoints import CheckpointChooser
from modules.intake.intake import Intake, resolve_names, split_style_names
from modules.intake.networks import files_of, tag_notices
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest, parse_request
from modules.parameters.load_options import chosen_prediction
from modules.parameters.resolved import Variant
from modules.parameters.samplers import SAMPLERS
from modules.protocol import NetworkFile
from modules.settings import OptionStore
from modules.settings.choices import SAME_CHECKPOINT
from tests.checkpoints import (
    TINY_COSXL,
    TINY_PLAYGROUND,
    TINY_REFINER,
    TINY_SD2,
    TINY_SDXL,
    Architecture,
    write_tiny_checkpoint,
)

ONE = Architecture()


def write_checkpoint(path: Path) -> None:
    """A safetensors file with no tensors: enough for a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": {}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def styles(prompt: str, negative: str, names: tuple[str, ...]) -> tuple[str, str]:
    return ", ".join((prompt, *names)), negative


def intake(folder: Path, *names: str, vae_file: Path | None = None, **options: object) -> Intake:
    for name in names:
        write_checkpoint(folder / "models" / name)
    (folder / "vae").mkdir(exist_ok=True)
    catalogue = Catalogue(
        ModelFolders(checkpoints=(folder / "models",), vaes=(folder / "vae",)), folder / "hashes.json"
    )
    store = OptionStore(folder / "config.json")
    store.update(options)
    return Intake(
        options=store,
        checkpoints=CheckpointChooser(catalogue, store, vae_file),
        merge_styles=styles,
        style_names=lambda: ("oil", "oil, thick"),
        strip_comments=lambda prompt: prompt.split("#")[0],
        rng=random.Random(1),
    )


def test_everything_open_is_fixed(tmp_path: Path) -> None:
    resolved = intake(tmp_path, "cat.safetensors").resolve(GenerationRequest(prompt="a cat", n_iter=2))
    assert resolved.checkpoint == "cat.safetensors"
    assert (resolved.request.sampler_name, resolved.request.scheduler) == ("DPM++ 2M", "Karras")
    assert resolved.seeds == (resolved.request.seed, resolved.request.seed + 1)
    assert resolved.request.seed >= 0 and resolved.request.subseed >= 0
    assert resolved.options["sd_model_checkpoint"] == "cat.safetensors"
    assert resolved.options["CLIP_stop_at_last_layers"] == 1
    assert resolved.notices == ()


def test_what_is_resolved_resolves_to_itself(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    once = room.resolve(GenerationRequest(prompt="a cat"))
    assert room.resolve(once.request).request == once.request


@pytest.mark.parametrize(
    ("sampler", "schedule", "applies"),
    [
        ("DPM++ 2M Karras", "Automatic", ("DPM++ 2M", "Karras")),
        ("k_euler_a", "Automatic", ("Euler a", "Automatic")),
        ("Euler", "exponential", ("Euler", "Exponential")),
        ("DPM++ 2M SDE", "Automatic", ("DPM++ 2M SDE", "Exponential")),
    ],
)
def test_names_of_old_clients(sampler: str, schedule: str, applies: tuple[str, str]) -> None:
    request, _, notices = resolve_names(GenerationRequest(sampler_name=sampler, scheduler=schedule))
    assert (request.sampler_name, request.scheduler) == applies
    assert notices == ()


@pytest.mark.parametrize("label", [sampler.label for sampler in SAMPLERS])
def test_every_label_stays_itself(label: str) -> None:
    request, _, notices = resolve_names(GenerationRequest(sampler_name=label))
    assert (request.sampler_name, notices) == (label, ())


def test_an_unknown_sampler_is_the_first_one_and_said_so() -> None:
    request, _, notices = resolve_names(GenerationRequest(sampler_name="Eular"))
    assert request.sampler_name == "DPM++ 2M"
    assert "There is no sampler 'Eular'" in notices[0]
    assert notices[0].endswith("DPM++ 2M with Karras was used.")


def test_hires_names_are_resolved_only_where_they_differ() -> None:
    request, *_ = resolve_names(GenerationRequest(enable_hr=True))
    assert (request.hr_sampler_name, request.hr_scheduler) == ("Use same sampler", "Use same scheduler")
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, hr_sampler_name="k_euler", hr_scheduler="karras"))
    assert (request.hr_sampler_name, request.hr_scheduler) == ("Euler", "Karras")
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, hr_sampler_name="Euler"))
    # The same word, "Automatic", means another schedule for another sampler.
    assert (request.scheduler, request.hr_sampler_name, request.hr_scheduler) == ("Karras", "Euler", "Automatic")
    again, *_ = resolve_names(request)
    assert again == request
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, hr_sampler_name="DPM++ 2M SDE"))
    assert request.hr_scheduler == "Exponential"
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, scheduler="Normal", hr_sampler_name="DPM++ 2M SDE"))
    assert request.hr_scheduler == "Use same scheduler"
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, hr_sampler_name="DPM++ 2M SDE Karras"))
    assert (request.scheduler, request.hr_scheduler) == ("Karras", "Use same scheduler")
    # Named by the request, it is the hires pass's too, though it is what the first sampler has by itself.
    named = {"enable_hr": True, "sampler_name": "DPM++ 3M SDE", "hr_sampler_name": "DPM2 a"}
    _, samplers, _ = resolve_names(GenerationRequest(**named, scheduler="Exponential"))
    assert [choice.applied_schedule.label for choice in samplers] == ["Exponential", "Exponential"]
    for unnamed in ({}, {"scheduler": "Automatic"}, {"sampler_name": "DPM++ 3M SDE Exponential"}):
        _, samplers, _ = resolve_names(GenerationRequest(**named | unnamed))
        assert [choice.applied_schedule.label for choice in samplers] == ["Exponential", "Karras"]
    request, *_ = resolve_names(GenerationRequest(enable_hr=True, hr_scheduler="exponential"))
    assert (request.hr_sampler_name, request.hr_scheduler) == ("Use same sampler", "Exponential")


@pytest.mark.parametrize(
    ("name", "title"), [("dog", "dog.safetensors"), *((name, SAME_CHECKPOINT) for name in ("cat", "", "None"))]
)
def test_the_hires_pass_names_another_checkpoint_by_its_title(tmp_path: Path, name: str, title: str) -> None:
    room = intake(tmp_path, "cat.safetensors", "dog.safetensors")
    request = GenerationRequest(
        enable_hr=True, hr_checkpoint_name=name, override_settings={"sd_model_checkpoint": "cat"}
    )
    assert room.resolve(request).request.hr_checkpoint_name == title
    plain = request.model_copy(update={"enable_hr": False, "hr_checkpoint_name": "mouse"})
    assert room.resolve(plain).request.hr_checkpoint_name == SAME_CHECKPOINT
    with pytest.raises(RequestError, match="mouse"):
        room.resolve(request.model_copy(update={"hr_checkpoint_name": "mouse"}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Oil", ("Oil",)),
        ("Oil, Ink", ("Oil", "Ink")),
        ("Oil, thick", ("Oil, thick",)),
        ("Ink,Oil, thick,Oil", ("Ink", "Oil, thick", "Oil")),
        ("nobody's,Ink", ("nobody's", "Ink")),
        (" , ", ()),
    ],
)
def test_a_name_with_a_comma_is_one_name(text: str, names: tuple[str, ...]) -> None:
    assert split_style_names(text, {"Oil", "Ink", "Oil, thick"}) == names


def test_styles_are_merged_and_comments_stripped(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    request = GenerationRequest(prompt="a cat", styles=("oil",), negative_prompt="bad # really", hr_prompt="")
    final = room.resolve(request).request
    assert (final.prompt, final.negative_prompt, final.hr_prompt) == ("a cat, oil", "bad ", "")
    hires = room.resolve(request.model_copy(update={"hr_prompt": "a big cat # huge"})).request
    assert hires.hr_prompt == "a big cat "
    uncut = room.resolve(request.model_copy(update={"override_settings": {"enable_prompt_comments": False}})).request
    assert uncut.negative_prompt == "bad # really"


def test_overrides_last_for_one_request(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors", "dog.safetensors", sd_model_checkpoint="cat.safetensors")
    overrides = {"sd_model_checkpoint": "dog", "CLIP_stop_at_last_layers": 2, "some_extension": 1}
    resolved = room.resolve(GenerationRequest(override_settings=overrides))
    assert (resolved.checkpoint, resolved.options["CLIP_stop_at_last_layers"]) == ("dog.safetensors", 2)
    assert resolved.notices == ("There is no setting 'some_extension': it was ignored.",)
    after = room.resolve(GenerationRequest())
    assert (after.checkpoint, after.options["CLIP_stop_at_last_layers"]) == ("cat.safetensors", 1)


def test_a_ratio_that_a_request_asks_for_goes_before_the_setting_for_img2img(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors", token_merging_ratio_img2img=0.5)

    def ratio(overrides: dict[str, object]) -> float:
        request = GenerationRequest.model_validate({"mode": "img2img", "override_settings": overrides})
        return room.resolve(request).passes[0].token_merging

    assert ratio({}) == ratio({"token_merging_ratio": 0}) == 0.5
    assert ratio({"token_merging_ratio": 0.3}) == 0.3
    axis = {"x_type": "Token merging ratio", "x_values": "0, 0.2, 0.3"}
    plotted = room.resolve(
        GenerationRequest(
            mode="img2img",
            init_images=("stored",),
            scripts={"X/Y/Z plot": axis},
            override_settings={"token_merging_ratio": 0.3},
        )
    )
    ratios = [plotted.of_image(index).passes[0].token_merging for index in range(3)]
    assert ratios == [0.5, 0.2, 0.3]


def test_a_request_overrides_nothing_that_is_frozen_or_names_folders(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    room.options.frozen = frozenset({"CLIP_stop_at_last_layers"})
    overrides = {"CLIP_stop_at_last_layers": 2, "outdir_samples": "/etc", "tiling": True}
    resolved = room.resolve(GenerationRequest(override_settings=overrides))
    options = resolved.options
    assert (options["CLIP_stop_at_last_layers"], options["outdir_samples"], options["tiling"]) == (1, "", True)
    frozen, folder = resolved.notices
    assert "CLIP_stop_at_last_layers is frozen" in frozen and "outdir_samples can't be changed" in folder


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"sd_model_checkpoint": "dgo"}, "No checkpoint is called 'dgo'"),
        ({"CLIP_stop_at_last_layers": "many"}, "The setting CLIP_stop_at_last_layers takes"),
    ],
)
def test_overrides_that_cannot_apply_are_one_sentence(
    tmp_path: Path, overrides: dict[str, object], sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        intake(tmp_path, "cat.safetensors").resolve(GenerationRequest.model_validate({"override_settings": overrides}))


def test_a_vae_that_is_not_there_leaves_the_checkpoint_its_own(tmp_path: Path) -> None:
    request = GenerationRequest.model_validate({"override_settings": {"sd_vae": "nothing.pt"}})
    resolved = intake(tmp_path, "cat.safetensors").resolve(request)
    assert [notice for notice in resolved.notices if "No VAE is called 'nothing.pt'" in notice]


def test_no_checkpoint_at_all_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"put a \.safetensors file into .*models"):
        intake(tmp_path).resolve(GenerationRequest())


def test_a_chosen_checkpoint_that_is_gone_is_replaced_by_the_first(tmp_path: Path) -> None:
    room = intake(tmp_path, "b.safetensors", "a.safetensors", sd_model_checkpoint="zebra.safetensors [0123456789]")
    resolved = room.resolve(GenerationRequest())
    assert resolved.checkpoint == "a.safetensors"
    assert "is gone: a.safetensors was used" in resolved.notices[0]


def test_the_files_of_a_job_are_looked_up_when_it_starts(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors", "cat.vae.safetensors")
    resolved = room.resolve(GenerationRequest())
    file = room.checkpoints.of(resolved)
    assert file.path == str(tmp_path / "models" / "cat.safetensors")
    assert file.vae_path == str(tmp_path / "models" / "cat.vae.safetensors")
    assert resolved.vae == "cat.vae.safetensors"
    none = room.resolve(GenerationRequest(override_settings={"sd_vae": "None"}))
    assert (none.vae, room.checkpoints.of(none).vae_path) == (None, None)


def test_a_vae_from_a_flag_goes_before_everything(tmp_path: Path) -> None:
    vae = tmp_path / "flag.pt"
    room = intake(tmp_path, "cat.safetensors", "cat.vae.safetensors", vae_file=vae)
    assert room.resolve(GenerationRequest(override_settings={"sd_vae": "None"})).vae == "flag.pt"
    assert room.checkpoints.named(None).vae_path == str(vae)


def test_networks_are_named_whether_they_are_here_or_not(tmp_path: Path) -> None:
    for path in (tmp_path / "loras" / "ink.safetensors", tmp_path / "hyper" / "paper.pt"):
        write_checkpoint(path)
    header = json.dumps({"__metadata__": {"ss_output_name": "Charcoal"}}).encode()
    (tmp_path / "loras" / "file.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    folders = ModelFolders(checkpoints=(), loras=(tmp_path / "loras",), hypernetworks=(tmp_path / "hyper",))
    catalogue = Catalogue(folders, tmp_path / "hashes.json")
    room = replace(intake(tmp_path, "cat.safetensors"), networks=catalogue.networks)
    request = GenerationRequest(
        prompt="a <lora:ink:0.8> <lora:nothing:1> <lora:nothing:2> <lyco:Charcoal> <hypernet:paper:1> <wild:x> "
        "<lora:ink:x>",
        negative_prompt="<lora:unseen:1>",
        hr_prompt="<lora:large:1>",
    )
    resolved = room.resolve(request)
    assert resolved.notices == (
        "<lora:ink> has 'x' where a number is needed: the network is left out.",
        "LoRA not found: nothing. The picture is made without it.",
        "<wild:x> is no tag that is known here: it was taken off the prompt.",
    )
    assert files_of(catalogue, resolved) == {
        "lora": {
            "ink": NetworkFile(path=str(tmp_path / "loras" / "ink.safetensors")),
            "Charcoal": NetworkFile(path=str(tmp_path / "loras" / "file.safetensors")),
        },
        "hypernet": {"paper": NetworkFile(path=str(tmp_path / "hyper" / "paper.pt"))},
    }
    # What only a pass over the finished picture names is looked up too: ADetailer's prompt.
    inner = {"ADetailer": (Variant(fields={"prompt": "a face <lyco:ink>"}),)}
    detailed = room.resolve(GenerationRequest(prompt="a cat")).model_copy(update={"inner": inner})
    assert files_of(catalogue, detailed)["lora"].keys() == {"ink"}
    none = room.resolve(request.model_copy(update={"disable_extra_networks": True}))
    assert (none.notices, files_of(catalogue, none)) == ((), {})
    hires = room.resolve(request.model_copy(update={"enable_hr": True})).notices
    assert hires[-1] == "LoRA not found: large. The picture is made without it."


def test_before_1_0_width_and_height_were_the_final_size(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    request = GenerationRequest(
        enable_hr=True, width=1024, height=768, override_settings={"use_old_hires_fix_width_height": True}
    )
    made = room.resolve(request).request
    assert (made.width, made.height, made.hr_resize_x, made.hr_resize_y) == (640, 448, 1024, 768)
    again = room.resolve(made).request
    assert (again.width, again.height, again.hr_resize_x) == (640, 448, 1024)
    plain = room.resolve(request.model_copy(update={"enable_hr": False})).request
    assert (plain.width, plain.hr_resize_x) == (1024, 0)


def test_a_prompt_full_of_tags_costs_a_look_at_each_folder_once() -> None:
    kinds: list[str] = []

    def listed(kind: str) -> NetworkList:
        kinds.append(kind)
        return NetworkList(())

    notices = tag_notices(["".join(f"<lora:n{number}>" for number in range(50_000))], listed)
    assert (kinds, len(notices)) == (["lora"], 21)
    assert notices[-1] == "The same holds for 49980 networks more that the prompt names."


def test_networks_of_the_settings_stand_in_every_prompt_that_does_not_name_them(tmp_path: Path) -> None:
    chosen = {"sd_lora": "ink", "sd_hypernetwork": "paper", "extra_networks_default_multiplier": 0.7}
    room = intake(tmp_path, "cat.safetensors")
    request = GenerationRequest(prompt="a", hr_prompt="b <lora:ink:0.2>", override_settings=chosen)
    resolved = room.resolve(request).request
    assert resolved.prompt == "a<lora:ink:0.7><hypernet:paper:0.7>"
    assert resolved.hr_prompt == "b <lora:ink:0.2><hypernet:paper:0.7>"
    assert room.resolve(request.model_copy(update={"hr_prompt": ""})).request.hr_prompt == ""
    off = room.resolve(request.model_copy(update={"disable_extra_networks": True})).request
    assert (off.prompt, off.hr_prompt) == ("a", "b <lora:ink:0.2>")


def test_a_style_that_nobody_saved_is_named(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    resolved = room.resolve(GenerationRequest(prompt="a cat", styles=("oil", "lost, found")))
    assert resolved.notices == ("There is no style 'lost, found': it was left out.",)


def test_the_axis_of_styles_knows_names_with_commas(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors")
    arguments = {"x_type": "Styles", "x_values": 'oil, "oil, thick", "oil,oil, thick", lost'}
    request = GenerationRequest(prompt="a cat", scripts={"X/Y/Z plot": arguments})
    resolved = room.resolve(parse_request(request.model_dump()))
    prompts = [resolved.of_image(index).request.prompt for index in range(4)]
    assert prompts == ["a cat, oil", "a cat, oil, thick", "a cat, oil, oil, thick", "a cat, lost"]
    assert tuple(resolved.of_image(1).request.styles) == ("oil, thick",)
    assert tuple(resolved.of_image(2).request.styles) == ("oil", "oil, thick")
    assert resolved.notices == ("There is no style 'lost': it was left out.",)


def test_a_refiner_is_named_by_its_title_and_each_picture_of_a_plot_has_its_own(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors", "dog.safetensors", "sub/fox.safetensors")
    plain = GenerationRequest(override_settings={"sd_model_checkpoint": "cat"})
    refined = plain.model_copy(update={"refiner_checkpoint": "dog", "refiner_switch_at": 0.5})
    resolved = room.resolve(refined)
    assert resolved.request.refiner_checkpoint == "dog.safetensors"
    found = room.checkpoints.of_refiner(resolved)
    assert found is not None and found.title == "dog.safetensors"
    for none in ("", "None"):
        resolved = room.resolve(plain.model_copy(update={"refiner_checkpoint": none}))
        assert resolved.request.refiner_checkpoint == "" and room.checkpoints.of_refiner(resolved) is None
    with pytest.raises(RequestError, match="mouse"):
        room.resolve(plain.model_copy(update={"refiner_checkpoint": "mouse"}))
    plot = {"x_type": "Refiner checkpoint", "x_values": "None, dog, fox", "y_type": "Refiner switch at"}
    scripts = {"X/Y/Z plot": {**plot, "y_values": "0.4, 1"}}
    resolved = room.resolve(refined.model_copy(update={"scripts": scripts}))
    files = [room.checkpoints.of_refiner(resolved.of_image(index)) for index in range(6)]
    titles = [None if file is None else file.title for file in files]
    assert titles == [None, "dog.safetensors", "sub/fox.safetensors", None, None, None]


def test_a_hires_checkpoint_of_other_latents_wants_an_upscaler_for_pixels(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, architecture in (("xl", TINY_SDXL), ("playground", TINY_PLAYGROUND), ("two", TINY_SD2), ("one", ONE)):
        write_tiny_checkpoint(tmp_path / "models" / f"{name}.safetensors", architecture=architecture)
    room = intake(tmp_path)

    def resolved(first: str, second: str, upscaler: str, **fields: Any) -> ResolvedRequest:
        hires = {"enable_hr": True, "hr_checkpoint_name": second, "hr_upscaler": upscaler}
        return room.resolve(GenerationRequest(override_settings={"sd_model_checkpoint": first}, **hires | fields))

    for first, second in (("one", "xl"), ("xl", "two"), ("xl", "playground"), ("playground", "xl")):
        with pytest.raises(RequestError, match="choose an upscaler that works on pixels"):
            resolved(first, second, "Latent (bicubic)")
        assert resolved(first, second, "Lanczos").request.hires_checkpoint == f"{second}.safetensors"
    assert resolved("one", "two", "Latent").request.hires_checkpoint == "two.safetensors"
    plot = {"X/Y/Z plot": {"x_type": "Checkpoint name", "x_values": "one, xl"}}
    with pytest.raises(RequestError, match=r"Stable Diffusion XL.*differ"):
        resolved("one", "two", "Latent", scripts=plot)


def test_samplers_of_timesteps_are_refused_with_models_of_edm_before_anything_waits(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, architecture in (("one", ONE), ("cos", TINY_COSXL)):
        write_tiny_checkpoint(tmp_path / "models" / f"{name}.safetensors", architecture=architecture)
    room = intake(tmp_path)
    fields: dict[str, Any] = {"override_settings": {"sd_model_checkpoint": "cos"}}
    hires = {"enable_hr": True, "hr_upscaler": "Lanczos", "hr_checkpoint_name": "one", "hr_sampler_name": "DDIM"}
    said = "DDIM goes by timesteps, and cos"
    with pytest.raises(RequestError, match=said):
        room.resolve(GenerationRequest(sampler_name="DDIM", **fields))
    room.resolve(GenerationRequest(sampler_name="Euler", **fields, **hires))
    with pytest.raises(RequestError, match=said):
        room.resolve(GenerationRequest(sampler_name="Euler", **fields, **hires | {"hr_checkpoint_name": "cos"}))
    with pytest.raises(RequestError, match=said):
        plot = {"X/Y/Z plot": {"x_type": "Sampler", "x_values": "Euler, DDIM"}}
        room.resolve(GenerationRequest(sampler_name="Euler", scripts=plot, **fields))
    # A refiner takes the sampler over; of two passes in the one that it works in.
    write_tiny_checkpoint(tmp_path / "models" / "xl.safetensors", architecture=TINY_SDXL)
    room = intake(tmp_path)
    refined: dict[str, Any] = {"override_settings": {"sd_model_checkpoint": "xl"}, "refiner_checkpoint": "cos"}
    with pytest.raises(RequestError, match=said):
        room.resolve(GenerationRequest(sampler_name="DDIM", refiner_switch_at=0.5, **refined))
    room.resolve(GenerationRequest(sampler_name="DDIM", refiner_switch_at=1.0, **refined))
    second = {"enable_hr": True, "hr_sampler_name": "Euler", "refiner_switch_at": 0.5}
    room.resolve(GenerationRequest(sampler_name="DDIM", **refined, **second))
    # What a person says of a checkpoint goes before its file: the engine, which knows both, decides.
    entry = {"checkpoint_prediction": ["cos.safetensors: epsilon"]}
    said_by_setting: dict[str, Any] = {"override_settings": fields["override_settings"] | entry}
    room.resolve(GenerationRequest(sampler_name="DDIM", **said_by_setting))
    (tmp_path / "models" / "cos.json").write_text('{"prediction": "v_prediction"}')
    by_card = room.resolve(GenerationRequest(sampler_name="DDIM", **fields))
    assert room.checkpoints.of(by_card).load_options.checkpoint_prediction == ("cos.safetensors: v_prediction",)
    both = room.resolve(GenerationRequest(**said_by_setting))
    assert chosen_prediction(room.checkpoints.of(both).load_options, ("cos.safetensors",)) == "epsilon"


def test_a_depth_model_is_refused_where_there_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, channels in (("depth", 5), ("plain", 4)):
        architecture = replace(TINY_SD2, in_channels=channels)
        write_tiny_checkpoint(tmp_path / "models" / f"{name}.safetensors", architecture=architecture)
    room = intake(tmp_path)
    chosen = {"override_settings": {"sd_model_checkpoint": "depth"}}
    with pytest.raises(RequestError, match=r"depth\.safetensors paints .*: use it on the img2img tab"):
        room.resolve(GenerationRequest(**chosen))
    with pytest.raises(RequestError, match=r"depth\.safetensors paints"):
        hires = {"enable_hr": True, "hr_checkpoint_name": "depth"}
        room.resolve(GenerationRequest(**hires, override_settings={"sd_model_checkpoint": "plain"}))
    room.resolve(GenerationRequest(mode="img2img", init_images=("one",), **chosen))


def test_a_refiner_of_other_latents_is_refused_before_anything_waits(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, architecture in (("xl", TINY_SDXL), ("refiner", TINY_REFINER), ("old", Architecture())):
        write_tiny_checkpoint(tmp_path / "models" / f"{name}.safetensors", architecture=architecture)
    room = intake(tmp_path)
    fields: dict[str, Any] = {"refiner_switch_at": 0.5, "override_settings": {"sd_model_checkpoint": "xl"}}
    refined = room.resolve(GenerationRequest(refiner_checkpoint="refiner", **fields))
    assert refined.request.refiner_checkpoint == "refiner.safetensors"
    said = "Stable Diffusion 1 can't go on with what Stable Diffusion XL began"
    with pytest.raises(RequestError, match=said):
        room.resolve(GenerationRequest(refiner_checkpoint="old", **fields))
    # It is the checkpoint of the pass that counts.
    hires = {"enable_hr": True, "hr_checkpoint_name": "old", "hr_upscaler": "Lanczos"}
    room.resolve(GenerationRequest(refiner_checkpoint="old", **fields, **hires))
    with pytest.raises(RequestError, match=said):
        both = {"sd_model_checkpoint": "xl", "hires_fix_refiner_pass": "both passes"}
        room.resolve(GenerationRequest(refiner_checkpoint="old", **fields | {"override_settings": both}, **hires))


def test_what_is_missing_is_logged_where_that_is_wanted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    room = replace(intake(tmp_path, "cat.safetensors"), networks=lambda kind: NetworkList(()))
    room.resolve(GenerationRequest(prompt="<lora:ink:1>"))
    assert "LoRA not found" not in caplog.text
    room.options.update({"lora_not_found_warning_console": True})
    room.resolve(GenerationRequest(prompt="<lora:ink:1><lora:bad:x>"))
    assert "LoRA not found: ink" in caplog.text and "is needed" not in caplog.text


def detail(*tabs: dict[str, Any], **fields: Any) -> GenerationRequest:
    tab = {"ad_model": "mediapipe_face_full"}
    scripts = {"ADetailer": {"ad_enable": True, "tabs": [{**tab, **one} for one in tabs]}}
    return parse_request({"prompt": "a cat", "scripts": scripts | fields.pop("scripts", {}), **fields})


def test_inner_passes_have_own_samplers_checkpoints_styles_and_settings(tmp_path: Path) -> None:
    own = {"ad_use_checkpoint": True, "ad_checkpoint": "dog", "ad_use_sampler": True, "ad_sampler": "Euler a"}
    skip = {"ad_use_clip_skip": True, "ad_clip_skip": 2, "ad_prompt": "[PROMPT], close # a note"}
    room = intake(tmp_path, "cat.safetensors", "dog.safetensors", sd_model_checkpoint="cat.safetensors")
    resolved = room.resolve(detail(own, skip, styles=("oil",), seed=5))
    first, second = (resolved.inner_job("ADetailer", number, 0, seed=1) for number in (0, 1))
    assert (first.checkpoint, second.checkpoint) == ("dog.safetensors", "cat.safetensors")
    assert first.passes[0].choice.sampler.label == "Euler a"
    assert (first.request.prompt, second.request.prompt) == ("a cat, oil", "a cat, close ")
    assert (first.settings.encoding.clip_skip, second.settings.encoding.clip_skip) == (1, 2)
    assert first.seeds == (6,) and first.request.mode == "img2img" and "ADetailer" not in first.request.scripts


def test_inner_passes_of_a_scripts_pictures_follow_these(tmp_path: Path) -> None:
    room = intake(tmp_path, "cat.safetensors", "dog.safetensors", sd_model_checkpoint="cat.safetensors")
    plot = {"x_type": "Checkpoint name", "x_values": "cat, dog", "csv_mode": True}
    plot |= {"y_type": "Steps", "y_values": "20, 30", "z_type": "Prompt S/R", "z_values": "cat, owl"}
    steps = {"ad_use_steps": True, "ad_steps": 20, "ad_prompt": "[PROMPT], close"}
    resolved = room.resolve(detail(steps, scripts={"X/Y/Z plot": plot}, steps=20))
    cells = [resolved.inner_job("ADetailer", 0, index) for index in range(resolved.image_count)]
    assert {(cell.checkpoint, cell.request.steps, cell.request.prompt) for cell in cells} == {
        (name, 20, f"a {animal}, close") for name in ("cat.safetensors", "dog.safetensors") for animal in ("cat", "owl")
    }


def test_a_checkpoint_of_an_inner_pass_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="gone"):
        intake(tmp_path, "cat.safetensors").resolve(detail({"ad_use_checkpoint": True, "ad_checkpoint": "gone"}))
