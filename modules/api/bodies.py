"""Request bodies: the declared parameters with the API's defaults, and what only A1111's API has."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, create_model

from modules.parameters import GenerationRequest, declared_parameters
from modules.parameters.request import MAXIMUM_SIDE

# Fields whose API form differs from the declared one: pictures come as base64, override settings may be null.
_OWN_FORM: Final = frozenset({"init_images", "mask", "firstpass_image", "override_settings", "styles"})
# A picture of 64 megapixels as PNG in base64 is smaller than this.
MAXIMUM_PICTURE: Final = 256 * 1024 * 1024

# Nothing that a client of this API sends is nested deeper; what is, was made to exhaust a stack.
MAXIMUM_DEPTH: Final = 16

EncodedPicture = Annotated[str, Field(max_length=MAXIMUM_PICTURE)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=1000)]


def shallow(value: JsonValue) -> JsonValue:
    """`value`, unless it is nested deeper than MAXIMUM_DEPTH. Looks level by level, so that no depth can hurt here."""
    level: list[JsonValue] = [value]
    for _ in range(MAXIMUM_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {MAXIMUM_DEPTH} levels")


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


Json = Annotated[JsonValue, AfterValidator(shallow)]


class ApiOnly(BaseModel):
    """What clients send besides the parameters. Unknown fields are ignored, as in A1111."""

    # A bot's prompt or style that is all digits comes as a number; A1111 takes it.
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    sampler_index: Name | None = Field("Euler", description="The sampler where sampler_name is not given.")
    styles: Annotated[list[Name] | None, Field(max_length=1000)] = None
    override_settings: dict[str, Json] | None = None
    override_settings_restore_afterwards: bool = Field(True, description="Overrides never outlive their request.")
    eta: Number | None = None
    s_churn: Number | None = None
    s_tmin: Number | None = None
    s_tmax: Number | None = None
    s_noise: Number | None = None
    s_min_uncond: Number | None = None
    script_name: Name | None = None
    script_args: list[Json] | None = []
    alwayson_scripts: dict[str, Json] | None = {}
    send_images: bool = True
    save_images: bool = False
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    force_task_id: Annotated[str | None, Field(max_length=200)] = None
    infotext: Annotated[str | None, Field(max_length=1_000_000)] = None
    disable_extra_networks: bool | None = Field(
        False, description="Take tags like <lora:name> off the prompt and apply none of them."
    )
    comments: dict[str, Json] | None = None
    cancel_on_disconnect: bool = Field(False, description="Ours: cancel the job when the client hangs up.")


class Txt2ImgOnly(ApiOnly):
    """What only txt2img takes. The first two are A1111's hires fix of 2022."""

    firstphase_width: int | None = Field(
        0, ge=0, le=MAXIMUM_SIDE, description="With enable_hr: the first pass's; width is then the hires pass's."
    )
    firstphase_height: int | None = Field(0, ge=0, le=MAXIMUM_SIDE, description="As firstphase_width.")
    firstpass_image: EncodedPicture | None = Field(
        None, description="A finished picture: only the hires pass runs, from there. Implies enable_hr."
    )


class Img2ImgOnly(ApiOnly):
    """What only img2img takes."""

    init_images: Annotated[list[EncodedPicture] | None, Field(max_length=64)] = None
    mask: EncodedPicture | None = None
    latent_mask: EncodedPicture | None = Field(None, description="Taken and without effect.")
    mask_blur: Annotated[int | None, Field(ge=0, le=256)] = None
    initial_noise_multiplier: Number | None = None
    include_init_images: bool = False


def _body(name: str, mode: str, base: type[ApiOnly]) -> type[ApiOnly]:
    """A model with every declared parameter of `mode`; null means the API's default."""
    fields: dict[str, Any] = {
        declared.name: (
            # What is chosen from a list is a name; prompts have their own bound.
            (Name if declared.type is str and declared.parameter.choices else declared.type) | None,
            Field(declared.default_for(mode, api=True), description=declared.parameter.label),
        )
        for declared in declared_parameters(GenerationRequest)
        if mode in declared.parameter.modes and declared.name not in _OWN_FORM
    }
    # A1111's default is null, and then sampler_index counts.
    fields["sampler_name"] = (Name | None, None)
    return create_model(name, __base__=base, **fields)


Txt2ImgBody: Final = _body("StableDiffusionTxt2ImgRequest", "txt2img", Txt2ImgOnly)
Img2ImgBody: Final = _body("StableDiffusionImg2ImgRequest", "img2img", Img2ImgOnly)


class GenerationAnswer(BaseModel):
    """What a generation call answers: pictures in base64, the request as it was taken, and `info` as JSON text."""

    images: list[str]
    parameters: dict[str, Any]
    info: str
