"""Guesses what comes next by looking for what was just said in the prompt and the answer so far.

Answers that extract, quote or edit copy long stretches of their prompt. Prompt lookup decoding
(https://github.com/apoorvumang/prompt-lookup-decoding) finds the last few tokens earlier on and proposes what followed
them there. It costs two dictionary entries a token and no model.
"""

_ORDERS = (3, 2)
"""Lengths of the n-grams, the most telling first."""


class PromptLookup:
    """The n-grams of one growing token list, each with where it last ended."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def propose(self, tokens: list[int], count: int) -> list[int]:
        """At most `count` tokens that followed the same n-gram before; empty if it is new."""
        self._index(tokens)
        for order in _ORDERS:
            gram = tuple(tokens[-order:])
            end = self._ends.get(gram, 0)
            # what was taken back from the answer may still be indexed
            if len(gram) == order and order <= end < len(tokens) and tuple(tokens[end - order : end]) == gram:
                return _continue(tokens, end, count)
        return []

    def _index(self, tokens: list[int]) -> None:
        """All n-grams but those that end the list, which would only find themselves."""
        last = len(tokens) - 1
        for end in range(min(self._indexed, last) + 1, last + 1):
            for order in _ORDERS:
                if end >= order:
                    self._ends[tuple(tokens[end - order : end])] = end
        self._indexed = last


def _continue(tokens: list[int], start: int, count: int) -> list[int]:
    """The tokens from `start`; where they run into the end, the repetition goes on."""
    found = tokens[start : start + count]
    period = len(tokens) - start
    return found if len(found) == count else [tokens[start + number % period] for number in range(count)]
