"""All that decides a fine-tuning run. It is written beside the checkpoints, so that only the same run is resumed."""

import hashlib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LORA_LEARNING_RATE = 2e-4
"""An adapter takes about ten times what all weights do (https://thinkingmachines.ai/blog/lora/)."""
FULL_LEARNING_RATE = 2e-5
DPO_LEARNING_RATE = 5e-5
_USUAL_WIDTH = 2048
_MAY_CHANGE = {"output", "threads", "checkpoint_every", "name", "allow_invalid"}
"""What may differ when a run is resumed."""


class AdapterSettings(BaseModel):
    """A LoRA adapter (https://arxiv.org/abs/2106.09685)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    is_rank_stabilized: bool = False
    """rsLoRA: alpha over the root of the rank (https://arxiv.org/abs/2312.03732)."""
    targets: tuple[str, ...] = ()
    """Names of modules such as `q_proj`; empty: every linear layer but the head."""


class TrainingRecipe(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    """A folder in Hugging Face's form, or a GGUF file."""
    train_path: Path
    """Fine-tuning lines; for `dpo` OpenAI's preference lines (`input`, `preferred_output`, `non_preferred_output`)."""
    output: Path
    """Folder of the run; a run that broke off there is gone on with."""
    validation_path: Path | None = None
    """Lines that are only measured: their loss, and the calls the model makes of them."""
    name: str = ""
    """Of the adapter's file; by default that of `output`."""
    method: Literal["supervised", "dpo"] = "supervised"
    adapter: AdapterSettings | None = AdapterSettings()
    """None trains all weights."""
    epochs: float = Field(3, gt=0)
    max_steps: int | None = Field(None, ge=1)
    """Ends sooner."""
    batch_size: int = Field(4, ge=1)
    """Rows at once, on each device."""
    accumulation: int = Field(4, ge=1)
    """Batches a step."""
    learning_rate: float | None = Field(None, gt=0)
    """Peak of the schedule. None: see `peak_learning_rate`."""
    learning_rate_multiplier: float = Field(1.0, gt=0)
    """Of the one that is chosen where none is given."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps."""
    weight_decay: float = Field(0.0, ge=0)
    beta: float = Field(0.1, gt=0)
    """DPO: how far the model may go from where it began."""
    longest: int = Field(2048, ge=16)
    """Tokens of a row; longer ones are cut after an answer."""
    packs: bool = False
    """Several conversations a row, each seeing only itself."""
    precision: Literal["auto", "f32", "bf16"] = "auto"
    """auto: bfloat16 where the processor multiplies it, a third of the time; weights that are trained stay F32."""
    is_quantized: bool = False
    """QLoRA: the base in 4 bits; needs bitsandbytes and a GPU."""
    seed: int = 42
    threads: int | None = Field(None, ge=1)
    """None: as many as torch takes."""
    checkpoint_every: int = Field(50, ge=1)
    """Steps."""
    evaluate_every: int | None = Field(None, ge=1)
    """Steps; None: once an epoch."""
    evaluation_answers: int = Field(48, ge=0)
    """Answers of the validation file that are generated and compared each time."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations without a better one. None: never."""
    forgetting_budget: float = Field(0.1, ge=0)
    """Rise of the loss on general chat (nats a token) that a best evaluation may have."""
    allow_invalid: bool = False
    """Train on what `trammel data validate` refuses, as far as it can be rendered."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.is_quantized and self.adapter is None:
            raise ValueError("a base in 4 bits can't be trained itself: give an adapter")
        if self.method == "dpo" and self.packs:
            raise ValueError("pairs can't be packed")
        return self

    def peak_learning_rate(self, width: int) -> float:
        """The one given, or what usually does for a model of this width (its hidden size).

        2e-5 for all weights. For an adapter 2e-4 (DPO: 5e-5) at a width of 2048, more where a model is narrower, up to
        ten times, and less where it is wider, down to half.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        if self.adapter is None:
            return FULL_LEARNING_RATE * self.learning_rate_multiplier
        usual = DPO_LEARNING_RATE if self.method == "dpo" else LORA_LEARNING_RATE
        return usual * min(10.0, max(0.5, _USUAL_WIDTH / width)) * self.learning_rate_multiplier

    @property
    def adapter_name(self) -> str:
        return self.name or self.output.resolve().name

    def contents(self) -> dict[str, str]:
        """SHA-256 of the files that decide the run, by field. Raises: OSError."""
        paths = {"model": self.model, "train_path": self.train_path, "validation_path": self.validation_path}
        return {name: _digest(path) for name, path in paths.items() if path is not None}

    def differences(self, other: "TrainingRecipe") -> list[str]:
        """Fields that make it another run."""
        ours, theirs = _deciding(self), _deciding(other)
        return sorted(name for name in ours if ours[name] != theirs[name])


def _digest(path: Path) -> str:
    """Of a file, or of a model's folder: its weights and what they are loaded with."""
    files = sorted(f for f in path.iterdir() if f.suffix in (".json", ".safetensors")) if path.is_dir() else [path]
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return digests[0] if path.is_file() else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _deciding(recipe: TrainingRecipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=_MAY_CHANGE)
