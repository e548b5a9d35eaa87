"""How a text under a grammar can be ended from where it stands, and in how many tokens.

While a legal end is within reach the model goes on as it likes. What would bring it out of reach is not said: the end
that was in reach before is said in its place, as one piece.
"""

from dataclasses import dataclass

from server.engine.types import Place
from server.engine.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a text from one place on."""

    vocabulary: Vocabulary
    place: Place | None
    """None where the constraint engine has led the text away from the grammar as its ends are known."""

    def after(self, data: bytes) -> "Ending":
        return Ending(self.vocabulary, None if self.place is None else self.place.after(data))

    @property
    def is_here(self) -> bool:
        """The text is whole."""
        return self.place is not None and self.place.is_end

    def tokens(self) -> list[int]:
        """Those that end the text; none if it is whole. Raises: GenerationError, if the vocabulary has none."""
        return self.vocabulary.spelled(self.place.end) if self.place is not None else []

    def fits(self, room: int) -> bool:
        """Whether so many tokens are enough. No token spells less than a byte, so bytes are looked at first."""
        if self.place is None or room < 0:
            return False
        return len(self.place.end) <= room or len(self.tokens()) <= room
