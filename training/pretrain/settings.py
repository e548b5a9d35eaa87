"""All numbers of a pre-training run, checked and written beside its checkpoints."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    context: int = Field(2048, ge=64)
    rope_base: float = 10_000.0

    @model_validator(mode="after")
    def _shapes_fit(self) -> "ModelSettings":
        if self.hidden % self.heads or self.heads % self.kv_heads:
            raise ValueError("hidden must be a multiple of heads, and heads of kv_heads")
        return self


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
    context_weight: float = Field(0.2, ge=0, le=1)
    """Weight of the loss on what others said; the assistant's own tokens count 1. It teaches the language and the
    copying from a fifth of the signal that would otherwise be thrown away."""
    epochs: int = Field(1, ge=1)
    synthetic: int = Field(40_000, ge=0)
    """Short made-up conversations about copying, beside the public dialogues."""
    start_from: Path | None = None
    """Folder of an earlier run whose model and tokenizer this one continues with, on its own data and schedule."""
    seed: int = 0
    checkpoint_every: int = Field(100, ge=1)
    evaluate_every: int = Field(200, ge=1)
    threads: int = Field(2, ge=1)
