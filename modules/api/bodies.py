"""Request bodies: the declared parameters with the API's defaults, and what only A1111's API has."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model

from modules.parameters import GenerationRequest, declared_parameters

# Fields whose API form differs from the declared one: pictures come as base64, override settings may be null.
_OWN_FORM: Final = frozenset({"init_images", "mask", "override_settings", "styles"})
# A picture of 64 megapixels as PNG in base64 is smaller than this.
MAXIMUM_PICTURE: Final = 256 * 1024 * 1024

Picture = Annotated[str, Field(max_length=MAXIMUM_PICTURE)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ApiOnly(BaseModel):
    """What clients send besides the parameters. Unknown fields are ignored, as in A1111."""

    model_config = ConfigDict(extra="ignore")

    sampler_index: str | None = Field("Euler", description="The sampler where sampler_name is not given.")
    styles: list[str] | None = None
    override_settings: dict[str, JsonValue] | None = None
    override_settings_restore_afterwards: bool = Field(True, description="Overrides never outlive their request.")
    eta: Number | None = None
    s_churn: Number | None = None
    s_tmin: Number | None = None
    s_tmax: Number | None = None
    s_noise: Number | None = None
    s_min_uncond: Number | None = None
    script_name: str | None = None
    script_args: list[JsonValue] | None = None
    alwayson_scripts: dict[str, JsonValue] | None = None
    send_images: bool = True
    save_images: bool = False
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    force_task_id: Annotated[str | None, Field(max_length=200)] = None
    infotext: Annotated[str | None, Field(max_length=1_000_000)] = None
    cancel_on_disconnect: bool = Field(False, description="Ours: cancel the job when the client hangs up.")


class Img2ImgOnly(ApiOnly):
    """What only img2img takes."""

    init_images: Annotated[list[Picture] | None, Field(max_length=64)] = None
    mask: Picture | None = None
    mask_blur: Annotated[int | None, Field(ge=0, le=256)] = None
    initial_noise_multiplier: Number | None = None
    include_init_images: bool = False


def _body(name: str, mode: str, base: type[ApiOnly]) -> type[ApiOnly]:
    """A model with every declared parameter of `mode`; null means the API's default."""
    fields: dict[str, Any] = {
        declared.name: (
            declared.type | None,
            Field(declared.default_for(mode, api=True), description=declared.parameter.label),
        )
        for declared in declared_parameters(GenerationRequest)
        if mode in declared.parameter.modes and declared.name not in _OWN_FORM
    }
    # A1111's default is null, and then sampler_index counts.
    fields["sampler_name"] = (str | None, None)
    return create_model(name, __base__=base, **fields)


Txt2ImgBody: Final = _body("StableDiffusionTxt2ImgRequest", "txt2img", ApiOnly)
Img2ImgBody: Final = _body("StableDiffusionImg2ImgRequest", "img2img", Img2ImgOnly)
