"""Memory as numbers: the formulas against every byte that diffusers' forwards hold, and plans against a budget."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import get_args

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from modules.generation.flux import flux_forward
from modules.generation.flux2 import flux2_forward
from modules.generation.z_image import z_image_forward
from modules.hardware.attention import AttentionChoice, AttentionName, apply_attention, scores_of
from modules.hardware.budget import (
    MODES,
    RESERVE,
    AuxiliarySize,
    ControlSize,
    MemoryPlan,
    ModelSize,
    OutOfBudget,
    RequestSize,
    Scores,
    choose_plan,
    control_work,
    fit_together,
    peak,
    unet_work,
    vae_work,
)
from modules.hardware.model_configs import unet_config
from modules.hardware.model_size import size_of
from modules.hardware.vae_tiling import disable_vae_tiling, enable_vae_tiling
from tests.amounts import some
from tests.checkpoints import SD15, Architecture, _make_unet, _make_vae, make_text_encoders
from tests.hardware.byte_counter import ByteCounter, without_memory

GB = 10**9
TINY = ModelSize(8_000_000, 1_000_000, 7_000_000, 500_000, 300_000, (32, 64), (True, True), 8, (16, 16, 32, 32), 4, 4)
SD1 = ModelSize(1_719_000_000, 167_000_000, 246_000_000, 95_000_000, 70_000_000)
SDXL = ModelSize(
    5_135_000_000, 167_000_000, 1_640_000_000, 95_000_000, 62_000_000, (320, 640, 1280), (False, True, True), 10
)
SIZES = {"tiny": TINY, "SD1.5": SD1, "SDXL": SDXL}
SDXL_REFINER = ModelSize(
    4_519_000_000, 167_000_000, 1_389_000_000, 137_000_000, 90_000_000, (384, 768, 1536, 1536),
    (False, True, True, False), 12,
)  # fmt: skip


def _sdxl_unet() -> UNet2DConditionModel:
    unet: UNet2DConditionModel = UNet2DConditionModel(
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return unet


class Counted:
    """Models of real size without memory, and the peak of one forward in bytes."""

    def __init__(self) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        torch.set_default_dtype(torch.float16)
        try:
            with torch.device("meta"):
                self.unets = {"tiny": _make_unet(Architecture()), "SD1.5": _make_unet(SD15), "SDXL": _sdxl_unet()}
                self.vaes: dict[str, AutoencoderKL] = {"tiny": _make_vae(Architecture()), "SD1.5": _make_vae(SD15)}
                (self.text,) = make_text_encoders(SD15)
        finally:
            torch.set_default_dtype(torch.float32)
        for module in (*self.unets.values(), *self.vaes.values(), self.text):
            without_memory(module, self.mode)
        self.vaes["SDXL"] = self.vaes["SD1.5"]

    def size(self, name: str) -> ModelSize:
        return size_of(self.unets[name], self.vaes[name], self.text)

    @torch.no_grad()
    def unet_peak(self, name: str, width: int, height: int, rows: int) -> int:
        unet = self.unets[name]
        half = partial(torch.empty, dtype=torch.float16)
        with self.mode, ByteCounter([unet]) as counter:
            added = {"text_embeds": half(rows, 1280), "time_ids": half(rows, 6)}
            unet(
                half(rows, 4, height // 8, width // 8),
                torch.full((rows,), 500.0),
                encoder_hidden_states=half(rows, 77, unet_config(unet).cross_attention_dim),
                added_cond_kwargs=added,
            )
        peak: int = counter.peak
        return peak

    @torch.no_grad()
    def vae_peak(self, name: str, width: int, height: int, *, encodes: bool = False, tiled: bool = False) -> int:
        vae = self.vaes[name]
        if tiled:
            enable_vae_tiling(vae)
        try:
            with self.mode, ByteCounter([vae]) as counter:
                if encodes:
                    vae.encode(torch.empty(1, 3, height, width, dtype=torch.float16)).latent_dist.mode()
                else:
                    vae.decode(torch.empty(1, 4, height // 8, width // 8, dtype=torch.float16))
        finally:
            disable_vae_tiling(vae)
        peak: int = counter.peak
        return peak


@pytest.fixture(scope="module")
def counted() -> Counted:
    return Counted()


@pytest.mark.parametrize(
    ("name", "width", "height", "rows"),
    some([("tiny", 128, 128, 2), ("SD1.5", 512, 512, 2), ("SD1.5", 1024, 768, 1), ("SD1.5", 512, 512, 8),
          ("SDXL", 1536, 1024, 1), ("SDXL", 1024, 1024, 2)], 1),
)  # fmt: skip
def test_the_unets_estimate_holds_what_it_really_takes(
    counted: Counted, name: str, width: int, height: int, rows: int
) -> None:
    """Never less, and at most a fifth more."""
    request = RequestSize(width, height, images=rows, rows_per_image=1)
    really, estimate = counted.unet_peak(name, width, height, rows), unet_work(counted.size(name), request)
    assert 0.97 * really <= estimate <= 1.2 * really


@pytest.mark.parametrize(
    ("width", "height", "rows", "text"), some([(1024, 1024, 1, 512), (512, 512, 2, 512), (2048, 1024, 1, 32)], 1)
)
def test_a_transformers_estimate_holds_what_it_really_takes(width: int, height: int, rows: int, text: int) -> None:
    """Never less, and at most a fifth more: all its layers are alike, so that two of them tell."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            transformer = ZImageTransformer2DModel(n_layers=2, n_refiner_layers=1)
            vae = _make_vae(Architecture(vae_channels=(128, 256, 512, 512), latent_channels=16, norm_num_groups=32))
    finally:
        torch.set_default_dtype(torch.float32)
    estimate = unet_work(size_of(transformer, vae), RequestSize(width, height, images=rows, rows_per_image=1))
    without_memory(transformer, mode)
    forward, lengths = z_image_forward(transformer), torch.tensor([text] * rows)
    half = partial(torch.empty, dtype=torch.bfloat16)
    with torch.no_grad(), mode, ByteCounter([transformer]) as counter:
        forward(half(rows, 16, height // 8, width // 8), torch.full((rows,), 0.5), half(rows, text, 2560), lengths)
    assert counter.peak <= estimate <= 1.25 * counter.peak


@pytest.mark.parametrize(
    ("width", "height", "rows", "pictures"), some([(1024, 1024, 1, 1), (512, 512, 2, 1), (1024, 768, 1, 2)], 2)
)
def test_the_estimate_of_flux_2_holds_what_it_really_takes(width: int, height: int, rows: int, pictures: int) -> None:
    """Of klein 4B, and with a picture that it is shown beside the noisy one."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            transformer = Flux2Transformer2DModel(
                num_layers=2, num_single_layers=2, num_attention_heads=24, joint_attention_dim=7680,
                guidance_embeds=False,
            )  # fmt: skip
            vae = AutoencoderKLFlux2()
    finally:
        torch.set_default_dtype(torch.float32)
    request = RequestSize(width, height, images=rows, rows_per_image=1, encodes=pictures > 1)
    estimate = unet_work(size_of(transformer, vae), request)
    without_memory(transformer, mode)
    half = partial(torch.empty, dtype=torch.bfloat16)
    sample = half(rows, pictures * 128, height // 16, width // 16)
    with torch.no_grad(), mode, ByteCounter([transformer]) as counter:
        flux2_forward(transformer)(sample, torch.full((rows,), 0.5), half(rows, 512, 7680))
    assert counter.peak <= estimate <= 1.25 * counter.peak


@pytest.mark.parametrize(("width", "height", "rows"), some([(1024, 1024, 1), (1216, 832, 2), (512, 512, 1)], 1))
def test_the_estimate_of_flux_holds_what_it_really_takes(width: int, height: int, rows: int) -> None:
    """Two blocks of each kind stand for the 57."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            transformer = FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
            vae = _make_vae(Architecture(vae_channels=(128, 256, 512, 512), latent_channels=16, norm_num_groups=32))
    finally:
        torch.set_default_dtype(torch.float32)
    estimate = unet_work(size_of(transformer, vae), RequestSize(width, height, images=rows, rows_per_image=1))
    without_memory(transformer, mode)
    half = partial(torch.empty, dtype=torch.bfloat16)
    guidance, lengths = torch.full((rows,), 3.5), torch.tensor([512] * rows)
    sample, context = half(rows, 16, height // 8, width // 8), half(rows, 512, 4096)
    with torch.no_grad(), mode, ByteCounter([transformer]) as counter:
        forward = flux_forward(transformer)
        forward(sample, torch.full((rows,), 0.5), context, lengths, half(rows, 768), guidance)
    assert counter.peak <= estimate <= 1.25 * counter.peak


def test_a_large_transformer_has_its_text_encoder_step_aside() -> None:
    """Z-Image in 16 bits: on 24 GB all of it, on 16 GB one part at a time, on 6 GB both piece by piece."""
    size = ModelSize(
        12_310_000_000, 168_000_000, 8_045_000_000, 361_000_000, 100_000_000, (), (), 30, transformer=3840,
        text_slots=404_000_000, text_streamed=7_267_000_000,
    )  # fmt: skip
    modes = [choose_plan(gigabytes * GB, size, RequestSize(1024, 1024)).mode for gigabytes in (24, 16, 6)]
    assert modes == ["full", "medvram", "lowvram"]


@pytest.mark.parametrize("name", some(["math", "split-v1"], 1))
def test_unfused_attention_is_counted_with_its_scores(counted: Counted, name: AttentionName) -> None:
    choice = AttentionChoice(name, "")
    apply_attention(counted.unets["SD1.5"], choice)
    try:
        really = counted.unet_peak("SD1.5", 512, 512, 2)
    finally:
        apply_attention(counted.unets["SD1.5"], AttentionChoice("sdp", ""))
    estimate = unet_work(counted.size("SD1.5"), RequestSize(512, 512), scores=scores_of(choice))
    assert really <= estimate <= 1.1 * really


@pytest.mark.parametrize("encodes", [False, True])
@pytest.mark.parametrize(
    ("name", "width", "height"), some([("SD1.5", 512, 512), ("SD1.5", 1024, 768), ("SDXL", 2048, 1024)], 1)
)
def test_the_vaes_estimate_holds_what_it_really_takes(
    counted: Counted, name: str, width: int, height: int, encodes: bool
) -> None:
    request = RequestSize(width, height, encodes=encodes)
    really, estimate = counted.vae_peak(name, width, height, encodes=encodes), vae_work(counted.size(name), request)
    assert 0.97 * really <= estimate <= 1.25 * really


@pytest.mark.long
def test_a_decode_in_tiles_takes_what_is_planned(counted: Counted) -> None:
    request = RequestSize(1024, 1024)
    really = counted.vae_peak("SDXL", 1024, 1024, tiled=True)
    planned = vae_work(counted.size("SDXL"), request, tile=512)
    assert really <= planned < 0.5 * vae_work(counted.size("SDXL"), request)


def test_sizes_are_those_of_the_modules(counted: Counted) -> None:
    for name, known in (("SD1.5", SD1), ("SDXL", SDXL)):
        size = counted.size(name)
        assert size.unet == pytest.approx(known.unet, rel=0.01)
        assert size.largest_piece == pytest.approx(known.largest_piece, rel=0.1)
        assert size.unstreamed == pytest.approx(known.unstreamed, rel=0.3)
        assert (size.unet_channels, size.attention) == (known.unet_channels, known.attention)


SIDES = st.integers(1, 64).map(lambda eighths: eighths * 64)
REQUESTS = st.builds(RequestSize, SIDES, SIDES, st.integers(1, 8), st.sampled_from([1, 2]), st.booleans())


@given(
    free=st.integers(0, 30 * GB),
    model=st.sampled_from(list(SIZES.values())),
    request_=REQUESTS,
    required=st.sampled_from([None, *MODES]),
    least=st.sampled_from(MODES),
    scores=st.sampled_from(get_args(Scores)),
    cpu=st.booleans(),
)
def test_every_plan_ends_within_the_budget_or_is_refused_before_it_starts(
    free: int, model: ModelSize, request_: RequestSize, required: str | None, least: str, scores: Scores, cpu: bool
) -> None:
    try:
        plan = choose_plan(free, model, request_, required=required, least=least, scores=scores, cpu=cpu)  # type: ignore[arg-type]  # the strategy draws only the names of modes
    except OutOfBudget as refusal:
        thriftiest = required or "lowvram"
        one = RequestSize(request_.width, request_.height, 1, request_.rows_per_image, request_.encodes)
        assert peak(model, one, thriftiest, scores=scores, tiled=True, cpu=cpu) > free  # type: ignore[arg-type]  # the strategy draws only the names of modes
        assert f"{request_.width}×{request_.height}" in str(refusal) and str(refusal).endswith("a smaller size.")
        return
    assert run_on_paper(plan, model, request_, scores=scores, cpu=cpu) <= free
    assert plan.peak <= free
    assert required in (None, plan.mode) and (required or MODES.index(plan.mode) >= MODES.index(least))
    assert 1 <= plan.images <= request_.images


def run_on_paper(plan: MemoryPlan, model: ModelSize, request: RequestSize, *, scores: Scores, cpu: bool) -> int:
    """What lies on the device phase by phase, counted without `peak`."""
    part = RequestSize(request.width, request.height, plan.images, request.rows_per_image, request.encodes)
    weights = {"text": model.text, "unet": model.unet, "vae": model.vae}
    vae = vae_work(model, part, tile=tile_of(plan), cpu=cpu)
    work = {"text": 0, "unet": unet_work(model, part, scores=scores), "vae": vae}
    always = 0
    if plan.mode == "full":
        always, weights = sum(weights.values()), dict.fromkeys(weights, 0)
    elif plan.mode == "lowvram":
        always = min(model.unet, model.unstreamed + 2 * model.largest_piece + plan.resident)
        weights["unet"] = 0
    if plan.decodes_alongside:
        always += work["vae"]
    return always + max(weights[phase] + work[phase] for phase in weights)


@given(
    free=st.integers(0, 40 * GB),
    models=st.lists(st.sampled_from([*SIZES.values(), SDXL_REFINER]), min_size=2, max_size=3),
    request_=REQUESTS,
    scores=st.sampled_from(get_args(Scores)),
)
def test_checkpoints_of_a_job_stay_together_only_where_none_has_to_run_more_thriftily_for_it(
    free: int, models: list[ModelSize], request_: RequestSize, scores: Scores
) -> None:
    """A base and its refiner, of any family and at any size: each planned with the weights of the others there."""
    whole = sum(model.weights for model in models)

    def unhindered(model: ModelSize) -> bool:
        try:
            plan = choose_plan(free - (whole - model.weights), model, request_, scores=scores)
        except OutOfBudget:
            return False
        return (plan.mode, plan.tiled, plan.images) == ("full", False, request_.images)

    assert fit_together(free, models, request_, scores=scores) is all(map(unhindered, models))


@pytest.mark.parametrize(
    ("card", "together", "mode"),
    [(24, True, "full"), (12, False, "full"), (8, False, "medvram"), (4, False, "lowvram")],
)
def test_what_cards_do_with_sdxl_and_its_refiner(card: int, together: bool, mode: str) -> None:
    free, request = card * GB - GB // 2, RequestSize(1024, 1024)
    models = (SDXL, SDXL_REFINER)
    assert fit_together(free, models, request) is together
    assert [choose_plan(free, model, request).mode for model in models] == [mode, mode]


def tile_of(plan: MemoryPlan) -> int | None:
    return 512 if plan.tiled else None


@given(free=st.integers(0, 30 * GB), more=st.integers(0, 10 * GB), request_=REQUESTS)
def test_more_memory_never_makes_a_plan_thriftier(free: int, more: int, request_: RequestSize) -> None:
    try:
        poor = choose_plan(free, SDXL, request_)
    except OutOfBudget:
        return
    rich = choose_plan(free + more, SDXL, request_)
    assert (rich.tiled, MODES.index(rich.mode)) <= (poor.tiled, MODES.index(poor.mode))


@pytest.mark.parametrize(
    ("free", "model", "request_", "expected"),
    [
        (23.5, SD1, RequestSize(512, 512), ("full", 1, False)),
        (3.5, SD1, RequestSize(512, 512), ("full", 1, False)),
        (2.4, SD1, RequestSize(512, 512), ("medvram", 1, False)),
        (1.5, SD1, RequestSize(512, 512), ("lowvram", 1, False)),
        (23.5, SDXL, RequestSize(1024, 1024), ("full", 1, False)),
        (7.5, SDXL, RequestSize(1024, 1024), ("medvram", 1, False)),
        (3.0, SDXL, RequestSize(1024, 1024), ("lowvram", 1, False)),
        (3.0, SDXL, RequestSize(2048, 2048), ("lowvram", 1, True)),
        (23.5, SD1, RequestSize(1024, 1024, images=128), ("full", 32, False)),
    ],
)
def test_what_cards_get(free: float, model: ModelSize, request_: RequestSize, expected: tuple[str, int, bool]) -> None:
    plan = choose_plan(int(free * GB), model, request_)
    assert (plan.mode, plan.images, plan.tiled) == expected
    assert f"{free:.1f} GB free" in plan.why


def test_the_goals_for_small_cards_hold_on_paper() -> None:
    """DESIGN.md: SDXL 1024² within 3 GB, SD1.5 512² within 1.5 GB, under --lowvram."""
    assert peak(SDXL, RequestSize(1024, 1024), "lowvram") + RESERVE < 3 * GB
    assert peak(SD1, RequestSize(512, 512), "lowvram") + RESERVE < 1.5 * GB


def test_room_that_is_left_keeps_pieces_on_the_device_unless_lowvram_was_requested() -> None:
    assert choose_plan(4 * GB, SDXL, RequestSize(1024, 1024)).resident > GB
    assert choose_plan(4 * GB, SDXL, RequestSize(1024, 1024), required="lowvram").resident == 0


@pytest.mark.parametrize(
    ("free", "model", "request_", "beside"),
    [
        (3.6, SD1, RequestSize(512, 512), True),
        (3.0, SD1, RequestSize(512, 512), False),
        (11.5, SDXL, RequestSize(1024, 1024), True),
        (9.5, SDXL, RequestSize(1024, 1024), False),
        (2.4, SD1, RequestSize(512, 512), False),
    ],
)
def test_a_picture_is_decoded_beside_the_next_ones_steps_where_both_fit(
    free: float, model: ModelSize, request_: RequestSize, beside: bool
) -> None:
    plan = choose_plan(int(free * GB), model, request_)
    assert plan.decodes_alongside is beside
    work = max(unet_work(model, request_), vae_work(model, request_))
    fits = model.weights + work + vae_work(model, request_) <= free * GB - RESERVE
    assert beside is (fits and plan.mode == "full")


def test_on_a_cpu_the_vae_is_reckoned_with_the_tiles_that_it_has_there() -> None:
    """Tiles by what is free would give another picture on another machine: they are for where nothing else fits."""
    large = RequestSize(2048, 2048)
    assert vae_work(SD1, large, cpu=True) == 4_500_000_000 + 16 * 2048**2
    assert not choose_plan(8 * GB, SD1, large, modes=("full",), cpu=True).tiled
    assert choose_plan(6 * GB, SD1, large, modes=("full",), cpu=True).tiled


def test_steps_are_recorded_where_there_is_room_for_their_work_twice() -> None:
    request = RequestSize(512, 512)
    step = unet_work(SD1, request)
    for free in range(1 * GB, 5 * GB, GB // 20):
        plan = choose_plan(free, SD1, request)
        assert plan.recorded is (plan.mode == "full" and plan.peak + step <= free - RESERVE)
    assert plan.recorded and not choose_plan(2 * GB, SD1, request).recorded


def test_a_device_without_modes_is_refused_without_naming_one() -> None:
    with pytest.raises(OutOfBudget, match=r"^4096×4096 needs about .* GB on this machine, and 2.0 GB are free"):
        choose_plan(2 * GB, SD1, RequestSize(4096, 4096), modes=("full",), device="this machine")


def test_sdxl_fits_the_cards_that_people_have() -> None:
    """At 1024 × 1024, in half precision; with the UNet in 8 bits all of it stays on a card of 8 GB."""
    request = RequestSize(1024, 1024, encodes=True)
    assert peak(SDXL, request, "lowvram") <= 3 * GB and peak(SDXL, request, "medvram") <= 6 * GB
    in_8_bits = replace(SDXL, unet=SDXL.unet // 2)
    assert choose_plan(7_500_000_000, in_8_bits, request).mode == "full"
    assert choose_plan(7_500_000_000, SDXL, request).mode == "medvram"


CONTROLNETS = {"SD1": ControlSize(723_000_000), "SDXL": ControlSize(2_502_000_000)}


def test_control_models_are_part_of_the_plan() -> None:
    """Ten ControlNets for SDXL on cards of 8 and of 4 GB take turns; on a large one they all stay."""
    ten = RequestSize(1024, 1024, controls=(CONTROLNETS["SDXL"],) * 10)
    plan = choose_plan(int(7.5 * GB), SDXL, ten)
    assert (plan.mode, plan.controls_take_turns) == ("lowvram", True)
    assert plan.peak <= 7.5 * GB - RESERVE
    large = choose_plan(44 * GB, SDXL, ten)
    assert (large.mode, large.controls_take_turns) == ("full", False)
    assert large.peak >= SDXL.weights + 10 * CONTROLNETS["SDXL"].weights
    assert choose_plan(4 * GB, SDXL, ten).peak <= 4 * GB
    with pytest.raises(OutOfBudget):
        choose_plan(3 * GB, SDXL, ten)


def test_turns_come_before_fewer_images_and_thriftier_modes() -> None:
    two = RequestSize(512, 512, controls=(CONTROLNETS["SD1"],) * 2)
    stays = choose_plan(6 * GB, SD1, two)
    assert (stays.mode, stays.controls_take_turns) == ("full", False)
    turns = choose_plan(int(3.7 * GB), SD1, two)
    assert (turns.mode, turns.controls_take_turns) == ("full", True)
    low = replace(two, controls=tuple(replace(one, takes_turns=True) for one in two.controls))
    assert not choose_plan(int(3.7 * GB), SD1, low).controls_take_turns


# CLIP-bigG beside SDXL, and a network of the size of Depth Anything's beside SD1, with their work.
LOOKERS = {"SD1": AuxiliarySize(1_340_000_000, 830_000_000), "SDXL": AuxiliarySize(3_690_000_000, 100_000_000)}


def test_networks_of_features_are_part_of_the_plan_and_step_aside_first() -> None:
    """They work while nothing else does: weights and work count instead of a forward's work, and never twice."""
    small, two = RequestSize(512, 512), RequestSize(512, 512, auxiliaries=(LOOKERS["SD1"],) * 2)
    wanted = SD1.weights + LOOKERS["SD1"].whole
    assert peak(SD1, two, "full") == wanted > peak(SD1, small, "full")
    on_card, elsewhere = (choose_plan(wanted + RESERVE - less, SD1, two) for less in (0, 1))
    assert (on_card.mode, on_card.auxiliaries_elsewhere) == ("full", False)
    assert (elsewhere.mode, elsewhere.auxiliaries_elsewhere) == ("full", True)
    # Control models wait for their turns in each step, so those of them that fit stay.
    unit = replace(two, controls=(CONTROLNETS["SD1"],))
    stays = choose_plan(wanted + RESERVE + CONTROLNETS["SD1"].weights - 1, SD1, unit)
    assert (stays.auxiliaries_elsewhere, stays.controls_take_turns) == (True, False)
    neither = choose_plan(peak(SD1, replace(unit, auxiliaries=()), "full") + RESERVE - 1, SD1, unit)
    assert (neither.mode, neither.controls_take_turns) == ("full", True)


def test_a_card_for_sdxl_alone_has_the_processor_look_at_pictures() -> None:
    seen = RequestSize(1024, 1024, auxiliaries=(LOOKERS["SDXL"],))
    roomy = choose_plan(12 * GB, SDXL, seen)
    assert (roomy.mode, roomy.auxiliaries_elsewhere) == ("full", False)
    assert roomy.peak >= SDXL.weights + LOOKERS["SDXL"].whole
    for free in (4 * GB, int(5.9 * GB)):
        plan, plain = choose_plan(free, SDXL, seen), choose_plan(free, SDXL, RequestSize(1024, 1024))
        assert (plan.mode, plan.images, plan.tiled) == (plain.mode, plain.images, plain.tiled)
        assert plan.peak <= free
    # Where parts take turns it is one of them.
    assert not choose_plan(int(5.9 * GB), SDXL, seen, required="medvram").auxiliaries_elsewhere
    assert choose_plan(int(3.5 * GB), SDXL, seen).auxiliaries_elsewhere


def test_in_main_memory_nothing_steps_aside() -> None:
    request = RequestSize(512, 512, controls=(CONTROLNETS["SD1"],) * 2, auxiliaries=(LOOKERS["SD1"],))
    needed = peak(SD1, request, "full") + RESERVE
    plan = choose_plan(needed, SD1, request, modes=("full",))
    assert (plan.controls_take_turns, plan.auxiliaries_elsewhere) == (False, False)
    with pytest.raises(OutOfBudget):
        choose_plan(needed - RESERVE - 1, SD1, request, modes=("full",), device="this machine")


def test_what_control_models_take_beside_their_weights() -> None:
    """A ControlNet's residuals are as large as the skip connections: 12 and the middle's, of two rows, twice."""
    assert control_work(SD1, RequestSize(512, 512)) == (0, 0)
    picture_only = RequestSize(512, 512, controls=(ControlSize(44_000_000, adds_residuals=False),))
    assert control_work(SD1, picture_only) == (44_000_000, 0)
    skips = 3 * 320 * 64**2 + (320 + 2 * 640) * 32**2 + (640 + 2 * 1280) * 16**2 + (3 + 1) * 1280 * 8**2
    staying, calls = control_work(SD1, RequestSize(512, 512, controls=(CONTROLNETS["SD1"],)))
    assert staying == CONTROLNETS["SD1"].weights
    assert skips * 2 * 2 * 2 <= calls <= 1.2 * skips * 2 * 2 * 2
