"""What every reader of arguments gives, and how it is used."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """What a piece of text brought."""

    length: int
    """Characters of the text that are dealt with."""
    arguments: str = ""
    """JSON text that is sure now."""
    is_whole: bool = False
    """The arguments end here."""
    needs_more: bool = False
    """Nothing can be done before more text comes."""


class ArgumentReader(Protocol):
    def read(self, text: str) -> Reading: ...
