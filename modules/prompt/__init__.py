"""From the text of a prompt to what is encoded, with which weight, at which step (no torch)."""

from modules.prompt.attention import BREAK, parse_attention
from modules.prompt.block_weights import parse_presets
from modules.prompt.chunks import CHUNK_LENGTH, Chunk, ChunkedPrompt, chunk_prompt, empty_chunk
from modules.prompt.comments import strip_comments
from modules.prompt.composable import blended, split_composable
from modules.prompt.counter import count_tokens
from modules.prompt.networks import (
    NETWORK_KINDS,
    NETWORK_LABELS,
    NetworkKind,
    NetworkTag,
    NetworkUse,
    can_be_named,
    extract_networks,
    network_uses,
)
from modules.prompt.notices import PromptNotice
from modules.prompt.old_emphasis import chunk_prompt_as_before
from modules.prompt.plan import ConditioningPlan, PromptPart, PromptPlan, active_index, active_text, plan_conditioning
from modules.prompt.readers import whole_reader
from modules.prompt.reading import (
    ChunkReading,
    PartReading,
    PromptReading,
    ReadingOptions,
    Run,
    TextReading,
    read_prompt,
)
from modules.prompt.scheduling import schedule
from modules.prompt.style_files import StyleBook, StyleFileError, read_style_file, write_style_file
from modules.prompt.styles import Style, apply_styles, extract_styles, merge_style
from modules.prompt.tokens import Tokenizer, clip_tokenizer
from modules.prompt.whole import WholeReader, WholeText

__all__ = [
    "BREAK",
    "CHUNK_LENGTH",
    "NETWORK_KINDS",
    "NETWORK_LABELS",
    "Chunk",
    "ChunkReading",
    "ChunkedPrompt",
    "ConditioningPlan",
    "NetworkKind",
    "NetworkTag",
    "NetworkUse",
    "PartReading",
    "PromptNotice",
    "PromptPart",
    "PromptPlan",
    "PromptReading",
    "ReadingOptions",
    "Run",
    "Style",
    "StyleBook",
    "StyleFileError",
    "TextReading",
    "Tokenizer",
    "WholeReader",
    "WholeText",
    "active_index",
    "active_text",
    "apply_styles",
    "blended",
    "can_be_named",
    "chunk_prompt",
    "chunk_prompt_as_before",
    "clip_tokenizer",
    "count_tokens",
    "empty_chunk",
    "extract_networks",
    "extract_styles",
    "merge_style",
    "network_uses",
    "parse_attention",
    "parse_presets",
    "plan_conditioning",
    "read_prompt",
    "read_style_file",
    "schedule",
    "split_composable",
    "strip_comments",
    "whole_reader",
    "write_style_file",
]
