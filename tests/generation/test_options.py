"""Each option that changes pictures, set for one request: through the intake and the passes, on a toy checkpoint."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.catalogue import Catalogue, ModelFolders
from modules.generation.hires import hires_pass
from modules.generation.img2img import img2img
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.resizing import lanczos
from modules.generation.tiling import edges_joined
from modules.generation.txt2img import txt2img
from modules.intake.checkpoints import CheckpointChooser
from modules.intake.intake import Intake
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.prompt import clip_tokenizer
from modules.prompt.comments import strip_comments
from modules.settings import OPTIONS, OptionStore
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
LONG = ", ".join(["a red circle"] * 20)
SMALL = {"prompt": "a (red:1.4) circle", "width": 64, "height": 64, "steps": 4, "seed": 7, "sampler_name": "Euler"}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_second_pass_steps": 3, "denoising_strength": 0.8}
IMG2IMG = {"mode": "img2img", "denoising_strength": 0.6}


class Room:
    """What a request goes through between the door and the latents."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        path = write_tiny_checkpoint(folder / "models" / "tiny.safetensors", dtype="fp32")
        catalogue = Catalogue(ModelFolders(checkpoints=(path.parent,)), folder / "hashes.json")
        self.options = OptionStore(folder / "config.json")
        self.intake = Intake(
            options=self.options,
            checkpoints=CheckpointChooser(catalogue, self.options),
            merge_styles=lambda prompt, negative, names: (prompt, negative),
            style_names=lambda: (),
            strip_comments=strip_comments,
            rng=random.Random(0),
        )
        model = load_checkpoint(path)
        self.pipeline = Pipeline(
            model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False
        )

        self._before: dict[str, torch.Tensor] = {}

    def before(self, fields: dict[str, Any]) -> torch.Tensor:
        """The latents without the option in question, made once."""
        if str(fields) not in self._before:
            self._before[str(fields)] = self.latents(fields, {})
        return self._before[str(fields)]

    def latents(self, fields: dict[str, Any], overrides: dict[str, Any]) -> torch.Tensor:
        overrides = fields.get("override_settings", {}) | overrides
        request = GenerationRequest.model_validate(SMALL | fields | {"override_settings": overrides})
        resolved = self.intake.resolve(request)
        with edges_joined(self.pipeline.model, resolved.is_tiled):
            return self._run(resolved)

    def _run(self, resolved: ResolvedRequest) -> torch.Tensor:
        request = resolved.request
        images = range(resolved.image_count)
        if request.mode == "img2img":
            source = prepare_init_picture(
                resolved, Image.linear_gradient("L").resize((64, 64)).convert("RGB"), None, lanczos
            )
            return img2img(self.pipeline, resolved, images, source, QUIET)
        first = txt2img(self.pipeline, resolved, images, QUIET)
        return hires_pass(self.pipeline, resolved, images, first, QUIET, lanczos) if request.enable_hr else first


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("room"))


CHANGES = [
    ("emphasis", "No norm", {"prompt": "(a red circle:8)"}),
    ("emphasis", "Ignore", {}),
    ("emphasis", "None", {}),
    ("use_old_emphasis_implementation", True, {}),
    ("use_old_emphasis_implementation", True, {"prompt": LONG}),
    ("CLIP_stop_at_last_layers", 2, {}),
    ("comma_padding_backtrack", 0, {"prompt": "sun, " + LONG}),
    ("randn_source", "NV", {}),
    ("eta_noise_seed_delta", 31337, {"sampler_name": "Euler a"}),
    ("eta_noise_seed_delta", 31337, {"sampler_name": "Euler", **HIRES, "hr_sampler_name": "Euler a"}),
    ("eta_ancestral", 0.5, {"sampler_name": "Euler a"}),
    ("eta_ancestral", 0.5, {"sampler_name": "DPM++ 2M SDE"}),
    ("eta_ancestral", 0.5, {"sampler_name": "DPM fast"}),
    ("eta_ddim", 0.5, {"sampler_name": "DDIM"}),
    ("eta_tcd", 0.9, {"sampler_name": "TCD"}),
    ("lcm_distilled_timesteps", False, {"sampler_name": "LCM"}),
    ("s_churn", 20.0, {}),
    ("s_churn", 20.0, {"sampler_name": "Heun"}),
    ("s_noise", 1.05, {"sampler_name": "DPM++ SDE"}),
    ("s_noise", 1.05, {"sampler_name": "DPM2 a"}),
    ("sigma_min", 0.3, {"scheduler": "Karras"}),
    ("sigma_max", 8.0, {"scheduler": "Exponential"}),
    ("sigma_max", 8.0, {"scheduler": "SGM Uniform"}),
    ("sigma_min", 0.3, {"scheduler": "KL Optimal"}),
    ("rho", 3.0, {"scheduler": "Karras"}),
    ("rho", 3.0, {"scheduler": "Polyexponential"}),
    ("beta_dist_alpha", 0.4, {"scheduler": "Beta"}),
    ("beta_dist_beta", 0.4, {"scheduler": "Beta"}),
    ("always_discard_next_to_last_sigma", True, {}),
    ("always_discard_next_to_last_sigma", True, {"sampler_name": "DDIM", "steps": 8}),
    ("use_old_karras_scheduler_sigmas", True, {"scheduler": "Karras"}),
    ("sgm_noise_multiplier", True, {}),
    ("enable_quantization", True, {"scheduler": "Karras"}),
    ("uni_pc_variant", "bh2", {"sampler_name": "UniPC"}),
    ("uni_pc_skip_type", "logSNR", {"sampler_name": "UniPC"}),
    ("uni_pc_order", 1, {"sampler_name": "UniPC"}),
    ("uni_pc_lower_order_final", False, {"sampler_name": "UniPC"}),
    ("sd_noise_schedule", "Zero Terminal SNR", {}),
    ("sd_noise_schedule", "Zero Terminal SNR", {"sampler_name": "DDIM"}),
    ("skip_early_cond", 0.3, {}),
    ("s_min_uncond", 4.0, {}),
    ("pad_cond_uncond", True, {"prompt": LONG}),
    ("pad_cond_uncond_v0", True, {"prompt": LONG}),
    ("no_dpmpp_sde_batch_determinism", True, {"sampler_name": "DPM++ SDE"}),
    ("use_old_scheduling", True, {"prompt": "a [red:blue:1.0] circle"}),
    ("use_old_scheduling", True, {"prompt": "a [red:blue:0.5] circle", **HIRES}),
    ("use_downcasted_alpha_bar", True, {"sampler_name": "DDIM"}),
    ("use_downcasted_alpha_bar", True, {}),
    ("enable_prompt_comments", False, {"prompt": "a circle # blue"}),
    ("img2img_fix_steps", True, IMG2IMG),
    ("img2img_extra_noise", 0.5, IMG2IMG),
    ("img2img_extra_noise", 0.5, HIRES),
    ("initial_noise_multiplier", 1.2, IMG2IMG),
    ("tiling", True, {}),
    ("token_merging_ratio", 0.5, {}),
    ("token_merging_ratio", 0.5, IMG2IMG),
    ("token_merging_ratio", 0.5, {"tiling": True, "batch_size": 2, "width": 72}),
    ("token_merging_ratio_img2img", 0.5, IMG2IMG),
    ("token_merging_ratio_hr", 0.5, HIRES),
]


CHURNED = {"override_settings": {"s_churn": 20.0}}
CHANGES_WITH_OTHERS = [
    ("s_tmin", 5.0, CHURNED),
    ("s_tmax", 5.0, CHURNED),
    ("s_noise", 1.05, CHURNED),
    ("s_min_uncond_all", True, {"override_settings": {"s_min_uncond": 4.0}}),
]

LEAVES = [
    ("emphasis", "Ignore", {"prompt": "a red circle"}),
    ("comma_padding_backtrack", 0, {}),
    ("use_old_emphasis_implementation", True, {"prompt": "a red circle"}),
    ("eta_noise_seed_delta", 31337, {}),
    ("eta_noise_seed_delta", 31337, {"sampler_name": "DPM++ 2M SDE"}),
    ("eta_ancestral", 0.5, {}),
    ("eta_ancestral", 0.5, {"sampler_name": "DDIM"}),
    ("eta_ddim", 0.5, {"sampler_name": "Euler a"}),
    ("eta_tcd", 0.9, {"sampler_name": "Euler a"}),
    ("lcm_distilled_timesteps", False, {}),
    ("s_churn", 20.0, {"sampler_name": "DPM++ 2M"}),
    ("s_noise", 1.05, {"sampler_name": "Euler a"}),
    ("s_noise", 1.05, {}),
    ("sigma_min", 0.3, {}),
    ("sigma_min", 0.3, {"sampler_name": "DDIM"}),
    ("rho", 3.0, {"scheduler": "Exponential"}),
    ("beta_dist_alpha", 0.4, {"scheduler": "Karras"}),
    ("always_discard_next_to_last_sigma", True, {"sampler_name": "DPM2"}),
    ("use_old_karras_scheduler_sigmas", True, {}),
    ("sgm_noise_multiplier", True, {"sampler_name": "DDIM"}),
    ("sgm_noise_multiplier", True, IMG2IMG),
    ("enable_quantization", True, {"sampler_name": "DDIM"}),
    ("uni_pc_order", 1, {"sampler_name": "PLMS"}),
    ("ddim_discretize", "quad", {"sampler_name": "DDIM"}),
    ("pad_cond_uncond", True, {}),
    ("use_old_scheduling", True, {"prompt": "a [red:blue:2] circle"}),
    ("hires_fix_use_firstpass_conds", True, HIRES),
    ("initial_noise_multiplier", 1.2, HIRES),
    ("img2img_fix_steps", True, HIRES),
    ("persistent_cond_cache", False, {}),
    ("auto_backcompat", False, {}),
    ("token_merging_ratio_img2img", 0.5, {}),
    ("token_merging_ratio_img2img", 0.5, HIRES),
    ("token_merging_ratio_hr", 0.5, {}),
    ("token_merging_ratio_hr", 0.5, IMG2IMG),
]

# Two ways to say the same: settings of one request, and those that it comes to.
RATIOS = [
    (HIRES, {"token_merging_ratio": 0.5}, {"token_merging_ratio": 0.5, "token_merging_ratio_hr": 0.5}),
    (IMG2IMG, {"token_merging_ratio": 0.5, "token_merging_ratio_img2img": 0.2}, {"token_merging_ratio": 0.5}),
    (IMG2IMG, {"token_merging_ratio": 0.0, "token_merging_ratio_img2img": 0.5}, {"token_merging_ratio": 0.5}),
]


@pytest.mark.parametrize(("key", "value", "fields"), some([*CHANGES, *CHANGES_WITH_OTHERS], 8), ids=str)
def test_an_option_changes_the_picture_of_its_request(
    room: Room, key: str, value: object, fields: dict[str, Any]
) -> None:
    assert OPTIONS[key].default != value
    changed, before = room.latents(fields, {key: value}), room.before(fields)
    assert changed.shape != before.shape or float((changed - before).abs().max()) > 1e-4


@pytest.mark.parametrize(("key", "value", "fields"), some(LEAVES, 5), ids=str)
def test_an_option_leaves_what_it_is_not_about(room: Room, key: str, value: object, fields: dict[str, Any]) -> None:
    assert OPTIONS[key].default != value
    assert torch.equal(room.latents(fields, {key: value}), room.before(fields))


@pytest.mark.parametrize(("fields", "overrides", "same"), RATIOS, ids=str)
def test_one_ratio_of_merging_stands_for_another(
    room: Room, fields: dict[str, Any], overrides: dict[str, Any], same: dict[str, Any]
) -> None:
    assert torch.equal(room.latents(fields, overrides), room.latents(fields, same))


def test_one_batch_or_two_is_a_matter_of_speed(room: Room) -> None:
    apart = room.latents({}, {"batch_cond_uncond": False})
    assert torch.allclose(apart, room.before({}), atol=1e-3)


@pytest.mark.parametrize("fields", [{}, {"sampler_name": "Euler a"}, HIRES], ids=str)
def test_no_override_outlives_its_request(room: Room, fields: dict[str, Any]) -> None:
    before = room.before(fields)
    # Both together leave no number of the noise schedule's end, in A1111 as well.
    loud = {key: value for key, value, _ in CHANGES if key != "use_downcasted_alpha_bar"}
    assert not torch.equal(room.latents(fields, loud), before)
    assert torch.equal(room.latents(fields, {}), before)
    assert not room.options.changed_from_default()


def test_every_option_of_the_sampler_section_has_a_case() -> None:
    tested = {key for key, _, _ in (*CHANGES, *CHANGES_WITH_OTHERS, *LEAVES)}
    sampling = {key for key, option in OPTIONS.items() if option.section == "sampler-params" and option.changes_picture}
    assert len(sampling) > 20
    assert sampling <= tested
