"""The fields every generating endpoint shares: how tokens are drawn, when to stop, a request's place in the queue.

Names and ranges: https://platform.openai.com/docs/api-reference/chat/create. Fields marked "ours" are extensions that
llama-server and vLLM share.
"""

from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from server.engine.types import Sampling

_LEVELS = {"priority": -1, "flex": 1}
"""OpenAI's service tiers as levels of priority; all others are 0."""


class Wire(BaseModel):
    """A JSON object of a request. Unknown fields are accepted, as OpenAI's server accepts them."""

    model_config = ConfigDict(extra="ignore", strict=True)


class StreamOptions(Wire):
    include_usage: bool | None = None


class SamplingFields(Wire):
    """Sampling, stops and scheduling of a request."""

    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    top_k: int | None = Field(default=None, ge=0)
    """Ours: keep the k likeliest tokens."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Ours: drop tokens less likely than this share of the likeliest."""
    repeat_penalty: float | None = Field(default=None, ge=0.01, le=10)
    """Ours: divides the logits of tokens seen before; llama-server's name."""
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=10)
    """Ours: the same under vLLM's name."""
    service_tier: Literal["auto", "default", "flex", "priority", "scale"] | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)
    """Ours: lower comes earlier in the queue; vLLM's name and sense. Goes before service_tier."""
    timeout: float | None = Field(default=None, gt=0)
    """Ours: seconds the request may take, waiting included."""
    speculate: bool | None = None
    """Ours: whether to guess ahead; by default as the server is set."""

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if isinstance(stop, list) and len(stop) > 4:
            raise ValueError("at most 4 stop sequences are allowed")
        return stop

    @field_validator("logit_bias")
    @classmethod
    def _bias_in_range(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        for token, value in (bias or {}).items():
            if not (token.isascii() and token.isdecimal() and len(token) <= 10):
                raise ValueError(f"keys are token ids, not {token!r}")
            if not -100 <= value <= 100:
                raise ValueError("values lie between -100 and 100")
        return bias

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def level(self) -> int:
        """The priority in the queue."""
        return _LEVELS.get(self.service_tier or "default", 0) if self.priority is None else self.priority

    def sampling(self, defaults: Sampling) -> Sampling:
        """`defaults`: what the model recommends where the request says nothing."""
        given: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty if self.repeat_penalty is None else self.repeat_penalty,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "seed": None if self.seed is None else self.seed % 2**64,
            "logit_bias": {int(token): bias for token, bias in self.logit_bias.items()} if self.logit_bias else None,
        }
        return replace(defaults, **{name: value for name, value in given.items() if value is not None})


class StreamFields(Wire):
    """Whether an answer is streamed, for the two completion endpoints."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream tells the usage in its last chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("'stream_options' is only allowed when 'stream' is true")
        return self
