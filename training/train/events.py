"""What a run tells while it goes on, and what it leaves. Whoever shows it or stores it takes these values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.train.audit import MaskAudit


@dataclass(frozen=True, slots=True)
class Said:
    """Something to read."""

    text: str


@dataclass(frozen=True, slots=True)
class Audited:
    """Before the first step: what will be learnt."""

    records: int
    rows: int
    steps: int
    """Of the whole run."""
    audit: "MaskAudit"
    example: tuple[tuple[str, bool], ...]
    """The text of a row in parts, and which of them are learnt."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """An optimizer step."""

    step: int
    steps: int
    epoch: float
    loss: float
    """Nats a token; for DPO of a pair."""
    learning_rate: float
    seconds: float
    token_accuracy: float | None = None
    """Share of the answers' tokens that were the likeliest. DPO: of pairs whose good call was."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A look at the validation file; step 0 is the base."""

    step: int
    metrics: Mapping[str, float]
    """`loss`, `chat_loss` (nats a token), `choice`, `name`, `arguments`, `exact`, `accuracy` (shares)."""
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint from which the run could go on."""

    step: int
    path: Path
    """A PEFT adapter (or a whole model) with the optimizer's state."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The GGUF file, after the proof that llama.cpp computes the same."""

    path: Path
    worst: float
    """Largest difference of a logit from torch."""


Event = Said | Audited | Stepped | Evaluated | Saved | Exported


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    is_finished: bool
    """False: it was stopped, and running the same recipe again goes on from the last checkpoint."""
    step: int
    trained_tokens: int = 0
    """In all epochs, padding left out."""
    adapter: Path | None = None
    """Folder of the trained adapter in PEFT's form, or of the model where all weights were trained."""
    gguf: Path | None = None
    """The same for llama.cpp: `trammel serve --adapter NAME=FILE`."""
    best_step: int | None = None
    """Step that the adapter is of, where evaluations chose it."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of that evaluation."""
