"""Text to conditioning: CLIP over 75-token chunks, by each family's rules, with emphasis, cached across jobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model
from transformers.models.t5.modeling_t5 import T5Stack

from modules.families import TextEncoderFacts
from modules.parameters.job_options import EncodingOptions
from modules.prompt import Chunk, Tokenizer, chunk_prompt, chunk_prompt_as_before, empty_chunk
from modules.prompt.tokens import END
from modules.text.chat import ChatEncoder
from modules.text.emphasis import apply_emphasis
from modules.text.t5 import T5Encoder
from modules.weights.model import ClipEncoder, Model

# What cached encodings take of the device at most. A chunk of SD 1.5 is 118 KB in half precision, so that is 540 of
# them; what a job adds to them while it runs, after its memory was planned, is within the budget's reserve.
CACHE_BYTES: Final = 64_000_000

# The vectors of each textual inversion by its name, (count, width), one tensor for each text encoder.
Embeddings = Mapping[str, tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoded texts: `context` (texts, 77 * chunks, width of all encoders together), and `pooled`, (texts, width), the
    vector of each whole text where the family has one. `lengths` are the tokens of each text where they count: the
    rest of its context is filled up.
    """

    context: Tensor
    pooled: Tensor | None = None
    lengths: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        tensors = (self.context,) if self.pooled is None else (self.context, self.pooled)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Some texts' encoding, and the textual inversions among them."""

    encoding: Encoding
    embeddings: tuple[str, ...]


# What an encoding depends on: its texts, how they are read, and what the text encoders hold beside their weights.
_Key = tuple[tuple[str, ...], EncodingOptions, Hashable]


class PromptEncoder:
    """Encodes texts with one checkpoint's text encoders and caches the latest encodings, `CACHE_BYTES` at most."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        self._encoders: tuple[_ClipEncoder, ...] = ()
        self._whole: ChatEncoder | T5Encoder | None = None
        for encoder, facts in zip(model.text_encoders, model.family.text_encoders, strict=True):
            if isinstance(encoder, Qwen3Model):
                self._whole = ChatEncoder(encoder, facts)
            elif isinstance(encoder, T5Stack):
                self._whole = T5Encoder(encoder)
            else:
                self._encoders = (*self._encoders, _ClipEncoder(encoder, facts, tokenizer))
        self._cache: OrderedDict[_Key, _Encoded] = OrderedDict()
        self._networks: Hashable = ()
        self._cached_bytes = 0
        self._embeddings: Embeddings = {}
        self._known: Embeddings = {}
        self._used: dict[str, None] = {}
        self._used_in_picture: dict[str, None] = {}

    @property
    def embeddings_used(self) -> tuple[str, ...]:
        """The textual inversions found in this job's texts, in the order in which they were encoded."""
        return tuple(self._used)

    @property
    def embeddings_in_picture(self) -> tuple[str, ...]:
        """Those of them that were found since `begin_picture`."""
        return tuple(self._used_in_picture)

    def begin_picture(self) -> None:
        """Start a picture whose texts may be others than those of the job's pictures before it."""
        self._used_in_picture = {}

    @property
    def cached_bytes(self) -> int:
        """What the cached encodings take, on the device that encoded them."""
        return self._cached_bytes

    def begin(self, embeddings: Embeddings) -> None:
        """Start a job with these textual inversions.

        Encodings made with other ones are forgotten.
        """
        if embeddings is not self._embeddings:
            self._embeddings = embeddings
            self.forget()
        self._networks, self._known = (), embeddings
        self._used = {}
        self.begin_picture()

    def set_networks(self, networks: Hashable, bundled: Embeddings) -> None:
        """Say which networks the text encoders hold from now on, and which textual inversions come with these.

        Encodings are cached for each value of `networks`. One of a name that a file has too is the file's.
        """
        self._networks = networks
        self._known = {**bundled, **self._embeddings}

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._cached_bytes = 0

    def release(self) -> None:
        """Free the text encoders, even while references to this object remain; it encodes nothing after that."""
        self.forget()
        self._encoders, self._whole = (), None

    def encode(self, texts: Sequence[str], options: EncodingOptions) -> Encoding:
        """The encoding of `texts`, all texts of one prompt's schedule.

        They are encoded together, one that comes back later counted again, and shorter ones are filled up with empty
        chunks: A1111 does so, and the emphasis mean depends on it.
        """
        key = (tuple(texts), options, self._networks)
        encoded = self._cache.get(key)
        if encoded is None:
            encoded = self._encode(key[0], options)
            self._add(key, encoded)
        else:
            self._cache.move_to_end(key)
        self._used |= dict.fromkeys(encoded.embeddings)
        self._used_in_picture |= dict.fromkeys(encoded.embeddings)
        return encoded.encoding

    def token_count(self, text: str, options: EncodingOptions) -> int:
        """How many tokens a text of one chunk has, without the marks of its start and end."""
        counts = {name: vectors[0].shape[0] for name, vectors in self._known.items()}
        return self._encoders[0].columns((text,), options, counts)[0][0].length

    def positions_of(self, text: str, word: str, options: EncodingOptions) -> tuple[int, ...]:
        """Where the tokens of `word` stand in the encoding of `text`, each time it occurs; empty if never."""
        counts = {name: vectors[0].shape[0] for name, vectors in self._known.items()}
        encoder, found = self._encoders[0], list[int]()
        alone = encoder.columns((word,), options, counts)[0][0]
        wanted = alone.tokens[1 : 1 + alone.length]
        for number, (chunk,) in enumerate(encoder.columns((text,), options, counts)):
            for start in range(1, 2 + chunk.length - len(wanted)):
                if wanted and chunk.tokens[start : start + len(wanted)] == wanted:
                    first = number * len(chunk.tokens) + start
                    found += range(first, first + len(wanted))
        return tuple(found)

    def _add(self, key: _Key, encoded: _Encoded) -> None:
        """Cache an encoding; those that were used longest ago make room for it. One too large for all is not cached."""
        if encoded.encoding.size > CACHE_BYTES:
            return
        while self._cached_bytes + encoded.encoding.size > CACHE_BYTES:
            self._cached_bytes -= self._cache.popitem(last=False)[1].encoding.size
        self._cache[key] = encoded
        self._cached_bytes += encoded.encoding.size

    def _encode(self, texts: tuple[str, ...], options: EncodingOptions) -> _Encoded:
        counts = {name: vectors[0].shape[0] for name, vectors in self._known.items()}
        contexts: list[Tensor] = []
        pooled: list[Tensor] = []
        names: dict[str, None] = {}
        for index, encoder in enumerate(self._encoders):
            columns = encoder.columns(texts, options, counts)
            own = {name: vectors[index] for name, vectors in self._known.items()}
            context, of_text = encoder.encode(columns, options, own)
            contexts += [] if encoder.facts.only_pooled else [context]
            pooled += [] if of_text is None else [of_text]
            names |= dict.fromkeys(name for column in columns for chunk in column for _, name in chunk.embeddings)
        lengths: tuple[int, ...] = ()
        if self._whole is not None:
            context, lengths = self._whole.encode(texts, options)
            contexts.append(context)
        encoding = Encoding(torch.cat(contexts, dim=-1), torch.cat(pooled, dim=-1) if pooled else None, lengths)
        return _Encoded(encoding, tuple(names))


class _ClipEncoder:
    """One text encoder of a family, with the rules by which it reads a prompt."""

    def __init__(self, model: ClipEncoder, facts: TextEncoderFacts, tokenizer: Tokenizer) -> None:
        self._model = model
        self.facts = facts
        self._tokenizer = tokenizer
        self._padding = END if facts.pads_with_end else 0

    def columns(self, texts: Sequence[str], options: EncodingOptions, counts: Mapping[str, int]) -> list[list[Chunk]]:
        """The first chunks of all texts, then their second ones, and so on; empty ones where a text is shorter."""
        chunked = [self._chunks(text, options, counts) for text in texts]
        filler = empty_chunk(self._padding)
        return [[chunks[i] if i < len(chunks) else filler for chunks in chunked] for i in range(max(map(len, chunked)))]

    def _chunks(self, text: str, options: EncodingOptions, counts: Mapping[str, int]) -> tuple[Chunk, ...]:
        if options.old_emphasis:
            return chunk_prompt_as_before(text, self._tokenizer, options.emphasis, counts, self._padding).chunks
        backtrack = options.comma_padding_backtrack
        return chunk_prompt(text, self._tokenizer, options.emphasis, backtrack, counts, self._padding).chunks

    @torch.inference_mode()
    def encode(
        self, columns: Sequence[Sequence[Chunk]], options: EncodingOptions, embeddings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """(texts, 77 * chunks, width), and the vectors of the whole texts, which are those of their first chunks."""
        made = [self._encode_chunks(column, options, embeddings) for column in columns]
        return torch.cat([hidden for hidden, _ in made], dim=1), made[0][1]

    def _encode_chunks(
        self, chunks: Sequence[Chunk], options: EncodingOptions, embeddings: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        device, facts = self._model.device, self.facts
        layer = self._layer(options)
        ids = torch.tensor([chunk.tokens for chunk in chunks], device=device)
        multipliers = torch.tensor([chunk.multipliers for chunk in chunks], dtype=torch.float32, device=device)
        whole = layer == 1 and facts.final_norm
        with self._placed(chunks, embeddings):
            output = self._model(ids, output_hidden_states=not whole)
        if whole:
            hidden = output.last_hidden_state
        else:
            hidden = output.hidden_states[-min(layer, len(output.hidden_states) - 1)]
            if facts.final_norm:
                hidden = self._clip.final_layer_norm(hidden)
        # An encoder that waits in main memory is brought to the device by the call: what it answers lies there.
        weighted = apply_emphasis(hidden, multipliers.to(hidden.device), options.emphasis)
        if not facts.pooled:
            return weighted, None
        return weighted, output.text_embeds if facts.projected else output.pooler_output

    @property
    def _clip(self) -> CLIPTextModel:
        return self._model.text_model if isinstance(self._model, CLIPTextModelWithProjection) else self._model

    def _layer(self, options: EncodingOptions) -> int:
        """The hidden state to take, counted from the last one, which is 1."""
        rule = self.facts.clip_skip
        follows = rule == "always" or (rule == "sdxl_clip_l_skip" and options.sdxl_clip_l_skip)
        return options.clip_skip if follows else self.facts.layer

    @contextmanager
    def _placed(self, chunks: Sequence[Chunk], embeddings: Mapping[str, Tensor]) -> Iterator[None]:
        """While open, the vectors of textual inversions stand where their names stood, before positions are added."""
        if not any(chunk.embeddings for chunk in chunks):
            yield
            return

        def overwrite(_layer: nn.Module, _inputs: object, looked_up: Tensor) -> Tensor:
            placed = looked_up.clone()
            for row, chunk in zip(placed, chunks, strict=True):
                for offset, name in chunk.embeddings:
                    vectors = embeddings[name][: len(row) - offset]
                    row[offset : offset + len(vectors)] = vectors.to(row)
            return placed

        hook = self._model.get_input_embeddings().register_forward_hook(overwrite)
        try:
            yield
        finally:
            hook.remove()
