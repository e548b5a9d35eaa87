"""What an exported file says about itself, and how an export fails."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["f32", "f16", "q8_0", "q4_0"]
"""Type of the weight matrices; norms are always F32."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the file says about itself."""

    name: str
    description: str = ""
    license: str = ""
    temperature: float | None = None
    """The sampling temperature the file recommends (general.sampling.temp)."""


class ExportError(ValueError):
    """The checkpoint can't be written as GGUF, or the file doesn't compute what the checkpoint does."""
