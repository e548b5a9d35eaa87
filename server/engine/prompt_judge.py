"""What a model makes of the prompt's own tokens: the logits at each one judge the next.

They are there only where a token is decoded and its logits are asked for. So such a prompt is decoded anew, whatever of
it is cached, a few tokens a step: a row of logits is half a megabyte for a large vocabulary.
"""

import numpy as np

from server.engine.errors import NotFiniteError
from server.engine.sampler import Floats, logprob
from server.engine.types import PromptLogprobs, TokenLogprob

STEP = 32
"""Prompt tokens judged in a step."""


class PromptJudge:
    """The log probabilities of one prompt."""

    def __init__(self, prompt: tuple[int, ...], top: int) -> None:
        """`top`: so many of the likeliest are told with each."""
        self._prompt = prompt
        self._top = top
        self._judged: list[TokenLogprob] = []

    @property
    def place(self) -> int:
        """The first token whose logits are still wanted."""
        return len(self._judged)

    @property
    def is_done(self) -> bool:
        return self.place >= len(self._prompt) - 1

    def see(self, logits: Floats) -> None:
        """Take in the logits at `place`; shape (vocabulary,). Raises: NotFiniteError."""
        if not np.isfinite(logits).all():
            raise NotFiniteError
        self._judged.append(logprob(logits, self._prompt[self.place + 1], self._top))

    @property
    def result(self) -> PromptLogprobs:
        return PromptLogprobs(tuple(self._judged))
