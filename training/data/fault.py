"""Something wrong with a line."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, what kind, and in words. Codes are stable: CI may count them."""

    line: int
    code: str
    place: str
    """Path inside the line, such as `messages[2].tool_calls[0]`."""
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        where = f" {self.place}" if self.place else ""
        return f"line {self.line}: {'error' if self.is_error else 'warning'} {self.code}{where}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
