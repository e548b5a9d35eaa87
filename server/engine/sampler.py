"""Draws the next token from a row of logits.

The grammar's mask comes first and everything after it works on the allowed tokens only: under a grammar that is
mostly a handful out of 150,000, which is why a constrained step costs less than a free one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.engine.errors import GenerationError, NotFiniteError
from server.engine.token_set import TokenSet
from server.engine.types import Sampling, TokenLogprob

_BLOCK = 512
_FIRST_LOOK = 256
"""Tokens that are sorted first for `top_p`; mostly they are enough, and sorting a vocabulary takes milliseconds."""
_GREEDY_BELOW = 1e-5
"""Temperatures that take the likeliest token, as in vLLM: dividing by one of 1e-50 gives no numbers."""
Floats = NDArray[np.float32]


def logprob(logits: Floats, token: int, top: int) -> TokenLogprob:
    """A token and the `top` likeliest in softmax(logits). `logits`: shape (vocabulary,)."""
    shifted = logits.astype(np.float64) - float(logits.max())
    shifted -= np.log(np.exp(shifted).sum())
    best = _likeliest(shifted, top) if top else np.zeros(0, dtype=np.int64)
    return TokenLogprob(token, float(shifted[token]), tuple((int(t), float(shifted[t])) for t in best))


def _likeliest(values: NDArray[np.floating[Any]], count: int) -> NDArray[np.int64]:
    """Indices of the `count` largest values, the largest first."""
    if count >= values.size:
        return np.argsort(-values, kind="stable")
    chosen = np.argpartition(values, -count)[-count:]
    order: NDArray[np.int64] = chosen[np.argsort(-values[chosen], kind="stable")]
    return order


class Sampler:
    """The sampling state of one sequence: its random numbers and the tokens it has seen."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(sampling.seed)
        self._has_penalties = (
            sampling.repetition_penalty != 1.0 or sampling.frequency_penalty != 0.0 or sampling.presence_penalty != 0.0
        )
        self._prompt = frozenset(prompt) if sampling.repetition_penalty != 1.0 else frozenset()
        self._seen = set(self._prompt)
        self._counts: dict[int, int] = {}
        self._biased = np.fromiter(sampling.logit_bias.keys(), dtype=np.int64)
        self._bias = np.fromiter(sampling.logit_bias.values(), dtype=np.float32)

    def observe(self, tokens: Sequence[int]) -> None:
        """Count generated tokens for the penalties."""
        if self._has_penalties:
            for token in tokens:
                self._counts[token] = self._counts.get(token, 0) + 1
            self._seen.update(tokens)

    def forget(self, tokens: Sequence[int]) -> None:
        """Tokens that were observed have been taken back."""
        if self._has_penalties:
            for token in tokens:
                left = self._counts.get(token, 0) - 1
                if left > 0:
                    self._counts[token] = left
                else:
                    self._counts.pop(token, None)
                    self._seen -= {token} - self._prompt

    def draw(self, logits: Floats, allowed: TokenSet | None) -> int:
        """The next token.

        `logits`: shape (vocabulary,); `allowed`: tokens to choose among, None for all.
        Raises: NotFiniteError, if the model's logits are no numbers; GenerationError, if nothing is allowed or the
        request's own penalties leave no numbers. Nothing has changed then: it may be drawn again from other logits.
        """
        given, logits = logits, self.adjusted(logits)
        if allowed is not None and not len(allowed):
            raise GenerationError("The grammar allows no token of this model's vocabulary here.")
        try:
            if allowed is None:
                return self._choose(logits)
            return self.choose(allowed.values(logits), allowed)
        except NotFiniteError:
            if given is not logits and np.isfinite(given if allowed is None else given[allowed.ids]).all():
                raise GenerationError("The penalties and biases of the request leave no finite logits.") from None
            raise

    def choose(self, values: Floats, allowed: TokenSet) -> int:
        """A token by its adjusted logits, which are as `allowed.values` gives them. Raises: NotFiniteError."""
        return allowed.token(self._choose(values))

    def keeps(self, ratio: float) -> bool:
        """Whether what was drawn stays, now that it is worth so much less, from 0 to 1: as often as it would have been
        drawn. A greedy choice is made again."""
        temperature = self._sampling.temperature
        if ratio >= 1 or temperature < _GREEDY_BELOW:
            return ratio >= 1
        return bool(self._random.random() < ratio ** (1 / temperature))

    def adjusted(self, logits: Floats) -> Floats:
        """With the request's biases and penalties; the same array where it has none. Shape (vocabulary,)."""
        return self._adjust(logits.copy()) if self._has_penalties or self._biased.size else logits

    def _adjust(self, logits: Floats) -> Floats:
        sampling = self._sampling
        logits[self._biased] += self._bias
        if sampling.repetition_penalty != 1.0 and self._seen:
            seen = np.fromiter(self._seen, dtype=np.int64)
            scores = logits[seen]
            factor = np.float32(sampling.repetition_penalty)
            with np.errstate(all="ignore"):  # what overflows is found when it is drawn from
                logits[seen] = np.where(scores > 0, scores / factor, scores * factor)
        if self._counts:
            tokens = np.fromiter(self._counts.keys(), dtype=np.int64)
            counts = np.fromiter(self._counts.values(), dtype=np.float32)
            logits[tokens] -= counts * sampling.frequency_penalty + sampling.presence_penalty
        return logits

    def _choose(self, values: Floats) -> int:
        """Index of the drawn value."""
        best = int(values.argmax())
        top = values[best]
        if not np.isfinite(top):
            raise NotFiniteError
        if self._sampling.temperature < _GREEDY_BELOW or values.size == 1:
            return best
        scaled = values - top
        if self._sampling.temperature != 1:
            scaled /= np.float32(self._sampling.temperature)
        if self._sampling.top_p < 1 or 0 < self._sampling.top_k < values.size:
            return self._choose_from_likeliest(scaled)
        weights = np.exp(scaled, out=scaled)
        if self._sampling.min_p > 0:
            weights[weights < self._sampling.min_p] = 0
        return self._pick(weights)

    def _choose_from_likeliest(self, scaled: Floats) -> int:
        sampling = self._sampling
        if 0 < sampling.top_k < scaled.size:
            order = _likeliest(scaled, sampling.top_k)
            weights = np.exp(scaled[order])
            total = float(weights.sum())
        else:
            everything = np.exp(scaled)
            total = float(everything.sum())
            count = _FIRST_LOOK
            order = _likeliest(scaled, count)
            while everything[order].sum() < sampling.top_p * total and order.size < scaled.size:
                count *= 16
                order = _likeliest(scaled, count)
            weights = everything[order]
        if sampling.top_p < 1:
            weights = weights[: int(np.searchsorted(np.cumsum(weights), sampling.top_p * total)) + 1]
        weights[weights < sampling.min_p] = 0  # weights are relative to the likeliest, which is 1
        return int(order[self._pick(weights)])

    def _pick(self, weights: Floats) -> int:
        """Draw an index with probability in proportion to its weight: first a block, then an index in it.

        A running sum over a whole vocabulary takes longer than everything else here together.
        """
        start = 0
        target = self._random.random()
        if weights.size > 4 * _BLOCK:
            whole = weights.size // _BLOCK * _BLOCK
            sums = weights[:whole].reshape(-1, _BLOCK).sum(axis=1)
            reached = np.cumsum(np.append(sums, weights[whole:].sum()), dtype=np.float64)
            block = min(int(np.searchsorted(reached, target * reached[-1], side="right")), reached.size - 1)
            before = reached[block - 1] if block else 0.0
            target = (target * reached[-1] - before) / (reached[block] - before)
            start = block * _BLOCK
            weights = weights[start : start + _BLOCK]
        reached = np.cumsum(weights, dtype=np.float64)
        index = min(int(np.searchsorted(reached, target * reached[-1], side="right")), weights.size - 1)
        if weights[index] == 0:  # rounding went over the last that may be drawn
            index = int(np.flatnonzero(weights)[-1])
        return start + index
