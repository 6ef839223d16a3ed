"""Settings that exist for config.json and the API alone and have no effect: page and docs say why.

A test compares these lists with what the sources mention; who makes one act takes it out.
"""

from collections.abc import Mapping
from typing import Final

# What A1111 v1.10.1 stores and reads nowhere: the samplers that did were replaced in its 1.6.
IDLE_IN_A1111: Final = frozenset({"ddim_discretize", "enable_batch_seeds"})

# What A1111 has and this program does not have yet.
NOT_YET: Final = frozenset(
    {
        "postprocessing_existing_caption_action",
    }
)

# What has nothing to do here, and why.
NOT_NEEDED: Final[Mapping[str, str]] = {
    "cache_fp16_weight": "Kept for config.json; networks on 8-bit weights lose nothing here without it.",
    "extra_networks_card_description_is_html": "Kept for config.json; a description is shown as the text that it is.",
    "extra_networks_dir_button_function": "Kept for config.json; a folder shows what lies in it and below.",
}

WITHOUT_EFFECT: Final = NOT_YET | NOT_NEEDED.keys() | IDLE_IN_A1111


def without_effect(key: str) -> str:
    """Why the setting does nothing, as a sentence; empty if it acts."""
    if key in IDLE_IN_A1111:
        return "Kept for config.json; A1111 v1.10.1 ignores it too."
    if key in NOT_NEEDED:
        return NOT_NEEDED[key]
    return "Has no effect yet." if key in NOT_YET else ""
