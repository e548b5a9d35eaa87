"""All numbers of a pre-training run, checked and written beside its checkpoints."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

CHECKPOINT = "checkpoint.pt"
"""In a run's folder: what it goes on from."""


class ModelSettings(BaseModel):
    """A llama-architecture model. Deep and thin: at a few million parameters depth buys more than width
    (MobileLLM, https://arxiv.org/abs/2402.14905)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int = Field(4096, ge=300)
    hidden: int = Field(256, ge=32, multiple_of=32)
    layers: int = Field(8, ge=1)
    heads: int = Field(8, ge=1)
    kv_heads: int = Field(2, ge=1)
    feed_forward: int = Field(704, ge=32, multiple_of=32)
    context: int = Field(4096, ge=64)
    rope_base: float = 10_000.0

    @model_validator(mode="after")
    def _shapes_fit(self) -> "ModelSettings":
        if self.hidden % self.heads or self.heads % self.kv_heads:
            raise ValueError("hidden must be a multiple of heads, and heads of kv_heads")
        return self


class LossWeights(BaseModel):
    """What a token counts in the loss. Schemas and system texts count nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: float = Field(0.15, ge=0, le=1)
    """Share of the users' and tools' tokens that count, with 1 each: they teach the language."""
    talk: float = Field(0.5, ge=0)
    choice: float = Field(2.0, ge=0)
    """The first token of an answer."""
    call: float = Field(2.0, ge=0)


class PretrainSettings(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    model: ModelSettings = ModelSettings()
    steps: int = Field(2400, ge=1)
    batch_tokens: int = Field(4096, ge=64)
    """Tokens a step, padding included."""
    longest: int = Field(1280, ge=64)
    """Tokens a conversation may have; longer ones are cut after a whole message."""
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    cooldown: float = Field(0.3, ge=0, le=1)
    """Share of the steps, at the end, in which the learning rate falls to nothing."""
    loss: LossWeights = LossWeights()
    epochs: int = Field(1, ge=1)
    synthetic: int = Field(40_000, ge=0)
    """Short made-up conversations about copying, beside the public dialogues."""
    generated: int = Field(0, ge=0)
    """Examples from the template generator with the tools that ship."""
    others: int = Field(0, ge=0)
    """Dialogues of STAR and Taskmaster-4, cut to one call."""
    calculations: int = Field(0, ge=0)
    """Sums in words, worked out by calls of a calculator."""
    off_topic: int = Field(0, ge=0)
    """Wishes that nothing in reach can grant."""
    cut_share: float = Field(0.0, ge=0, le=1)
    """Share of the dialogues that are cut to one call and what it needs."""
    other_things: float = Field(0.0, ge=0, le=1)
    """Share of the dialogues whose tools are made to be about other things."""
    distractors: int = Field(2, ge=0)
    """At most so many tools that a dialogue doesn't need."""
    talk_share: float = Field(0.2, ge=0, lt=1)
    """Conversations without a call, as a share of them and the dialogues."""
    start_from: Path | None = None
    """An earlier run's folder, or a GGUF file, whose model this one continues with, on its own data and schedule."""
    own_tokenizer: bool = False
    """Learn a tokenizer of its own though it continues: the words the old one knew keep their meaning."""
    seed: int = 0
    checkpoint_every: int = Field(100, ge=1)
    evaluate_every: int = Field(200, ge=1)
    threads: int = Field(2, ge=1)


def with_changes(settings: PretrainSettings, changes: Iterable[str]) -> PretrainSettings:
    """The settings with others in place, each as `NAME=VALUE`; `loss.call=3` reaches inside.

    Raises: ValidationError, for a name that there is none of and a value that won't do.
    """
    values: dict[str, Any] = settings.model_dump()
    for change in changes:
        name, _, value = change.partition("=")
        *outer, last = name.strip().split(".")
        place = values
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return PretrainSettings.model_validate(values)
