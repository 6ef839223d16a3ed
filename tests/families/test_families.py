"""Which family a checkpoint is of, and what is said of each."""

import ast
from pathlib import Path
from typing import get_args

from modules.families import (
    COSXL,
    FAMILIES,
    FLUX2_KLEIN_4B,
    FLUX2_KLEIN_9B,
    FLUX_DEV,
    FLUX_SCHNELL,
    PLAYGROUND,
    SD1,
    SD2,
    SDXL,
    SDXL_REFINER,
    Z_IMAGE,
    DenoiserKind,
    family_of,
)
from modules.families.documents import families_page

ROOT = Path(__file__).parents[2]


def test_families_are_recognised_by_their_text_encoder() -> None:
    unet = "model.diffusion_model.input_blocks.0.0.weight"
    sizes = "model.diffusion_model.label_emb.0.0.weight"
    assert family_of({unet, "cond_stage_model.transformer.text_model.x"}) is SD1
    assert family_of({unet, "cond_stage_model.model.ln_final.bias"}) is SD2
    assert family_of({unet, sizes, "conditioner.embedders.1.model.x", "conditioner.embedders.0.t"}) is SDXL
    assert family_of({unet, sizes, "conditioner.embedders.0.model.x"}) is SDXL_REFINER
    assert family_of({unet, "conditioner.embedders.0.model.x"}) is SD2, "SD Turbo"
    assert family_of({"lora_unet_x"}) is None


def test_models_of_edm_are_recognised_by_what_their_files_say_of_it() -> None:
    both = {"model.diffusion_model.label_emb.0.0.weight", "conditioner.embedders.1.model.x"}
    assert family_of(both | {"edm_mean", "edm_std"}) is PLAYGROUND
    assert family_of(both | {"edm_mean"}) is SDXL
    assert family_of(both | {"edm_vpred.sigma_max", "edm_vpred.sigma_min"}) is COSXL
    assert COSXL.shares_latents_with(SDXL_REFINER) and not PLAYGROUND.shares_latents_with(SDXL)


def test_z_image_is_recognised_by_what_lumina_lacks() -> None:
    refiner = {"noise_refiner.0.attention.qkv.weight", "cap_embedder.1.weight"}
    assert family_of(refiner | {"cap_pad_token"}) is Z_IMAGE
    assert family_of({f"model.diffusion_model.{name}" for name in refiner | {"cap_pad_token"}}) is Z_IMAGE
    assert family_of(refiner) is None


def test_flux_2_klein_is_recognised_by_its_one_modulation_and_its_depth() -> None:
    for prefix in ("", "model.diffusion_model."):
        for modulation, block in (("lin", "double_blocks"), ("linear", "transformer_blocks")):
            names = {f"{prefix}double_stream_modulation_img.{modulation}.weight", f"{prefix}{block}.4.attn.x"}
            assert family_of(names) is FLUX2_KLEIN_4B
            assert family_of(names | {f"{prefix}{block}.5.attn.x"}) is FLUX2_KLEIN_9B
    assert family_of({"double_blocks.0.img_mod.lin.weight", "double_blocks.5.img_mod.lin.weight"}) is None


def test_flux_1_is_recognised_by_its_blocks_and_dev_by_its_guidance() -> None:
    for prefix in ("", "model.diffusion_model."):
        for block, guidance in (
            ("double_blocks.0.img_attn.norm.key_norm.scale", "guidance_in.in_layer.bias"),
            ("double_blocks.0.img_attn.norm.key_norm.weight", "guidance_in.in_layer.bias"),
            ("single_transformer_blocks.0.proj_mlp.weight", "time_text_embed.guidance_embedder.linear_1.bias"),
        ):
            assert family_of({prefix + block}) is FLUX_SCHNELL
            assert family_of({prefix + block, prefix + guidance}) is FLUX_DEV
    assert FLUX_DEV.shares_latents_with(FLUX_SCHNELL) and FLUX_DEV.shares_latents_with(Z_IMAGE)
    assert not FLUX_DEV.shares_latents_with(FLUX2_KLEIN_4B)


def test_one_scale_is_a_shift_or_a_guidance_or_nothing() -> None:
    assert (Z_IMAGE.distilled_scale, FLUX_DEV.distilled_scale) == ("Shift", "Distilled CFG Scale")
    assert (FLUX_SCHNELL.distilled_scale, SDXL.distilled_scale) == (None, None)
    assert (FLUX_DEV.guidance(0), FLUX_DEV.guidance(2), Z_IMAGE.guidance(2)) == (3.5, 2, None)
    assert (FLUX_DEV.noise(9), FLUX_SCHNELL.noise(9), SDXL.noise(9)) == (FLUX_DEV.flow, FLUX_SCHNELL.flow, None)
    shifted = FLUX2_KLEIN_4B.noise(9)
    assert shifted is not None and (shifted.shift, shifted.even_shift(4096, 4)) == (9, 9)


def _is_a_name(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(
            value=ast.Name(id="family") | ast.Attribute(attr="family") | ast.Call(func=ast.Attribute(attr="family")),
            attr="name",
        ):
            return True
    return False


def test_nobody_else_asks_which_family_it_is() -> None:
    """Sources ask a family's value for what they need: its name is shown, not compared, and stands in its own file."""
    names = {"SD1", "SD2", "SDXL", "SDXL_REFINER", "PLAYGROUND", "COSXL", "Z_IMAGE", "FLUX_DEV", "FLUX_SCHNELL"}
    names |= {"FLUX2_KLEIN_4B", "FLUX2_KLEIN_9B"}
    kinds = set(get_args(DenoiserKind)) - {"unet"}
    questions = []
    for path in sorted((ROOT / "modules").rglob("*.py")):
        if path.is_relative_to(ROOT / "modules" / "families"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(module=str(module), names=imported) if module.startswith("modules.families"):
                    questions += [f"{path}: {one.name}" for one in imported if one.name in names]
                case ast.Compare() | ast.Match() if any(map(_is_a_name, ast.walk(node))):
                    questions.append(f"{path}:{node.lineno} asks for its name")
                case ast.Compare(comparators=[ast.Constant(value=str(value))]) if value in kinds:
                    questions.append(f"{path}:{node.lineno} asks for {value}, which a table should say")
    assert questions == []


def test_the_page_about_families_is_fresh() -> None:
    page = (ROOT / "docs" / "families.md").read_text("utf-8")
    assert page == families_page(), "run python -m modules.families"
    assert all(f"| {family.label} |" in page for family in FAMILIES)


def test_each_family_is_whole() -> None:
    for family in FAMILIES:
        assert family.marks and family.text_encoders and min(family.resolution) >= 512
        pooled = [facts for facts in family.text_encoders if facts.pooled]
        assert bool(family.added_numbers) <= bool(pooled), "numbers go beside the vector of the whole text"
        assert bool(family.pooled_layers) == any(facts.only_pooled for facts in pooled)
        assert len({facts.role for facts in family.text_encoders}) == len(family.text_encoders)
    assert len({family.label for family in FAMILIES}) == len(FAMILIES)
    by_name = {family.name: [facts.role for facts in family.text_encoders] for family in FAMILIES}
    for family in FAMILIES:
        assert by_name[family.name] == [facts.role for facts in family.text_encoders], "one name, the same layers"
