"""Which tokens may come next: a few of a vocabulary, or all but a few.

At most places a grammar allows a handful of tokens; inside a string it forbids a handful. Listing the fewer ones makes
both quick: writing out 150,000 ids takes longer than drawing one of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TokenIds = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens of a vocabulary."""

    listed: TokenIds
    """Ids, ascending."""
    vocabulary_size: int
    are_excluded: bool = False
    """The set is all tokens but the listed ones."""

    @staticmethod
    def of_bits(words: NDArray[np.int32], vocabulary_size: int) -> "TokenSet":
        """From a mask of 32 tokens a word, the lowest bit first. Bits beyond the vocabulary don't count."""
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:vocabulary_size].view(np.bool_)
        is_dense = 2 * int(np.bitwise_count(words).sum()) > vocabulary_size
        # over booleans flatnonzero is ten times as fast as over bytes
        return TokenSet(np.flatnonzero(~bits if is_dense else bits), vocabulary_size, is_dense)

    def __len__(self) -> int:
        return self.vocabulary_size - self.listed.size if self.are_excluded else self.listed.size

    def values(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits to choose among. Shape (listed,), or (vocabulary,) with -inf at the excluded."""
        if not self.are_excluded:
            return logits[self.listed]
        values = logits.copy()
        values[self.listed] = -np.inf
        return values

    def token(self, place: int) -> int:
        """The id of the token whose logit stands at a place of `values`."""
        return place if self.are_excluded else int(self.listed[place])

    @property
    def ids(self) -> TokenIds:
        """All ids, written out."""
        if not self.are_excluded:
            return self.listed
        ids: TokenIds = np.delete(np.arange(self.vocabulary_size), self.listed)
        return ids
