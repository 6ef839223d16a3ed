"""What the Checkpoint Merger does: checkpoints merged into one, or a LoRA extracted from the difference of two.

Fields of a merge have A1111's names, for its own arguments and for the recipe in a file's metadata.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modules.parameters.block_weights import read_block_weights

NO_INTERPOLATION: Final = "No interpolation"
WEIGHTED_SUM: Final = "Weighted sum"
ADD_DIFFERENCE: Final = "Add difference"
NO_VAE: Final = "None"
# Of which checkpoint the config is copied, by A1111's numbers: the first that has one, B, C, or none.
CONFIG_SOURCES: Final = ("A, B or C", "B", "C", "Don't")
MOST_LORAS: Final = 32

InterpolationMethod = Literal["No interpolation", "Weighted sum", "Add difference"]
# The type that values are stored in; "" stands for that of the checkpoints.
StoredPrecision = Literal["", "float16", "bfloat16"]
Weight = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
ModelName = Annotated[str, Field(max_length=1000)]


class BakedLora(BaseModel):
    """A LoRA that a checkpoint is to hold, by name; `text_weight` is for text encoders, without it `weight`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    weight: Weight = 1.0
    text_weight: Weight | None = None


class MergeRequest(BaseModel):
    """Checkpoints merged into a new one: A·(1-M) + B·M, or A + (B-C)·M, or A as it is.

    `block_weights` are numbers as `read_block_weights` takes them, each in M's place for its block. `loras` are merged
    into the result, a VAE is put into it, and the tensors that `discard_weights` (a regular expression) is found in are
    left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Literal["merge"] = "merge"
    primary_model_name: ModelName = ""
    secondary_model_name: ModelName = ""
    tertiary_model_name: ModelName = ""
    interp_method: InterpolationMethod = "Weighted sum"
    multiplier: Weight = 0.3
    block_weights: Annotated[str, Field(max_length=2000)] = ""
    loras: Annotated[tuple[BakedLora, ...], Field(max_length=MOST_LORAS)] = ()
    save_as: StoredPrecision = ""
    custom_name: ModelName = ""
    config_source: Annotated[int, Field(ge=0, le=len(CONFIG_SOURCES) - 1)] = 0
    bake_in_vae: ModelName = NO_VAE
    discard_weights: ModelName = ""
    save_metadata: bool = True
    add_merge_recipe: bool = True
    copy_metadata_fields: bool = True
    metadata_json: Annotated[str, Field(max_length=10_000_000)] = "{}"

    @property
    def models(self) -> tuple[str, ...]:
        """The checkpoints that are used, A first."""
        count = {NO_INTERPOLATION: 1, WEIGHTED_SUM: 2, ADD_DIFFERENCE: 3}[self.interp_method]
        return (self.primary_model_name, self.secondary_model_name, self.tertiary_model_name)[:count]

    @property
    def bakes_vae(self) -> bool:
        return self.bake_in_vae not in ("", NO_VAE)

    @cached_property
    def weights(self) -> dict[str, float]:
        """The block weights by block."""
        return read_block_weights(self.block_weights)

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The metadata that the JSON box adds; values that are no text are JSON again."""
        values = json.loads(self.metadata_json or "{}")
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}

    @field_validator("block_weights")
    @classmethod
    def _readable_weights(cls, text: str) -> str:
        read_block_weights(text)
        return text

    @field_validator("discard_weights")
    @classmethod
    def _regular_expression(cls, text: str) -> str:
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"it is no regular expression: {error}") from error
        return text

    @field_validator("metadata_json")
    @classmethod
    def _json_object(cls, text: str) -> str:
        try:
            values = json.loads(text or "{}")
        except (ValueError, RecursionError) as error:
            raise ValueError("it is no JSON") from error
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object in braces")
        return text


class ExtractRequest(BaseModel):
    """A LoRA that turns the checkpoint `original` into `tuned`, as far as matrices of its rank can.

    `conv_rank` is the rank for 3x3 convolutions, 0 leaving them out, with all else of the blocks that they are in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Literal["extract"] = "extract"
    tuned: ModelName = ""
    original: ModelName = ""
    rank: Annotated[int, Field(ge=1, le=1024)] = 32
    conv_rank: Annotated[int, Field(ge=0, le=1024)] = 0
    save_as: Literal["float32", "float16", "bfloat16"] = "float16"
    custom_name: ModelName = ""

    @property
    def models(self) -> tuple[str, ...]:
        return self.tuned, self.original


MergerRequest = Annotated[MergeRequest | ExtractRequest, Field(discriminator="operation")]
