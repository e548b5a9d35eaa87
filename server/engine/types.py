"""What goes into the engine and what comes out: plain values, no llama.cpp in sight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

FinishReason = Literal["stop", "length", "fitted", "timeout", "cancelled"]
"""`fitted`: the tokens ran out, and the text was brought to an end that its grammar has."""
KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
"""How numbers are held in the KV cache; those that llama.cpp can compute with."""
Pooling = Literal["mean", "cls", "last"]
"""How one vector is made of an embedding model's outputs for all tokens."""
FlashAttention = Literal["auto", "on", "off"]
SplitMode = Literal["none", "layer", "row", "tensor"]
"""How weights are divided among several GPUs."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. Every default leaves the model's distribution as it is.

    Order: logit bias, penalties, grammar mask, temperature, top-k, top-p, min-p, draw.
    """

    temperature: float = 1.0
    """0, and all below 1e-5, takes the likeliest token."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens whose probability reaches this (https://arxiv.org/abs/1904.09751)."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest (https://arxiv.org/abs/2407.01082)."""
    repetition_penalty: float = 1.0
    """Divides the logits of tokens already seen, prompt included (https://arxiv.org/abs/1909.05858)."""
    frequency_penalty: float = 0.0
    """Subtracted once for every time the token was generated (OpenAI's definition)."""
    presence_penalty: float = 0.0
    """Subtracted once if the token was generated at all (OpenAI's definition)."""
    seed: int | None = None
    """None draws a fresh seed."""
    logit_bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    """Token id to a value added to its logit."""


NEUTRAL_SAMPLING = Sampling()


class Place(Protocol):
    """A place in a text of a grammar."""

    @property
    def end(self) -> bytes:
        """The fewest bytes that make the text whole; none if it is."""

    @property
    def is_end(self) -> bool: ...

    def after(self, data: bytes) -> "Place | None":
        """The place behind these bytes; None if the grammar does not have them here."""


class Endings(Protocol):
    """A grammar, seen from its ends."""

    def begin(self) -> Place: ...


@dataclass(frozen=True, slots=True)
class Constraint:
    """A grammar the output must follow."""

    gbnf: str
    lark: str | None = None
    """The same language in llguidance's Lark form, used instead where the backend prefers it."""
    trigger: str | None = None
    """Lazy grammar: text is free until this string appears; the grammar's language begins with that string.
    None applies the grammar from the first token."""
    endings: Endings | None = None
    """Of the same grammar: then a text comes to one of its ends before the tokens run out."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One sequence to generate."""

    prompt: tuple[int, ...]
    """Token ids; at least one."""
    sampling: Sampling = NEUTRAL_SAMPLING
    constraint: Constraint | None = None
    barred: tuple[str, ...] = ()
    """Marks that text without a grammar, or before its trigger, can't have, where each is a token of its own."""
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these; the match itself is not part of the text."""
    max_tokens: int | None = None
    """None: up to the end of the context."""
    top_logprobs: int | None = None
    """So many of the likeliest tokens are told at every place; None tells no probabilities. Tokens that a grammar
    forces are then sampled like others, so that each has a probability of its own."""
    adapter: str | None = None
    """Name of a loaded adapter; None is the base model."""
    priority: int = 0
    """Lower comes earlier; a level is a head start of ten seconds in the queue."""
    client: str | None = None
    """Who asks; the queue takes turns between clients."""
    timeout: float | None = None
    """Seconds after which it ends with what it has said, or fails if that is nothing."""
    speculates: bool | None = None
    """Whether to guess ahead; None leaves it to the engine's setting."""
    streams: bool = True
    """Text comes as it is made. Otherwise all of it comes at the end, which costs less."""
    common_tokens: int = 0
    """So many of the first tokens (system text and tools) other requests have as well; worth keeping over a restart."""
    judges_prompt: bool = False
    """The prompt's own tokens are told with their probabilities, as `top_logprobs` says; `max_tokens` may then be 0."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one sequence."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Prompt tokens whose KV was already there."""
    forced_tokens: int
    """Completion tokens the grammar left no choice about: they cost no sampling step of their own."""
    reasoning_tokens: int = 0
    """Completion tokens of what was thought first; who reads the text counts them."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text: whole characters, never part of a stop string."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A sampled token in the model's own distribution: before logit bias, penalties, mask and temperature."""

    token: int
    logprob: float
    """Natural logarithm of its probability."""
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens, best first, with theirs."""


@dataclass(frozen=True, slots=True)
class PromptLogprobs:
    """What the model makes of the prompt's tokens, from the second on: nothing comes before the first."""

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every generation that did not fail."""

    reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since the engine started, and what it is doing now."""

    steps: int
    """Calls of llama_decode."""
    decoded_tokens: int
    """Tokens that went through llama_decode, prompts included."""
    sampled_tokens: int
    forced_tokens: int
    taken_back: int
    """Of the sampled tokens, those that gave way to another word, because of what the grammar allowed behind them."""
    cached_tokens: int
    """Prompt tokens that needed no prefill."""
    running: int
    """Sequences in the batch."""
    waiting: int
    """Requests in the queue."""
    drafted_tokens: int
    """Tokens that speculation proposed."""
    accepted_tokens: int
    """Proposed tokens that were right."""
    rejected: int
    """Requests refused because the queue was full."""
    failed: int
    """Generations that broke off."""
    kv_cells: int
    kv_cells_used: int
    """Cells that hold a token, of running sequences or kept for the next; a shared one counts once for each."""
    kv_shelved_bytes: int
    """Ordinary memory that holds the KV of finished requests."""
    parked: int
    """Times a sequence had to give its KV back and wait again, because the cache was full."""
    decode_seconds: float
    """Time inside llama_decode, for the model itself."""
    draft_seconds: float
    """Time spent on guessing by a draft model, its decoding included."""
    step_seconds: float
    """Time of whole steps, all of that included."""
    is_alive: bool
    """False once the engine thread has stopped; the process should be restarted."""
