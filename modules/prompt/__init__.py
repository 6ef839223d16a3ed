"""From the text of a prompt to what is encoded, with which weight, at which step (no torch)."""

from modules.prompt.attention import BREAK, parse_attention
from modules.prompt.chunks import CHUNK_LENGTH, Chunk, ChunkedPrompt, Emphasis, chunk_prompt, empty_chunk
from modules.prompt.composable import split_composable
from modules.prompt.networks import NetworkTag, extract_networks
from modules.prompt.notices import Notice
from modules.prompt.plan import ConditioningPlan, Part, PromptPlan, active_index, active_text, plan_conditioning
from modules.prompt.scheduling import schedule
from modules.prompt.tokens import Tokenizer, clip_tokenizer

__all__ = [
    "BREAK",
    "CHUNK_LENGTH",
    "Chunk",
    "ChunkedPrompt",
    "ConditioningPlan",
    "Emphasis",
    "NetworkTag",
    "Notice",
    "Part",
    "PromptPlan",
    "Tokenizer",
    "active_index",
    "active_text",
    "chunk_prompt",
    "clip_tokenizer",
    "empty_chunk",
    "extract_networks",
    "parse_attention",
    "plan_conditioning",
    "schedule",
    "split_composable",
]
